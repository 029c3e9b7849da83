//! Reading columns into types that are valid by construction. What does not fit is corruption, not a default.

use ailayer_primitives::{AmountMsat, AmountSat, PaymentHash, UnixMs, UnixS};
use ailayer_store::StoreError;
use bitcoin::secp256k1::PublicKey;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::corrupt;

pub(super) fn get<'r, T>(row: &'r PgRow, column: &str) -> Result<T, StoreError>
where
    T: sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    Ok(row.try_get(column)?)
}

pub(super) fn bytes<const N: usize>(row: &PgRow, column: &str) -> Result<[u8; N], StoreError> {
    opt_bytes(row, column)?.ok_or_else(|| corrupt(format!("{column} is null")))
}

pub(super) fn opt_bytes<const N: usize>(row: &PgRow, column: &str) -> Result<Option<[u8; N]>, StoreError> {
    let value: Option<&[u8]> = get(row, column)?;
    let exact = value.map(<[u8; N]>::try_from).transpose();
    exact.map_err(|_| corrupt(format!("{column} has not {N} bytes")))
}

pub(super) fn payment_hash(row: &PgRow) -> Result<PaymentHash, StoreError> {
    bytes(row, "payment_hash").map(|hash| PaymentHash(ailayer_primitives::Digest::new(hash)))
}

pub(super) fn node_id(row: &PgRow, column: &str) -> Result<PublicKey, StoreError> {
    PublicKey::from_slice(&bytes::<33>(row, column)?).map_err(corrupt)
}

pub(super) fn msat(row: &PgRow, column: &str) -> Result<AmountMsat, StoreError> {
    AmountMsat::try_from_i64(get(row, column)?).map_err(corrupt)
}

pub(super) fn opt_msat(row: &PgRow, column: &str) -> Result<Option<AmountMsat>, StoreError> {
    let value: Option<i64> = get(row, column)?;
    value.map(AmountMsat::try_from_i64).transpose().map_err(corrupt)
}

pub(super) fn sat(row: &PgRow, column: &str) -> Result<AmountSat, StoreError> {
    AmountSat::try_new(unsigned(get(row, column)?, column)?).map_err(corrupt)
}

pub(super) fn unix_s(row: &PgRow, column: &str) -> Result<UnixS, StoreError> {
    unsigned(get(row, column)?, column).map(UnixS)
}

pub(super) fn u32_of(row: &PgRow, column: &str) -> Result<u32, StoreError> {
    opt_u32(row, column)?.ok_or_else(|| corrupt(format!("{column} is null")))
}

pub(super) fn opt_u32(row: &PgRow, column: &str) -> Result<Option<u32>, StoreError> {
    let value: Option<i64> = get(row, column)?;
    value.map(u32::try_from).transpose().map_err(|_| corrupt(format!("{column} is no 32-bit number")))
}

pub(super) fn opt_unix_ms(row: &PgRow, column: &str) -> Result<Option<UnixMs>, StoreError> {
    let value: Option<i64> = get(row, column)?;
    value.map(|ms| unsigned(ms, column).map(UnixMs)).transpose()
}

fn unsigned(value: i64, column: &str) -> Result<u64, StoreError> {
    u64::try_from(value).map_err(|_| corrupt(format!("{column} is negative")))
}

/// A time as `bigint`. Times past the year 292 million saturate.
pub(super) fn time(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Satoshi as `bigint`; the maximum fits.
pub(super) fn sat_param(amount: AmountSat) -> i64 {
    time(amount.sat())
}
