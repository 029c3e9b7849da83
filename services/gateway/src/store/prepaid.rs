//! Jobs that are paid from a balance: how they begin, and how they are found.

use std::time::Duration;

use ailayer_primitives::{AmountMsat, Digest, JobId, RequestId, UnixMs};
use ailayer_receipt::statement::Model;
use ailayer_store::{StoreError, Tx};
use sqlx::{PgPool, Row as _};
use uuid::Uuid;

use super::ledger::accounts::{ListError, Listed, MAX_PAGE, listed};
use super::record::{JobRecord, PrepaidTerms, job_columns};
use super::to_bigint;
use crate::domain::ledger::CustomerId;
use crate::domain::ledger::page::PageToken;
use crate::domain::price::Usage;

/// Rows 1, 4 and 5 of a prepaid job: quoted, held and running at once.
#[derive(Debug, Clone)]
pub struct NewPrepaidJob {
    /// The job's id.
    pub job_id: JobId,
    /// The customer's idempotency key.
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
    /// The most that may be charged for.
    pub usage: Usage,
    /// The exact text of the signed quote.
    pub quote: String,
    /// The cap, which is reserved in the same commit.
    pub cap: AmountMsat,
    /// Who pays, by which prices.
    pub terms: PrepaidTerms,
    /// When the quote was made.
    pub created_at: UnixMs,
    /// Who drives it.
    pub owner: Uuid,
    /// Until when, unless the lease is renewed.
    pub lease: Duration,
}

/// Looks a job up by a customer's idempotency key.
pub async fn by_request_id(
    pool: &PgPool,
    account: CustomerId,
    request_id: RequestId,
) -> Result<Option<JobRecord>, StoreError> {
    let query = sqlx::query(concat!(
        "select ",
        job_columns!(),
        " from jobs where account_id = $1 and request_id = $2"
    ));
    let row = query.bind(account.uuid()).bind(request_id.uuid()).fetch_optional(pool).await?;
    row.as_ref().map(JobRecord::read).transpose()
}

/// The jobs of an account, the newest first.
///
/// # Errors
/// `PageToken` when `token` is not of this list.
pub async fn of_account(
    pool: &PgPool,
    account: CustomerId,
    page_size: u32,
    token: Option<&PageToken>,
) -> Result<Listed<JobRecord>, ListError> {
    let list = format!("jobs of {account}");
    let before = token.map(|token| token.open(&list)).transpose()?;
    let before = before.and_then(|text| Uuid::try_parse(&text).ok()).unwrap_or(Uuid::max());
    let limit = page_size.clamp(1, MAX_PAGE);
    let query = sqlx::query(concat!(
        "select ",
        job_columns!(),
        " from jobs where account_id = $1 and job_id < $2 order by job_id desc limit $3"
    ));
    let rows = query.bind(account.uuid()).bind(before).bind(i64::from(limit)).fetch_all(pool).await?;
    let items = rows.iter().map(JobRecord::read).collect::<Result<Vec<_>, _>>()?;
    Ok(listed(items, limit, |last| PageToken::new(&list, &last.job_id.to_string())))
}

/// Which of these requests have made a job already. Each is looked up by itself: a kept plan of a young table would read all jobs.
pub async fn known_in_tx(
    tx: &mut Tx,
    requests: &[(CustomerId, RequestId)],
) -> Result<Vec<(CustomerId, RequestId)>, StoreError> {
    let accounts: Vec<Uuid> = requests.iter().map(|(account, _)| account.uuid()).collect();
    let ids: Vec<Uuid> = requests.iter().map(|(_, id)| id.uuid()).collect();
    let rows = sqlx::query(
        "select asked.account_id, asked.request_id from unnest($1::uuid[], $2::uuid[]) as asked (account_id, request_id)
         cross join lateral (select from jobs
            where jobs.account_id = asked.account_id and jobs.request_id = asked.request_id limit 1) found",
    )
    .bind(accounts)
    .bind(ids)
    .fetch_all(&mut **tx)
    .await?;
    let read =
        |row: &sqlx::postgres::PgRow| Ok((CustomerId::new(row.try_get(0)?), RequestId::new(row.try_get(1)?)));
    rows.iter().map(read).collect()
}

/// Inserts jobs with their first line of history, due when their leases lapse. Their reservations are applied in the same transaction, each at the time that
/// stands beside the job.
///
/// # Errors
/// A request that has made a job meanwhile breaks the unique key, and with it the transaction.
pub async fn insert_in_tx(tx: &mut Tx, new: &[(&NewPrepaidJob, UnixMs)]) -> Result<(), StoreError> {
    let jobs = || new.iter().map(|(job, _)| *job);
    let ids = |id: fn(&NewPrepaidJob) -> Uuid| jobs().map(id).collect::<Vec<_>>();
    let numbers = |number: fn(&NewPrepaidJob) -> i64| jobs().map(number).collect::<Vec<_>>();
    let texts = |text: fn(&NewPrepaidJob) -> &str| jobs().map(text).collect::<Vec<_>>();
    let bytes = |bytes: fn(&NewPrepaidJob) -> Vec<u8>| jobs().map(bytes).collect::<Vec<_>>();
    sqlx::query(
        "with inserted as (insert into jobs (job_id, request_id, body_digest, token_hash, model_name, model_version, model_digest,
            input, request_digest, input_tokens, quote, price_msat, created_unix_ms, expiry_unix_ms, state, attempt,
            updated_unix_ms, started_unix_ms, accepted_unix_ms, held_amount_msat, wake_unix_ms, rail, account_id,
            key_id, per_call_msat, per_token_msat, lease_owner, lease_until_unix_ms, tensor_bytes,
            per_tensor_byte_msat)
         select job_id, request_id, body_digest, token_hash, model_name, model_version, model_digest, input,
            request_digest, input_tokens, quote, cap, created, created, 'RUNNING', 1, now, now, now, cap, now + lease,
            'prepaid', account_id, key_id, per_call, per_token, lease_owner, now + lease, tensor_bytes, per_tensor_byte
         from unnest($1::uuid[], $2::uuid[], $3::bytea[], $4::bytea[], $5::text[], $6::text[], $7::bytea[], $8::bytea[],
            $9::bytea[], $10::bigint[], $11::text[], $12::bigint[], $13::bigint[], $14::uuid[], $15::uuid[],
            $16::bigint[], $17::bigint[], $18::uuid[], $19::bigint[], $20::bigint[], $21::bigint[], $22::bigint[])
            as new (job_id, request_id, body_digest, token_hash, model_name, model_version, model_digest, input,
                request_digest, input_tokens, quote, cap, created, account_id, key_id, per_call, per_token,
                lease_owner, lease, now, tensor_bytes, per_tensor_byte)
         returning job_id, version, state, attempt, updated_unix_ms)
         insert into job_events (job_id, version, state, attempt, recorded_unix_ms) select * from inserted",
    )
    .bind(ids(|job| job.job_id.uuid()))
    .bind(ids(|job| job.request_id.uuid()))
    .bind(bytes(|job| job.body_digest.to_vec()))
    .bind(bytes(|job| job.token_hash.to_vec()))
    .bind(texts(|job| &job.model.name))
    .bind(texts(|job| &job.model.version))
    .bind(bytes(|job| job.model.digest.to_vec()))
    .bind(bytes(|job| job.input.clone()))
    .bind(bytes(|job| job.request_digest.to_vec()))
    .bind(numbers(|job| to_bigint(job.usage.input_tokens)))
    .bind(texts(|job| &job.quote))
    .bind(numbers(|job| job.cap.to_i64()))
    .bind(numbers(|job| to_bigint(job.created_at.0)))
    .bind(ids(|job| job.terms.account.uuid()))
    .bind(ids(|job| job.terms.key_id.0))
    .bind(numbers(|job| job.terms.price.per_call.to_i64()))
    .bind(numbers(|job| job.terms.price.per_token.to_i64()))
    .bind(ids(|job| job.owner))
    .bind(numbers(|job| i64::try_from(job.lease.as_millis()).unwrap_or(i64::MAX / 2)))
    .bind(new.iter().map(|(_, begun_at)| to_bigint(begun_at.0)).collect::<Vec<_>>())
    .bind(numbers(|job| to_bigint(job.usage.tensor_bytes)))
    .bind(numbers(|job| job.terms.price.per_tensor_byte.to_i64()))
    .execute(&mut **tx)
    .await?;
    Ok(())
}
