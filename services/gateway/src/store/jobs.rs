//! Jobs: insert, look up, the invoice.

use ailayer_primitives::{AmountMsat, Digest, JobId, RequestId, UnixMs};
use ailayer_receipt::statement::Model;
use ailayer_seal::PublicKey;
use ailayer_store::{Store, StoreError, Tx};
use sqlx::{PgPool, Row as _};

use super::record::{Invoice, JobRecord, job_columns};
use super::{from_bigint, history, to_bigint};
use crate::domain::job::State;
use crate::domain::payer::Payer;
use crate::domain::price::Usage;

/// Row 1: a job that is about to be offered.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// The job's id.
    pub job_id: JobId,
    /// The buyer's idempotency key.
    pub request_id: RequestId,
    /// The digest of what was asked, request id aside.
    pub body_digest: Digest,
    /// The hash of the token.
    pub token_hash: Digest,
    /// The model that will answer.
    pub model: Model,
    /// The input's stored form.
    pub input: Vec<u8>,
    /// Canonical digest of the input.
    pub request_digest: Digest,
    /// What is metered of the input.
    pub usage: Usage,
    /// The exact text of the signed quote.
    pub quote: String,
    /// The exact price.
    pub price: AmountMsat,
    /// When the quote was made.
    pub created_at: UnixMs,
    /// When it ends.
    pub expiry: UnixMs,
    /// How long the invoice may be paid, seconds.
    pub invoice_expiry_s: u32,
    /// Who asked, if the network tells.
    pub payer: Option<Payer>,
    /// The buyer's key, if the answer is to be sealed to it.
    pub sealed_to: Option<PublicKey>,
}

/// Inserts a QUOTED job. False if its request id is taken: look it up. Durable when this returns.
pub async fn insert(store: &Store, new: &NewJob) -> Result<bool, StoreError> {
    let mut tx = store.begin().await?;
    let inserted = sqlx::query(
        "insert into jobs (job_id, request_id, body_digest, token_hash, model_name, model_version, model_digest,
            input, request_digest, input_tokens, quote, price_msat, created_unix_ms, expiry_unix_ms,
            invoice_expiry_s, payer, sealed_to, tensor_bytes, state, updated_unix_ms, wake_unix_ms)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, 'QUOTED', $13, $14)
         on conflict (request_id) where account_id is null do nothing",
    )
    .bind(new.job_id.uuid())
    .bind(new.request_id.uuid())
    .bind(new.body_digest.to_vec())
    .bind(new.token_hash.to_vec())
    .bind(&new.model.name)
    .bind(&new.model.version)
    .bind(new.model.digest.to_vec())
    .bind(&new.input)
    .bind(new.request_digest.to_vec())
    .bind(to_bigint(new.usage.input_tokens))
    .bind(&new.quote)
    .bind(new.price.to_i64())
    .bind(to_bigint(new.created_at.0))
    .bind(to_bigint(new.expiry.0))
    .bind(i32::try_from(new.invoice_expiry_s).unwrap_or(i32::MAX))
    .bind(new.payer.map(|payer| payer.bytes().to_vec()))
    .bind(new.sealed_to.map(|key| key.as_bytes().to_vec()))
    .bind(to_bigint(new.usage.tensor_bytes))
    .execute(&mut *tx)
    .await?;
    if inserted.rows_affected() == 0 {
        return Ok(false);
    }
    history::add_in_tx(&mut tx, new.job_id, 1, State::Quoted, 0, None, new.created_at).await?;
    tx.commit().await?;
    Ok(true)
}

/// Row 2: stores the invoice of a job that has none. False if it has one.
pub async fn store_invoice(pool: &PgPool, job_id: JobId, invoice: &Invoice) -> Result<bool, StoreError> {
    let stored =
        sqlx::query("update jobs set bolt11 = $2, payment_hash = $3 where job_id = $1 and bolt11 is null")
            .bind(job_id.uuid())
            .bind(&invoice.bolt11)
            .bind(invoice.payment_hash.0.to_vec())
            .execute(pool)
            .await?;
    Ok(stored.rows_affected() == 1)
}

/// Looks a job up.
pub async fn by_id(pool: &PgPool, job_id: JobId) -> Result<Option<JobRecord>, StoreError> {
    let query = sqlx::query(concat!("select ", job_columns!(), " from jobs where job_id = $1"));
    let row = query.bind(job_id.uuid()).fetch_optional(pool).await?;
    row.as_ref().map(JobRecord::read).transpose()
}

/// Looks a job up by the idempotency key of a buyer without an account.
pub async fn by_request_id(pool: &PgPool, request_id: RequestId) -> Result<Option<JobRecord>, StoreError> {
    let query = sqlx::query(concat!(
        "select ",
        job_columns!(),
        " from jobs where request_id = $1 and account_id is null"
    ));
    let row = query.bind(request_id.uuid()).fetch_optional(pool).await?;
    row.as_ref().map(JobRecord::read).transpose()
}

/// Looks a job up and locks its row until the transaction ends. The clock is read once the lock is had.
pub async fn lock_in_tx(tx: &mut Tx, job_id: JobId) -> Result<Option<JobRecord>, StoreError> {
    let query = sqlx::query(concat!("select ", job_columns!(), " from jobs where job_id = $1 for update"));
    let row = query.bind(job_id.uuid()).fetch_optional(&mut **tx).await?;
    row.as_ref().map(JobRecord::read).transpose()
}

/// What is under way on the hold rail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Quotes that can still be paid.
    pub open: u64,
    /// Jobs whose money is locked and that have no answer yet.
    pub waiting: u64,
    /// This payer's quotes that can still be paid.
    pub open_of_payer: u64,
    /// This payer's jobs whose money is locked.
    pub holds_of_payer: u64,
}

/// Counts what is under way, in all replicas.
pub async fn load(pool: &PgPool, payer: Option<Payer>) -> Result<Load, StoreError> {
    let query = "with live as (
            select state = 'QUOTED' as is_quote, state in ('HELD', 'RUNNING') as waits, payer = $1 as is_payers
            from jobs
            where rail = 'hold' and state in ('QUOTED', 'HELD', 'RUNNING', 'COMPLETED', 'TAKING', 'RELEASING')
                and (state <> 'QUOTED' or expiry_unix_ms > unix_ms()))
        select count(*) filter (where is_quote), count(*) filter (where waits),
            count(*) filter (where is_quote and is_payers), count(*) filter (where not is_quote and is_payers)
        from live";
    let query = sqlx::query(query).bind(payer.map(|payer| payer.bytes().to_vec()));
    let row = query.fetch_one(pool).await?;
    let count = |at: usize| from_bigint(row.try_get(at)?, "jobs under way");
    Ok(Load { open: count(0)?, waiting: count(1)?, open_of_payer: count(2)?, holds_of_payer: count(3)? })
}

/// A job's stored input; none once erased.
pub async fn input(pool: &PgPool, job_id: JobId) -> Result<Option<Vec<u8>>, StoreError> {
    let query = sqlx::query("select input from jobs where job_id = $1").bind(job_id.uuid());
    Ok(query.fetch_optional(pool).await?.map(|row| row.try_get(0)).transpose()?.flatten())
}

/// A job's stored output; none before COMPLETED and once erased.
pub async fn output(pool: &PgPool, job_id: JobId) -> Result<Option<Vec<u8>>, StoreError> {
    let query = sqlx::query("select output from jobs where job_id = $1").bind(job_id.uuid());
    Ok(query.fetch_optional(pool).await?.map(|row| row.try_get(0)).transpose()?.flatten())
}

/// Row 12: these closing entries are in the log, each at its index.
pub async fn store_closing_indices_in_tx(tx: &mut Tx, indices: &[(JobId, u64)]) -> Result<(), StoreError> {
    sqlx::query(
        "insert into job_closings (job_id, leaf_index) select * from unnest($1::uuid[], $2::bigint[])
         on conflict (job_id) do nothing",
    )
    .bind(indices.iter().map(|(job_id, _)| job_id.uuid()).collect::<Vec<_>>())
    .bind(indices.iter().map(|(_, leaf_index)| to_bigint(*leaf_index)).collect::<Vec<_>>())
    .execute(&mut **tx)
    .await?;
    Ok(())
}
