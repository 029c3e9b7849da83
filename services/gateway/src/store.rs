//! The gateway's tables. The only room with SQL.
//!
//! | module | rows |
//! |---|---|
//! | [`accounts`] | customers |
//! | [`account_limits`] | what all keys of a customer together may do |
//! | [`clock`] | no rows: the time |
//! | [`api_keys`] | their keys |
//! | [`prices`], [`brakes`], [`adjustments`] | what operators have set and corrected |
//! | [`deposits`] | invoices that fund balances |
//! | [`spending`] | what keys and accounts have spent in their windows |
//! | [`suspense`] | money that is not known to be anybody's |
//! | [`jobs`] | jobs: insert, look up, the invoice |
//! | [`prepaid`] | jobs that are paid from a balance: how they begin |
//! | [`transitions`] | changes of state with their history, by compare-and-set |
//! | [`leases`] | which replica drives which job |
//! | [`history`] | the states a job went through |
//! | [`ledger`] | double entry |
//! | [`retention`] | inputs and outputs are erased |

pub mod account_limits;
pub mod accounts;
pub mod adjustments;
pub mod api_keys;
pub mod brakes;
pub mod clock;
pub mod deposits;
pub mod explained_payments;
pub mod history;
pub mod jobs;
pub mod leases;
pub mod ledger;
pub mod prepaid;
pub mod prices;
mod record;
pub mod retention;
pub mod spending;
pub mod suspense;
pub mod ties;
pub mod transitions;

use ailayer_primitives::{AmountMsat, UnixMs};
use ailayer_store::{Migration, Store, StoreError, inbox, migration, outbox};
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row as _};

pub use record::{Invoice, JobRecord, PrepaidTerms};
/// The connections that see these tables.
pub use sqlx::PgPool as Pool;

/// The schema these tables live in.
pub const SCHEMA: &str = "gateway";

/// The schema's history. A step that was released never changes.
pub const MIGRATIONS: &[Migration] = &[
    migration!(1, "jobs", "../migrations/0001_jobs.sql"),
    Migration::new(2, "inbox", inbox::SCHEMA_SQL),
    Migration::new(3, "outbox", outbox::SCHEMA_SQL),
    migration!(4, "ledger", "../migrations/0004_ledger.sql"),
    migration!(5, "accounts", "../migrations/0005_accounts.sql"),
    migration!(6, "prepaid_jobs", "../migrations/0006_prepaid_jobs.sql"),
    migration!(7, "operators", "../migrations/0007_operators.sql"),
    migration!(8, "deposits", "../migrations/0008_deposits.sql"),
    migration!(9, "payers", "../migrations/0009_payers.sql"),
    migration!(10, "account_limits", "../migrations/0010_account_limits.sql"),
    migration!(11, "ledger_checks", "../migrations/0011_ledger_checks.sql"),
    migration!(12, "sealed_results", "../migrations/0012_sealed_results.sql"),
    migration!(13, "job_writes", "../migrations/0013_job_writes.sql"),
    migration!(14, "guards", "../migrations/0014_guards.sql"),
    migration!(15, "tensors", "../migrations/0015_tensors.sql"),
    migration!(16, "explained_payments", "../migrations/0016_explained_payments.sql"),
    migration!(17, "channel_loss", "../migrations/0017_channel_loss.sql"),
    migration!(18, "versions_rise", "../migrations/0018_versions_rise.sql"),
    migration!(19, "cheaper_checks", "../migrations/0019_cheaper_checks.sql"),
];

/// Connects and brings the schema up to date.
pub async fn connect(config: &ailayer_store::StoreConfig) -> Result<Store, StoreError> {
    Store::connect(config, SCHEMA, MIGRATIONS).await
}

/// The database's clock.
pub async fn now(pool: &PgPool) -> Result<UnixMs, StoreError> {
    let row = sqlx::query("select unix_ms()").fetch_one(pool).await?;
    from_bigint(row.try_get(0)?, "the clock").map(UnixMs)
}

/// For numbers that came from outside: beyond `bigint` there is nothing in any table.
fn to_bigint(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn from_bigint(value: i64, what: &str) -> Result<u64, StoreError> {
    u64::try_from(value).map_err(|_| StoreError::Corrupt(format!("{what} is negative: {value}")))
}

/// A column that may be null.
fn unsigned(row: &PgRow, column: &str) -> Result<Option<u64>, StoreError> {
    let value: Option<i64> = row.try_get(column)?;
    value.map(|value| from_bigint(value, column)).transpose()
}

/// A column that may be null, in millisatoshi.
fn amount(row: &PgRow, column: &str) -> Result<Option<AmountMsat>, StoreError> {
    let msat: Option<i64> = row.try_get(column)?;
    msat.map(|msat| AmountMsat::try_from_i64(msat).map_err(|error| corrupt(column)(&error))).transpose()
}

/// A stored value that its type refuses.
fn corrupt(what: &str) -> impl Fn(&dyn std::fmt::Display) -> StoreError + '_ {
    move |error| StoreError::Corrupt(format!("{what}: {error}"))
}
