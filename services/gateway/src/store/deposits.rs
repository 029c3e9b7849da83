//! Invoices that fund balances.

use ailayer_primitives::{AmountMsat, Digest, PaymentHash, RequestId, UnixMs};
use ailayer_store::{StoreError, Tx};
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row as _};
use uuid::Uuid;

use super::{Invoice, corrupt, from_bigint};
use crate::domain::deposit::DepositState;
use crate::domain::ledger::CustomerId;

/// A deposit's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DepositRecord {
    /// The id, also the invoice's.
    pub deposit_id: Uuid,
    /// Whose balance.
    pub account: CustomerId,
    /// What was asked for.
    pub amount: AmountMsat,
    /// Where it stands.
    pub state: DepositState,
    /// How long the invoice may be paid, seconds from its making.
    pub invoice_expiry_s: u32,
    /// When it ends.
    pub expiry: UnixMs,
    /// The invoice, once it is stored.
    pub invoice: Option<Invoice>,
    /// What the balance got.
    pub credited: Option<AmountMsat>,
}

macro_rules! columns {
    () => {
        "deposit_id, account_id, amount_msat, state, invoice_expiry_s, expiry_unix_ms, bolt11, payment_hash,
         credited_msat"
    };
}

/// Finds the deposit that a request has made.
pub async fn by_request_id(
    pool: &PgPool,
    account: CustomerId,
    request_id: RequestId,
) -> Result<Option<DepositRecord>, StoreError> {
    let query = sqlx::query(concat!(
        "select ",
        columns!(),
        " from deposits where account_id = $1 and request_id = $2"
    ));
    query
        .bind(account.uuid())
        .bind(request_id.uuid())
        .fetch_optional(pool)
        .await?
        .as_ref()
        .map(read)
        .transpose()
}

/// Inserts a deposit unless its request has made one, or `most_open` of the account wait for their payers already. The account's
/// row is locked until the transaction ends, so that deposits made at once count each other.
pub async fn insert_in_tx(
    tx: &mut Tx,
    account: CustomerId,
    request_id: RequestId,
    amount: AmountMsat,
    expiry_s: u32,
    most_open: u64,
) -> Result<(), StoreError> {
    sqlx::query("select 1 from accounts where account_id = $1 for no key update")
        .bind(account.uuid())
        .execute(&mut **tx)
        .await?;
    sqlx::query(
        "insert into deposits (deposit_id, account_id, request_id, amount_msat, state, invoice_expiry_s,
            expiry_unix_ms, created_unix_ms, updated_unix_ms)
         select $1, $2, $3, $4, 'OPEN', $5, now + $5::bigint * 1000, now, now from (select unix_ms() as now) clock
         where (select count(*) from deposits where account_id = $2 and state = 'OPEN' and expiry_unix_ms > now) < $6
         on conflict (account_id, request_id) do nothing",
    )
    .bind(Uuid::now_v7())
    .bind(account.uuid())
    .bind(request_id.uuid())
    .bind(amount.to_i64())
    .bind(i32::try_from(expiry_s).unwrap_or(i32::MAX))
    .bind(i64::try_from(most_open).unwrap_or(i64::MAX))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Stores the invoice of a deposit that has none; answers what is stored.
pub async fn store_invoice(
    pool: &PgPool,
    deposit_id: Uuid,
    invoice: &Invoice,
) -> Result<DepositRecord, StoreError> {
    sqlx::query(
        "update deposits set bolt11 = $2, payment_hash = $3 where deposit_id = $1 and bolt11 is null",
    )
    .bind(deposit_id)
    .bind(&invoice.bolt11)
    .bind(invoice.payment_hash.0.to_vec())
    .execute(pool)
    .await?;
    let found = by_id(pool, deposit_id).await?;
    found.ok_or_else(|| StoreError::Corrupt(format!("deposit {deposit_id} is gone")))
}

/// Looks a deposit up.
pub async fn by_id(pool: &PgPool, deposit_id: Uuid) -> Result<Option<DepositRecord>, StoreError> {
    let query = sqlx::query(concat!("select ", columns!(), " from deposits where deposit_id = $1"));
    query.bind(deposit_id).fetch_optional(pool).await?.as_ref().map(read).transpose()
}

/// Looks a deposit up and locks its row until the transaction ends.
pub async fn lock_in_tx(tx: &mut Tx, deposit_id: Uuid) -> Result<Option<DepositRecord>, StoreError> {
    let query =
        sqlx::query(concat!("select ", columns!(), " from deposits where deposit_id = $1 for update"));
    query.bind(deposit_id).fetch_optional(&mut **tx).await?.as_ref().map(read).transpose()
}

/// Deposits whose money is being taken, by id behind `after`.
pub async fn taking(pool: &PgPool, after: Uuid, limit: u32) -> Result<Vec<Uuid>, StoreError> {
    let query = "select deposit_id from deposits where state = 'TAKING' and deposit_id > $1
         order by deposit_id limit $2";
    let rows = sqlx::query(query).bind(after).bind(i64::from(limit)).fetch_all(pool).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Moves a deposit whose row is locked.
pub async fn move_in_tx(tx: &mut Tx, deposit_id: Uuid, to: DepositState) -> Result<(), StoreError> {
    let query = "update deposits set state = $2, updated_unix_ms = unix_ms() where deposit_id = $1";
    sqlx::query(query).bind(deposit_id).bind(to.as_str()).execute(&mut **tx).await?;
    Ok(())
}

/// Ends a deposit whose row is locked as CREDITED.
pub async fn credit_in_tx(
    tx: &mut Tx,
    deposit_id: Uuid,
    taken: AmountMsat,
    credited: AmountMsat,
) -> Result<(), StoreError> {
    sqlx::query(
        "update deposits set state = 'CREDITED', taken_msat = $2, credited_msat = $3, updated_unix_ms = unix_ms()
         where deposit_id = $1",
    )
    .bind(deposit_id)
    .bind(taken.to_i64())
    .bind(credited.to_i64())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

fn read(row: &PgRow) -> Result<DepositRecord, StoreError> {
    let msat = |msat: i64| AmountMsat::try_from_i64(msat).map_err(|error| corrupt("amount")(&error));
    let state: &str = row.try_get("state")?;
    let (bolt11, hash): (Option<String>, Option<Vec<u8>>) =
        (row.try_get("bolt11")?, row.try_get("payment_hash")?);
    let hash = hash.map(|hash| Digest::try_from(hash.as_slice()).map_err(|error| corrupt("hash")(&error)));
    let invoice = bolt11.zip(hash.transpose()?);
    let credited: Option<i64> = row.try_get("credited_msat")?;
    let expiry_s: i32 = row.try_get("invoice_expiry_s")?;
    Ok(DepositRecord {
        deposit_id: row.try_get("deposit_id")?,
        account: CustomerId::new(row.try_get("account_id")?),
        amount: msat(row.try_get("amount_msat")?)?,
        state: state.parse().map_err(|error| corrupt("state")(&error))?,
        invoice_expiry_s: u32::try_from(expiry_s).map_err(|error| corrupt("expiry")(&error))?,
        expiry: UnixMs(from_bigint(row.try_get("expiry_unix_ms")?, "expiry")?),
        invoice: invoice.map(|(bolt11, hash)| Invoice { bolt11, payment_hash: PaymentHash(hash) }),
        credited: credited.map(msat).transpose()?,
    })
}
