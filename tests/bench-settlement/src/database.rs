//! The PostgreSQL that both sides write to: started for the bench, commits durable, kept on one core.

use std::fs::OpenOptions;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ailayer_bench::cores::{Cores, start_as_server};
use ailayer_devnet::{DataDir, Postgres, Tool, Toolbox};
use anyhow::Context as _;
use sqlx::{Connection as _, PgConnection};

/// How long synchronising is tried out.
const PROBE: Duration = Duration::from_secs(1);
/// What PostgreSQL writes at a time.
const BLOCK_BYTES: usize = 8192;

const SERVER_SETTINGS: [&str; 3] = [
    "alter system set shared_buffers = '512MB'",
    "alter system set max_wal_size = '8GB'",
    "alter system set checkpoint_timeout = '15min'",
];

/// A cluster.
pub struct Database {
    postgres: Postgres,
    /// The folder of its programs, `pgbench` among them.
    pub programs: PathBuf,
}

impl Database {
    /// Starts a cluster on the server's core; this thread is on the generator's core afterwards.
    pub async fn start(cores: Option<Cores>) -> anyhow::Result<Self> {
        let toolbox = Toolbox::discover();
        let programs = toolbox.path_of(Tool::PostgresBin)?;
        let place = DataDir::temporary()?;
        let postgres = start_as_server(cores, Postgres::start_in(&place, &toolbox)).await??;
        start_as_server(cores, size_as_a_server(&postgres)).await??;
        Ok(Self { postgres, programs })
    }

    /// An empty database; its URL.
    pub async fn create(&self) -> anyhow::Result<String> {
        Ok(self.postgres.create_database().await?)
    }

    /// The server's process, the parent of all its others.
    pub fn process(&self) -> anyhow::Result<u32> {
        self.postgres.process().pid().context("PostgreSQL has ended")
    }

    /// In words: the version, and that nothing is acknowledged that a power cut could take.
    pub async fn describe(&self) -> anyhow::Result<String> {
        let mut connection = PgConnection::connect(&self.postgres.url("postgres")).await?;
        let version: String = sqlx::query_scalar("show server_version").fetch_one(&mut connection).await?;
        let number = version.split_whitespace().next().unwrap_or_default().to_owned();
        let settings = ["fsync", "synchronous_commit", "full_page_writes"];
        for name in settings {
            let value: String = sqlx::query_scalar("select current_setting($1)")
                .bind(name)
                .fetch_one(&mut connection)
                .await?;
            anyhow::ensure!(value == "on", "the server has {name} = {value}");
        }
        let folder = self.postgres.data_dir().path().to_owned();
        let rate = tokio::task::spawn_blocking(move || syncs_a_second(&folder)).await??;
        Ok(format!("PostgreSQL {number} with fsync on, {rate:.0} fsyncs/s"))
    }

    /// Lets plans fit what the tables hold by now: a ledger that grows slowly has this from the server itself.
    pub async fn analyse(&self, url: &str) -> anyhow::Result<()> {
        self.run(url, &["analyze"]).await
    }

    /// Leaves nothing behind that would be done in the next measurement's time.
    pub async fn settle(&self, url: &str) -> anyhow::Result<()> {
        self.run(url, &["vacuum analyze", "checkpoint"]).await
    }

    async fn run(&self, url: &str, statements: &[&'static str]) -> anyhow::Result<()> {
        let mut connection = PgConnection::connect(url).await?;
        for statement in statements {
            sqlx::raw_sql(*statement).execute(&mut connection).await?;
        }
        Ok(connection.close().await?)
    }
}

/// Gives a cluster of the development network, which is as small as a laptop's, the memory and the log of a server: with the
/// defaults a check-point follows the other under load, and every page is written whole behind each. Starts it again.
pub async fn size_as_a_server(postgres: &Postgres) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(&postgres.url("postgres")).await?;
    for setting in SERVER_SETTINGS {
        sqlx::raw_sql(setting).execute(&mut connection).await?;
    }
    connection.close().await?;
    Ok(postgres.restart().await?)
}

/// How often a second one block can be written over and made durable, one after the other, where the cluster is.
pub fn syncs_a_second(folder: &Path) -> anyhow::Result<f64> {
    let path = folder.join("syncs");
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(&path)?;
    let (block, began, mut count) = ([0x55_u8; BLOCK_BYTES], Instant::now(), 0_u32);
    while began.elapsed() < PROBE {
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&block)?;
        file.sync_data()?;
        count += 1;
    }
    let rate = f64::from(count) / began.elapsed().as_secs_f64();
    std::fs::remove_file(&path)?;
    Ok(rate)
}
