//! PostgreSQL's own load generator, inserting one row a transaction.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use ailayer_bench::run::ArmRun;
use ailayer_bench::statistics::whole;
use ailayer_bench::usage::Of;
use anyhow::{Context as _, bail, ensure};
use tempfile::NamedTempFile;
use tokio::process::Command;

use crate::database::Database;
use crate::meter::{Meter, Spent};
use crate::rows::{CONNECTIONS, Rows};

/// Its time begins before it has connected, which may take long on a busy machine.
const LEAST_SECONDS: usize = 2;
const SCRIPT: &str = "\\set account random(0, 9999)
insert into rows (request_id, account_id, amount_units) values (gen_random_uuid(), :account, 1);
";

/// How it is run.
pub struct Pgbench {
    program: PathBuf,
    script: NamedTempFile,
    host: String,
    port: String,
    user: String,
    password: String,
    database: String,
}

/// What it said.
#[derive(Debug, PartialEq)]
struct Said {
    /// Transactions a second, the time of connecting left out.
    rate: f64,
    transactions: u64,
    failed: u64,
}

impl Pgbench {
    /// On a table. It comes with the server's other programs.
    pub fn new(database: &Database, rows: &Rows) -> anyhow::Result<Self> {
        let program = database.programs.join("pgbench");
        ensure!(program.is_file(), "{} is missing: it comes with PostgreSQL's programs", program.display());
        let mut script = NamedTempFile::new()?;
        script.write_all(SCRIPT.as_bytes())?;
        // postgres://user:password@host:port/name. The password goes by the environment: a command line is seen by everybody.
        let parts = rows.url.strip_prefix("postgres://").and_then(|rest| {
            let (user, rest) = rest.split_once(':')?;
            let (password, rest) = rest.split_once('@')?;
            let (host, rest) = rest.split_once(':')?;
            let (port, name) = rest.split_once('/')?;
            Some([user, password, host, port, name].map(str::to_owned))
        });
        let [user, password, host, port, database] = parts.context("the database's URL is another one")?;
        Ok(Self { program, script, host, port, user, password, database })
    }

    /// Runs it: the warm-up, then the timed part in two halves. Its seconds are whole ones.
    pub async fn run(
        &self,
        rows: &Rows,
        server: u32,
        warm_up: Duration,
        length: Duration,
    ) -> anyhow::Result<ArmRun> {
        rows.add(self.once(warm_up).await?.transactions);
        let meter = Meter { server, client: Of::EndedChildren };
        let before = meter.read()?;
        let halves = [self.once(length / 2).await?, self.once(length / 2).await?];
        let Spent { server, client } = meter.read()?.since(before);
        let transactions: u64 = halves.iter().map(|half| half.transactions).sum();
        rows.add(transactions);
        let rates = [halves[0].rate, halves[1].rate];
        Ok(ArmRun {
            rate: (rates[0] + rates[1]) / 2.0,
            halves: rates,
            server_seconds_each: server / transactions as f64,
            client_seconds_each: client / transactions as f64,
            ..ArmRun::default()
        })
    }

    async fn once(&self, length: Duration) -> anyhow::Result<Said> {
        let seconds = whole(length.as_secs_f64().round()).max(LEAST_SECONDS);
        let connections = CONNECTIONS.to_string();
        let output = Command::new(&self.program)
            .args(["-n", "-M", "prepared", "-j", "1", "-c", &connections, "-T", &seconds.to_string()])
            .args(["-h", &self.host, "-p", &self.port, "-U", &self.user, "-f"])
            .arg(self.script.path())
            .arg(&self.database)
            .env("PGPASSWORD", &self.password)
            .kill_on_drop(true)
            .output()
            .await
            .with_context(|| self.program.display().to_string())?;
        let said = String::from_utf8_lossy(&output.stdout);
        let complained = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "pgbench ended ({}): {}", output.status, complained.trim());
        match parse(&said) {
            Some(said) if said.failed == 0 && said.transactions > 0 => Ok(said),
            Some(said) => bail!("pgbench failed {} transactions of {}", said.failed, said.transactions),
            None => bail!("pgbench said something else: {}", said.trim()),
        }
    }
}

fn parse(said: &str) -> Option<Said> {
    let after = |words: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(words))?;
        line.split_whitespace().next().map(str::to_owned)
    };
    Some(Said {
        rate: after("tps = ")?.parse().ok()?,
        transactions: after("number of transactions actually processed: ")?.parse().ok()?,
        failed: after("number of failed transactions: ")?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pgbench_says_is_read() {
        let said = "pgbench (15.14)\nnumber of transactions actually processed: 16054\n\
            number of failed transactions: 2 (0.012%)\nlatency average = 1.993 ms\n\
            initial connection time = 49.105 ms\ntps = 16054.318407 (without initial connection time)\n";
        let expected = Said { rate: 16054.318407, transactions: 16054, failed: 2 };
        assert_eq!(parse(said), Some(expected));
        assert_eq!(parse("tps = 1"), None);
    }
}
