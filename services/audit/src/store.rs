//! SQL, and nothing but SQL: rows in, domain types out. A row that makes no sense is `StoreError::Corrupt`, never guessed at.

use ailayer_store::{Migration, StoreError, migration, single_writer};
use ailayer_tlog::NodeHash;

pub mod anchor;
pub mod checkpoint;
pub mod entry;
pub mod log;
pub mod node;
pub mod wallet;

/// The schema that this service owns.
pub const SCHEMA: &str = "audit";
/// How the schema came to be.
pub const MIGRATIONS: &[Migration] = &[
    Migration::new(1, "single writer", single_writer::SCHEMA_SQL),
    migration!(2, "init", "../migrations/0002_init.sql"),
];

/// A stored row that cannot be what this service wrote.
fn damage(what: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(what.to_string())
}

fn to_i64(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| damage(format_args!("{number} does not fit a column")))
}

fn to_u64(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| damage(format_args!("{number} is negative")))
}

fn to_u32(number: impl TryInto<u32> + Copy + std::fmt::Display) -> Result<u32, StoreError> {
    number.try_into().map_err(|_| damage(format_args!("{number} does not fit 32 bits")))
}

fn to_i32(number: u32) -> Result<i32, StoreError> {
    i32::try_from(number).map_err(|_| damage(format_args!("{number} does not fit a column")))
}

fn to_hash(bytes: &[u8]) -> Result<NodeHash, StoreError> {
    NodeHash::try_from(bytes).map_err(damage)
}
