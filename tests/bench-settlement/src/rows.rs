//! The baseline: a table with one unique key, one row a commit.

use std::cell::Cell;
use std::time::{Duration, Instant};

use ailayer_bench::generator::closed_loop;
use ailayer_bench::run::{ArmRun, Done, Window};
use anyhow::ensure;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use crate::database::Database;

/// Connections, in either form of the baseline.
pub const CONNECTIONS: u32 = 32;
const TABLE: &str = "create table rows (
    request_id   uuid   not null unique,
    account_id   bigint not null,
    amount_units bigint not null
)";
const INSERT: &str =
    "insert into rows (request_id, account_id, amount_units) values (gen_random_uuid(), $1, 1)";

/// The table in a database of its own.
pub struct Rows {
    /// The database.
    pub url: String,
    pool: PgPool,
    inserted: Cell<u64>,
}

impl Rows {
    /// An empty table, and connections to it that are there before anything is timed.
    pub async fn create(database: &Database) -> anyhow::Result<Self> {
        let url = database.create().await?;
        let options = PgPoolOptions::new().min_connections(CONNECTIONS).max_connections(CONNECTIONS);
        let pool = options.connect(&url).await?;
        sqlx::raw_sql(TABLE).execute(&pool).await?;
        Ok(Self { url, pool, inserted: Cell::new(0) })
    }

    /// Commits one row; answers when it was durable.
    pub async fn insert(&self, since: Instant) -> anyhow::Result<Done> {
        let account = i64::try_from(self.inserted.get() % 10_000)?;
        sqlx::query(INSERT).bind(account).execute(&self.pool).await?;
        let at = Instant::now();
        self.add(1);
        Ok(Done { at, count: 1, latency: at.saturating_duration_since(since) })
    }

    /// Keeps every connection busy.
    pub async fn saturate(&self, warm_up: Duration, length: Duration) -> anyhow::Result<ArmRun> {
        let window = Window::after(warm_up, length);
        let connections = usize::try_from(CONNECTIONS)?;
        let done = closed_loop(connections, window, async |_| self.insert(Instant::now()).await).await?;
        Ok(ArmRun::of_rate(&done, window))
    }

    /// Notes rows that somebody else has inserted.
    pub fn add(&self, rows: u64) {
        self.inserted.set(self.inserted.get() + rows);
    }

    /// How many rows there are, by what was answered.
    pub const fn count(&self) -> u64 {
        self.inserted.get()
    }

    /// Fails unless every answered row is there, and no other.
    pub async fn verify(&self) -> anyhow::Result<()> {
        let stored: i64 = sqlx::query_scalar("select count(*) from rows").fetch_one(&self.pool).await?;
        let answered = self.inserted.get();
        ensure!(
            u64::try_from(stored) == Ok(answered),
            "{stored} rows are stored and {answered} were answered"
        );
        Ok(())
    }

    /// Bytes of the table with its index.
    pub async fn bytes(&self) -> anyhow::Result<f64> {
        let query = "select pg_total_relation_size('rows')::float8";
        Ok(sqlx::query_scalar(query).fetch_one(&self.pool).await?)
    }
}
