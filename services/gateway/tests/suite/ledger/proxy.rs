//! Stands between a store and its server and cuts connections at the worst moment: at COMMIT, or at a write that is a
//! transaction by itself.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ailayer_platform::tasks::Tasks;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::bank::Random;

/// A simple query of the PostgreSQL protocol ends with a zero byte.
const BEGIN: [&[u8]; 2] = [b"BEGIN\0", b"begin;"];
const COMMIT: &[u8] = b"COMMIT\0";
const ROLLBACK: &[u8] = b"ROLLBACK\0";
/// Of the message `Bind` for the ledger's write: the end of the statement's name, one format for all parameters, which is
/// binary, and their number.
const WRITE: &[u8] = &[0, 0, 1, 0, 1, 0, 45];

/// What happens to a COMMIT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The server never sees it.
    Before,
    /// The server has committed, and its answer is swallowed.
    After,
    /// Whichever comes first.
    Racing,
    /// The client is cut off at once; the server sees it when everybody has long given up on it.
    Late,
}

/// Longer than a writer takes to look and to apply anew.
pub const LATE: Duration = Duration::from_millis(400);

/// When connections are cut.
#[derive(Debug, Clone)]
pub enum Plan {
    Never,
    Always(Cut),
    /// The next one.
    Once(Cut),
    /// Every second commit or so, at most twice in a row.
    Sometimes(Random),
    /// Of so many commits one, at most twice in a row.
    OneIn(u64, Random),
}

pub struct Proxy {
    pub port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    plan: Mutex<Plan>,
    in_a_row: AtomicU32,
    cuts: AtomicU64,
    upstream: u16,
}

impl Proxy {
    pub async fn start(upstream: u16, tasks: &Arc<Tasks>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            plan: Mutex::new(Plan::Never),
            in_a_row: AtomicU32::new(0),
            cuts: AtomicU64::new(0),
            upstream,
        });
        let (accepting, connections) = (Arc::clone(&shared), Arc::clone(tasks));
        tasks.spawn("proxy", async move {
            while let Ok((client, _)) = listener.accept().await {
                let shared = Arc::clone(&accepting);
                connections.spawn("proxied", async move {
                    let _ = shared.carry(client).await;
                });
            }
        });
        Self { port, shared }
    }

    pub fn set(&self, plan: Plan) {
        *self.shared.plan.lock().unwrap() = plan;
    }

    pub fn cuts(&self) -> u64 {
        self.shared.cuts.load(Ordering::SeqCst)
    }
}

impl Shared {
    async fn carry(&self, mut client: TcpStream) -> std::io::Result<()> {
        let mut server = TcpStream::connect(("127.0.0.1", self.upstream)).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (mut asked, mut answered) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
        let (mut in_transaction, mut swallows) = (false, false);
        loop {
            tokio::select! {
                read = client.read(&mut asked) => {
                    let chunk = &asked[..read?];
                    if chunk.is_empty() {
                        return Ok(());
                    }
                    let has = |text: &[u8]| chunk.windows(text.len()).any(|bytes| bytes == text);
                    let is_commit = has(COMMIT) || (!in_transaction && has(WRITE));
                    in_transaction = BEGIN.iter().any(|it| has(it))
                        || (in_transaction && !has(COMMIT) && !has(ROLLBACK));
                    match self.decide(is_commit) {
                        None => server.write_all(chunk).await?,
                        Some(Cut::Before) => return Ok(()),
                        Some(Cut::Racing) => return server.write_all(chunk).await,
                        Some(Cut::Late) => {
                            drop(client);
                            tokio::time::sleep(LATE).await;
                            server.write_all(chunk).await?;
                            return server.read(&mut answered).await.map(drop);
                        }
                        Some(Cut::After) => {
                            swallows = true;
                            server.write_all(chunk).await?;
                        }
                    }
                }
                read = server.read(&mut answered) => {
                    let chunk = &answered[..read?];
                    if chunk.is_empty() || swallows {
                        return Ok(());
                    }
                    client.write_all(chunk).await?;
                }
            }
        }
    }

    fn decide(&self, is_commit: bool) -> Option<Cut> {
        if !is_commit {
            return None;
        }
        let mut plan = self.plan.lock().unwrap();
        if let Plan::Once(cut) = *plan {
            *plan = Plan::Never;
            self.cuts.fetch_add(1, Ordering::SeqCst);
            return Some(cut);
        }
        let cut = match &mut *plan {
            Plan::Never | Plan::Once(_) => None,
            Plan::Always(cut) => Some(*cut),
            Plan::Sometimes(random) => match random.below(6) {
                0 => Some(Cut::Before),
                1 => Some(Cut::After),
                2 => Some(Cut::Racing),
                _ => None,
            }
            .filter(|_| self.in_a_row.load(Ordering::SeqCst) < 2),
            Plan::OneIn(bound, random) => match random.below(*bound * 3) {
                0 => Some(Cut::Before),
                1 => Some(Cut::After),
                2 => Some(Cut::Racing),
                _ => None,
            }
            .filter(|_| self.in_a_row.load(Ordering::SeqCst) < 2),
        };
        if cut.is_some() {
            self.in_a_row.fetch_add(1, Ordering::SeqCst);
            self.cuts.fetch_add(1, Ordering::SeqCst);
        } else {
            self.in_a_row.store(0, Ordering::SeqCst);
        }
        cut
    }
}
