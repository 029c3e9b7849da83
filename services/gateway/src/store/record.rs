//! A job as it is stored, without its input and output.

use ailayer_primitives::{AmountMsat, Digest, JobId, PaymentHash, UnixMs, UnixS};
use ailayer_receipt::statement::Model;
use ailayer_seal::PublicKey;
use ailayer_store::StoreError;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::{amount, corrupt, from_bigint, unsigned};
use crate::domain::api_key::KeyId;
use crate::domain::job::{Hold, Job, Seal};
use crate::domain::ledger::CustomerId;
use crate::domain::price::{Price, Usage};

/// What [`JobRecord::read`] reads.
macro_rules! job_columns {
    () => {
        "job_id, body_digest, token_hash, model_name, model_version, model_digest, request_digest,
         input_tokens, quote, price_msat, created_unix_ms, expiry_unix_ms, invoice_expiry_s, state, version,
         updated_unix_ms, bolt11, payment_hash, held_amount_msat, claim_deadline_height, accepted_unix_ms, attempt,
         started_unix_ms, output_digest, receipt, completed_unix_ms, leaf_index, release_reason, closing,
         (select closed.leaf_index from job_closings closed where closed.job_id = jobs.job_id) as closing_leaf_index,
         erased_unix_ms, rail, account_id, key_id, per_call_msat, per_token_msat, charge_msat,
         sealed_to, sealed_digest, appended_unix_ms, acknowledged_unix_ms, tensor_bytes, per_tensor_byte_msat,
         unix_ms() as now_unix_ms"
    };
}
pub(super) use job_columns;

/// A stored hold invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invoice {
    /// The BOLT 11 text.
    pub bolt11: String,
    /// Its payment hash.
    pub payment_hash: PaymentHash,
}

/// Who pays a prepaid job, and by which prices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrepaidTerms {
    /// Whose balance.
    pub account: CustomerId,
    /// The key it was ordered with.
    pub key_id: KeyId,
    /// The prices in force when it was quoted.
    pub price: Price,
}

/// A job's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRecord {
    /// The id, also the invoice's.
    pub job_id: JobId,
    /// Counts changes, from 1.
    pub version: u64,
    /// What the rules decide on.
    pub job: Job,
    /// The digest of what was asked, request id aside.
    pub body_digest: Digest,
    /// The hash of the token.
    pub token_hash: Digest,
    /// The model that was quoted.
    pub model: Model,
    /// Canonical digest of the input.
    pub request_digest: Digest,
    /// What is metered of the input; prepaid: the most that may be charged for.
    pub usage: Usage,
    /// The exact text of the signed quote.
    pub quote: String,
    /// Who pays it, if it is paid from a balance.
    pub prepaid: Option<PrepaidTerms>,
    /// How long the invoice may be paid, seconds from its making; 0 where there is none.
    pub invoice_expiry_s: u32,
    /// The invoice, once it is stored.
    pub invoice: Option<Invoice>,
    /// When the present attempt started.
    pub started_at: Option<UnixMs>,
    /// Canonical digest of the output, from COMPLETED on.
    pub output_digest: Option<Digest>,
    /// The exact text of the signed receipt, from COMPLETED on.
    pub receipt: Option<String>,
    /// The buyer's key, if the answer is sealed to it.
    pub sealed_to: Option<PublicKey>,
    /// SHA-256 of the ciphertext that is stored in place of the answer, from COMPLETED on.
    pub sealed_digest: Option<Digest>,
    /// The receipt's index in the log, from TAKING on; of a sealed job as soon as it is known.
    pub leaf_index: Option<u64>,
    /// The exact text of the signed closing entry.
    pub closing: Option<String>,
    /// The closing entry's index in the log.
    pub closing_leaf_index: Option<u64>,
    /// When input and output were erased.
    pub erased_at: Option<UnixMs>,
    /// When it was quoted.
    pub created_at: UnixMs,
    /// When it last changed.
    pub updated_at: UnixMs,
    /// The database's clock when the row was read.
    pub now: UnixMs,
}

impl JobRecord {
    /// When the quote ends, as buyers see it.
    pub fn expiry_s(&self) -> UnixS {
        self.job.expiry.to_s()
    }

    pub(super) fn read(row: &PgRow) -> Result<Self, StoreError> {
        let job_id: Uuid = row.try_get("job_id")?;
        Ok(Self {
            job_id: JobId::new(job_id),
            version: from_bigint(row.try_get("version")?, "version")?,
            job: read_job(row)?,
            body_digest: digest(row, "body_digest")?,
            token_hash: digest(row, "token_hash")?,
            model: Model {
                name: row.try_get("model_name")?,
                version: row.try_get("model_version")?,
                digest: digest(row, "model_digest")?,
            },
            request_digest: digest(row, "request_digest")?,
            usage: Usage {
                input_tokens: from_bigint(row.try_get("input_tokens")?, "input_tokens")?,
                tensor_bytes: from_bigint(row.try_get("tensor_bytes")?, "tensor_bytes")?,
            },
            quote: row.try_get("quote")?,
            prepaid: read_prepaid(row)?,
            invoice_expiry_s: optional_count(row, "invoice_expiry_s")?.unwrap_or(0),
            invoice: read_invoice(row)?,
            started_at: time(row, "started_unix_ms")?,
            output_digest: optional_digest(row, "output_digest")?,
            receipt: row.try_get("receipt")?,
            sealed_to: read_sealed_to(row)?,
            sealed_digest: optional_digest(row, "sealed_digest")?,
            leaf_index: unsigned(row, "leaf_index")?,
            closing: row.try_get("closing")?,
            closing_leaf_index: unsigned(row, "closing_leaf_index")?,
            erased_at: time(row, "erased_unix_ms")?,
            created_at: required_time(row, "created_unix_ms")?,
            updated_at: required_time(row, "updated_unix_ms")?,
            now: required_time(row, "now_unix_ms")?,
        })
    }
}

fn read_job(row: &PgRow) -> Result<Job, StoreError> {
    let state: String = row.try_get("state")?;
    let release_reason: Option<String> = row.try_get("release_reason")?;
    let rail: String = row.try_get("rail")?;
    Ok(Job {
        rail: rail.parse().map_err(|error| corrupt("rail")(&error))?,
        state: state.parse().map_err(|error| corrupt("state")(&error))?,
        price: amount(row, "price_msat")?.ok_or_else(|| StoreError::Corrupt("no price".to_owned()))?,
        charge: amount(row, "charge_msat")?,
        expiry: required_time(row, "expiry_unix_ms")?,
        attempt: count(row, "attempt")?,
        hold: read_hold(row)?,
        completed_at: time(row, "completed_unix_ms")?,
        release_reason: release_reason
            .map(|word| word.parse().map_err(|error| corrupt("release_reason")(&error)))
            .transpose()?,
        seal: read_seal(row)?,
    })
}

fn read_seal(row: &PgRow) -> Result<Option<Seal>, StoreError> {
    let (appended_at, acknowledged_at) = (time(row, "appended_unix_ms")?, time(row, "acknowledged_unix_ms")?);
    Ok(read_sealed_to(row)?.map(|_| Seal { appended_at, acknowledged_at }))
}

fn read_sealed_to(row: &PgRow) -> Result<Option<PublicKey>, StoreError> {
    let bytes: Option<Vec<u8>> = row.try_get("sealed_to")?;
    bytes
        .map(|bytes| PublicKey::try_from(bytes.as_slice()).map_err(|error| corrupt("sealed_to")(&error)))
        .transpose()
}

fn read_hold(row: &PgRow) -> Result<Option<Hold>, StoreError> {
    let parts = amount(row, "held_amount_msat")?.zip(time(row, "accepted_unix_ms")?);
    let Some((amount, accepted_at)) = parts else { return Ok(None) };
    let height = unsigned(row, "claim_deadline_height")?.map(u32::try_from).transpose();
    let claim_deadline_height = height.map_err(|error| corrupt("claim_deadline_height")(&error))?;
    Ok(Some(Hold { amount, claim_deadline_height, accepted_at }))
}

fn read_prepaid(row: &PgRow) -> Result<Option<PrepaidTerms>, StoreError> {
    let ids: (Option<Uuid>, Option<Uuid>) = (row.try_get("account_id")?, row.try_get("key_id")?);
    let prices = (amount(row, "per_call_msat")?, amount(row, "per_token_msat")?);
    let ((Some(account), Some(key)), (Some(per_call), Some(per_token))) = (ids, prices) else {
        return Ok(None);
    };
    let (account, key_id) = (CustomerId::new(account), KeyId(key));
    // Jobs from before tensors were sold have no such price.
    let per_tensor_byte = amount(row, "per_tensor_byte_msat")?.unwrap_or(AmountMsat::ZERO);
    Ok(Some(PrepaidTerms { account, key_id, price: Price { per_call, per_token, per_tensor_byte } }))
}

fn read_invoice(row: &PgRow) -> Result<Option<Invoice>, StoreError> {
    let bolt11: Option<String> = row.try_get("bolt11")?;
    let payment_hash = optional_digest(row, "payment_hash")?.map(PaymentHash);
    Ok(bolt11.zip(payment_hash).map(|(bolt11, payment_hash)| Invoice { bolt11, payment_hash }))
}

fn optional_count(row: &PgRow, column: &str) -> Result<Option<u32>, StoreError> {
    let value: Option<i32> = row.try_get(column)?;
    value.map(|value| u32::try_from(value).map_err(|error| corrupt(column)(&error))).transpose()
}

fn count(row: &PgRow, column: &str) -> Result<u32, StoreError> {
    let value: i32 = row.try_get(column)?;
    u32::try_from(value).map_err(|error| corrupt(column)(&error))
}

fn time(row: &PgRow, column: &str) -> Result<Option<UnixMs>, StoreError> {
    Ok(unsigned(row, column)?.map(UnixMs))
}

fn required_time(row: &PgRow, column: &str) -> Result<UnixMs, StoreError> {
    from_bigint(row.try_get(column)?, column).map(UnixMs)
}

pub(super) fn digest(row: &PgRow, column: &str) -> Result<Digest, StoreError> {
    let bytes: Vec<u8> = row.try_get(column)?;
    Digest::try_from(bytes.as_slice()).map_err(|error| corrupt(column)(&error))
}

fn optional_digest(row: &PgRow, column: &str) -> Result<Option<Digest>, StoreError> {
    let bytes: Option<Vec<u8>> = row.try_get(column)?;
    bytes.map(|bytes| Digest::try_from(bytes.as_slice()).map_err(|error| corrupt(column)(&error))).transpose()
}
