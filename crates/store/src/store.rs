//! The pool of one service.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use sqlx::{
    Connection as _, PgPool,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::{
    config::StoreConfig,
    error::StoreError,
    migrate::{self, Migration},
};

/// A transaction. Dropping it without `commit` rolls it back.
pub type Tx = sqlx::Transaction<'static, sqlx::Postgres>;

/// A connection of a pool, for as long as its owner keeps it.
pub type Conn = PoolConnection<sqlx::Postgres>;

/// A connection that has idled for longer is asked for a sign of life before it is used: a server that restarts in
/// between breaks no call that comes after. A busy one is not, for that is a round trip.
pub(crate) const TRUSTED_FOR: Duration = Duration::from_millis(100);

/// A transaction that its owner forgot or that hangs must not hold locks for ever.
const IDLE_IN_TRANSACTION_TIMEOUT: Duration = Duration::from_secs(60);

/// A service's part of the database: connections of the pool see only the service's schema.
#[derive(Clone)]
pub struct Store {
    pool: PgPool,
    shared: Arc<Shared>,
}

struct Shared {
    schema: &'static str,
    options: PgConnectOptions,
    acquire_timeout: Duration,
}

impl Store {
    /// Connects, makes the schema if need be and applies what is missing of `migrations`, each in a transaction of
    /// its own. Any number of processes may do this at once: an advisory lock makes them take turns.
    ///
    /// # Errors
    /// `Unavailable` when the server cannot be reached within `startup_timeout`, `InvalidConfig` when it turns us
    /// away, `Migration` when the schema and `migrations` do not go together.
    pub async fn connect(
        config: &StoreConfig,
        schema: &'static str,
        migrations: &[Migration],
    ) -> Result<Self, StoreError> {
        check_schema_name(schema)?;
        let base = config.connect_options()?.application_name(&format!("ailayer-{schema}"));
        migrate::run(&base, config.startup_timeout, schema, migrations).await?;

        let options = with_limits(base, schema, config.statement_timeout);
        let acquire_timeout = config.acquire_timeout;
        let pool = pool(config.max_connections, acquire_timeout, options.clone());
        first_connection(&pool, config.startup_timeout).await?;
        Ok(Self { pool, shared: Arc::new(Shared { schema, options, acquire_timeout }) })
    }

    /// The same database through a pool of its own, of `max_connections` whose sessions have these settings. Connects when it is
    /// used first, and is closed by itself.
    #[must_use]
    pub fn with_settings(&self, max_connections: u32, settings: &[(&'static str, &'static str)]) -> Self {
        let options = self.shared.options.clone().options(settings.iter().copied());
        let acquire_timeout = self.shared.acquire_timeout;
        let pool = pool(max_connections, acquire_timeout, options.clone());
        Self { pool, shared: Arc::new(Shared { schema: self.shared.schema, options, acquire_timeout }) }
    }

    /// A connection out of the pool, for statements that are transactions of their own: [`crate::KeptConn`] keeps it.
    ///
    /// # Errors
    /// `Unavailable` when there is none within `acquire_timeout`.
    pub async fn acquire(&self) -> Result<Conn, StoreError> {
        Ok(self.pool.acquire().await?)
    }

    /// The pool, for statements outside a transaction.
    pub const fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Begins a transaction at the isolation level READ COMMITTED.
    ///
    /// # Errors
    /// `Unavailable` when there is no connection within `acquire_timeout`.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        Ok(self.pool.begin().await?)
    }

    /// Begins a transaction with `statements`, which start with `begin`: settings for one transaction need no round trip of their own.
    ///
    /// # Errors
    /// `Unavailable` when there is no connection within `acquire_timeout`.
    pub async fn begin_with(&self, statements: &'static str) -> Result<Tx, StoreError> {
        Ok(self.pool.begin_with(statements).await?)
    }

    /// Asks the server for a sign of life.
    ///
    /// # Errors
    /// `Unavailable` when there is none within `acquire_timeout`.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let ping = sqlx::query("select 1").execute(&self.pool);
        // A server that hangs keeps its connections open, and only the client can give up on it.
        match tokio::time::timeout(self.shared.acquire_timeout, ping).await {
            Ok(answer) => Ok(answer.map(drop)?),
            Err(_elapsed) => Err(StoreError::Unavailable(sqlx::Error::PoolTimedOut)),
        }
    }

    /// The service's schema.
    pub fn schema(&self) -> &'static str {
        self.shared.schema
    }

    /// Waits until all connections are returned, and closes them: as long as a server that hangs makes its users wait.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    pub(crate) fn connect_options(&self) -> PgConnectOptions {
        self.shared.options.clone()
    }

    pub(crate) fn acquire_timeout(&self) -> Duration {
        self.shared.acquire_timeout
    }
}

/// Not derived: the connect options hold the password.
impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("schema", &self.shared.schema).finish_non_exhaustive()
    }
}

fn pool(max_connections: u32, acquire_timeout: Duration, options: PgConnectOptions) -> PgPool {
    PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(acquire_timeout)
        .test_before_acquire(false)
        .before_acquire(|conn, meta| {
            Box::pin(async move {
                if meta.idle_for > TRUSTED_FOR {
                    conn.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(options)
}

/// The pool's own patience is a caller's, which is too short where all services start at once.
async fn first_connection(pool: &PgPool, patience: Duration) -> Result<(), StoreError> {
    let began = Instant::now();
    loop {
        match pool.acquire().await {
            Err(sqlx::Error::PoolTimedOut) if began.elapsed() < patience => {}
            first => return Ok(first.map(drop)?),
        }
    }
}

fn with_limits(options: PgConnectOptions, schema: &str, statement_timeout: Duration) -> PgConnectOptions {
    let ms = |duration: Duration| duration.as_millis().to_string();
    options.options([
        ("search_path", schema.to_owned()),
        ("statement_timeout", ms(statement_timeout)),
        ("lock_timeout", ms(statement_timeout / 2)),
        ("idle_in_transaction_session_timeout", ms(IDLE_IN_TRANSACTION_TIMEOUT)),
        // A client machine that vanished frees its locks within a minute.
        ("tcp_keepalives_idle", "30".to_owned()),
        ("tcp_keepalives_interval", "10".to_owned()),
        ("tcp_keepalives_count", "3".to_owned()),
    ])
}

/// It becomes part of SQL text.
fn check_schema_name(schema: &str) -> Result<(), StoreError> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let sound = schema.chars().all(allowed) && schema.starts_with(|c: char| c.is_ascii_lowercase());
    let refuse = || StoreError::InvalidConfig(format!("{schema:?} is no schema name"));
    if sound { Ok(()) } else { Err(refuse()) }
}
