//! Bringing a schema up to date. Built on `sqlx_core::migrate`, since sqlx's facade cannot have the feature here.

use std::{borrow::Cow, collections::BTreeSet, time::Duration};

use sqlx::{
    AssertSqlSafe, Executor, PgConnection, SqlSafeStr,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use sqlx_core::migrate::{Migrate, MigrateError, MigrationType, Migrator};

use crate::error::{MigrationError, StoreError};

/// How long to wait for other processes that migrate the same database.
const LOCK_TIMEOUT_MS: &str = "120000";

/// One step of a schema's history. Once applied anywhere its text must never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migration {
    version: i64,
    name: &'static str,
    sql: &'static str,
}

impl Migration {
    /// Step `version`, with one or more SQL statements that run in one transaction with the service's schema as
    /// `search_path`. Steps are applied in the order of their numbers.
    pub const fn new(version: i64, name: &'static str, sql: &'static str) -> Self {
        Self { version, name, sql }
    }
}

/// A [`Migration`] from a file, named relative to the calling one:
/// `migration!(1, "init", "../migrations/0001_init.sql")`.
#[macro_export]
macro_rules! migration {
    ($version:literal, $name:literal, $path:literal) => {
        $crate::Migration::new($version, $name, include_str!($path))
    };
}

pub(crate) async fn run(
    base: &PgConnectOptions,
    startup_timeout: Duration,
    schema: &'static str,
    migrations: &[Migration],
) -> Result<(), StoreError> {
    check_numbers(schema, migrations)?;
    // Building an index may take long, so no statement time-out.
    let options = base.clone().options([("search_path", schema), ("lock_timeout", LOCK_TIMEOUT_MS)]);
    // A pool of one, because a pool tries again while the server is still starting.
    let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(startup_timeout);
    let pool = pool.connect_with(options).await?;
    let mut connection = pool.acquire().await?.detach();
    let result = run_locked(&mut connection, schema, migrations).await;
    // Frees the lock too, whatever happened.
    sqlx::Connection::close(connection).await.ok();
    pool.close().await;
    result
}

async fn run_locked(
    connection: &mut PgConnection,
    schema: &'static str,
    migrations: &[Migration],
) -> Result<(), StoreError> {
    let failed = |error| explain(error, schema, migrations);
    connection.lock().await.map_err(failed)?;
    create_schema(connection, schema).await?;
    let steps = migrations.iter().map(|step| {
        let sql = step.sql.into_sql_str();
        sqlx_core::migrate::Migration::new(
            step.version,
            Cow::Borrowed(step.name),
            MigrationType::Simple,
            sql,
            false,
        )
    });
    let mut migrator = Migrator::with_migrations(steps.collect());
    migrator.set_locking(false);
    migrator.run_direct(None, connection, false).await.map_err(failed)
}

/// Only when there is none: `create schema if not exists` needs a right that a careful operator does not grant.
async fn create_schema(connection: &mut PgConnection, schema: &str) -> Result<(), StoreError> {
    let exists = sqlx::query("select 1 from pg_namespace where nspname = $1").bind(schema);
    if exists.fetch_optional(&mut *connection).await?.is_none() {
        connection.execute(AssertSqlSafe(format!("create schema {schema}"))).await?;
    }
    Ok(())
}

fn check_numbers(schema: &'static str, migrations: &[Migration]) -> Result<(), MigrationError> {
    let mut seen = BTreeSet::new();
    match migrations.iter().find(|step| !seen.insert(step.version)) {
        Some(step) => Err(MigrationError::Duplicate { schema, version: step.version }),
        None => Ok(()),
    }
}

fn explain(error: MigrateError, schema: &'static str, migrations: &[Migration]) -> StoreError {
    let name_of =
        |version| migrations.iter().find(|step| step.version == version).map_or("unnamed", |step| step.name);
    match error {
        MigrateError::VersionMismatch(version) => {
            MigrationError::Changed { schema, version, name: name_of(version) }.into()
        }
        MigrateError::VersionMissing(version) => MigrationError::Unknown { schema, version }.into(),
        MigrateError::Execute(source) => source.into(),
        MigrateError::ExecuteMigration(source, version) => match StoreError::from(source) {
            StoreError::Database(source) => {
                MigrationError::Failed { schema, version, name: name_of(version), source }.into()
            }
            known => known,
        },
        source => MigrationError::Bookkeeping { schema, source }.into(),
    }
}
