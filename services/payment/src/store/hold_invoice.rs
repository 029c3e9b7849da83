//! Hold invoices. Every move is a compare-and-set on the row's state.

use ailayer_primitives::{AmountMsat, Digest, PaymentHash, UnixMs, UnixS};
use ailayer_store::{StoreError, Tx};
use sqlx::postgres::PgRow;

use super::{Rows, corrupt, events, row};
use crate::domain::event::{Event, UnexpectedReceipt};
use crate::domain::hold_invoice::{Hold, HoldInvoice, HoldState, Terms, Transition};
use crate::domain::invoice_id::InvoiceId;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "select invoice_id, payment_hash, amount_msat, description_hash, expiry_s, bolt11, state, \
             expiry_unix_s, accepted_amount_msat, claim_deadline_height, accepted_unix_ms, release_reason, \
             fail_back_until_height from hold_invoice ",
            $rest
        )
    };
}

/// Serialises the count and the insert of new invoices, so that the limit holds under concurrency.
const CREATE_LOCK: i64 = 0x6f70_656e;

/// How many rows are in the states that are limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// INTENT and OPEN.
    pub open: u64,
    /// ACCEPTED and CLAIM_REQUESTED.
    pub accepted: u64,
    /// The money locked to the latter.
    pub held: AmountMsat,
    /// The earliest claim deadline of the latter.
    pub nearest_deadline: Option<u32>,
}

/// Looks an invoice up by its id.
pub async fn find(rows: &Rows, invoice_id: InvoiceId) -> Result<Option<HoldInvoice>, StoreError> {
    let found = sqlx::query(select!("where invoice_id = $1"))
        .bind(invoice_id.uuid())
        .fetch_optional(rows.pool())
        .await?;
    found.as_ref().map(read).transpose()
}

/// Looks an invoice up by its payment hash.
pub async fn find_by_hash(rows: &Rows, hash: PaymentHash) -> Result<Option<HoldInvoice>, StoreError> {
    let found = sqlx::query(select!("where payment_hash = $1"))
        .bind(hash.0.as_bytes().as_slice())
        .fetch_optional(rows.pool())
        .await?;
    found.as_ref().map(read).transpose()
}

/// Rows that something is due for: past their expiry, as near their deadline as `guard_height`, or with a call
/// to the node that may have been cut off. The nearest deadline first.
pub async fn find_due(
    rows: &Rows,
    now: UnixS,
    guard_height: u32,
    limit: u32,
) -> Result<Vec<HoldInvoice>, StoreError> {
    let found = sqlx::query(select!(
        "where (state in ('INTENT', 'OPEN') and expiry_unix_s < $1) \
         or (state = 'ACCEPTED' and claim_deadline_height <= $2) \
         or state in ('CLAIM_REQUESTED', 'RELEASE_REQUESTED') \
         order by claim_deadline_height nulls last limit $3"
    ))
    .bind(row::time(now.0))
    .bind(i64::from(guard_height))
    .bind(i64::from(limit))
    .fetch_all(rows.pool())
    .await?;
    found.iter().map(read).collect()
}

/// Closed rows whose money the node may still hold after a crash: it is told to fail it back again. Rows with
/// a claim authorised are never among them.
pub async fn find_to_fail_back(rows: &Rows, tip: u32) -> Result<Vec<PaymentHash>, StoreError> {
    let found = sqlx::query(
        "select payment_hash from hold_invoice where fail_back_until_height > $1 \
         and state in ('INTENT', 'RELEASE_REQUESTED', 'RELEASED', 'EXPIRED')",
    )
    .bind(i64::from(tip))
    .fetch_all(rows.pool())
    .await?;
    found.iter().map(row::payment_hash).collect()
}

/// Counts what is limited.
pub async fn counts(rows: &Rows) -> Result<Counts, StoreError> {
    let row = sqlx::query(COUNTS).fetch_one(rows.pool()).await?;
    read_counts(&row)
}

const COUNTS: &str = "select count(*) filter (where state in ('INTENT', 'OPEN')) as open, \
     count(*) filter (where state in ('ACCEPTED', 'CLAIM_REQUESTED')) as accepted, \
     coalesce(sum(accepted_amount_msat) filter (where state in ('ACCEPTED', 'CLAIM_REQUESTED')), 0)::bigint \
     as held, \
     min(claim_deadline_height) filter (where state in ('ACCEPTED', 'CLAIM_REQUESTED')) as deadline \
     from hold_invoice where state in ('INTENT', 'OPEN', 'ACCEPTED', 'CLAIM_REQUESTED', 'RELEASE_REQUESTED')";

/// How an insert ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inserted {
    /// The row is new.
    New,
    /// The id is taken; this is what it names.
    Existing(Box<HoldInvoice>),
    /// As many invoices are open, or holds accepted, as allowed.
    LimitReached,
}

/// Inserts an INTENT if the limits allow, or tells what the id names already.
pub async fn insert_intent(
    rows: &Rows,
    intent: &HoldInvoice,
    max_open: u64,
    max_accepted: u64,
    now: UnixMs,
) -> Result<Inserted, StoreError> {
    let mut tx = rows.begin().await?;
    sqlx::query("select pg_advisory_xact_lock($1)").bind(CREATE_LOCK).execute(&mut *tx).await?;
    let existing = sqlx::query(select!("where invoice_id = $1")).bind(intent.invoice_id.uuid());
    let existing = existing.fetch_optional(&mut *tx).await?;
    if let Some(existing) = existing {
        return Ok(Inserted::Existing(Box::new(read(&existing)?)));
    }
    let counts = read_counts(&sqlx::query(COUNTS).fetch_one(&mut *tx).await?)?;
    if counts.open >= max_open || counts.accepted >= max_accepted {
        return Ok(Inserted::LimitReached);
    }
    insert_in_tx(&mut tx, intent, now).await?;
    tx.commit().await?;
    Ok(Inserted::New)
}

/// Remembers an id that was released before it was created, with its event. False if the id exists.
pub async fn insert_tombstone(
    rows: &Rows,
    tombstone: &HoldInvoice,
    event: &Event,
    now: UnixMs,
) -> Result<bool, StoreError> {
    let mut tx = rows.begin().await?;
    sqlx::query("select pg_advisory_xact_lock($1)").bind(CREATE_LOCK).execute(&mut *tx).await?;
    let inserted = insert_in_tx(&mut tx, tombstone, now).await?;
    if inserted {
        events::append_in_tx(&mut tx, event).await?;
        tx.commit().await?;
    }
    Ok(inserted)
}

async fn insert_in_tx(tx: &mut Tx, invoice: &HoldInvoice, now: UnixMs) -> Result<bool, StoreError> {
    let inserted = sqlx::query(
        "with inserted as ( \
           insert into hold_invoice (invoice_id, payment_hash, amount_msat, description_hash, expiry_s, state, \
             expiry_unix_s, release_reason, created_unix_ms, updated_unix_ms) \
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9) on conflict do nothing \
           returning invoice_id, state, updated_unix_ms) \
         insert into hold_invoice_history (invoice_id, state, recorded_unix_ms) \
         select invoice_id, state, updated_unix_ms from inserted",
    )
    .bind(invoice.invoice_id.uuid())
    .bind(invoice.payment_hash.0.as_bytes().as_slice())
    .bind(invoice.terms.map(|terms| terms.amount.to_i64()))
    .bind(invoice.terms.map(|terms| terms.description_hash.to_vec()))
    .bind(invoice.terms.map(|terms| i64::from(terms.expiry_s)))
    .bind(invoice.state.as_str())
    .bind(row::time(invoice.expiry.0))
    .bind(&invoice.release_reason)
    .bind(row::time(now.0))
    .execute(&mut **tx)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Moves a row from the state it was read in to the state after a transition, with its event, in one
/// commit. False, and nothing written, if somebody moved it first.
pub async fn advance(
    rows: &Rows,
    before: &HoldInvoice,
    transition: &Transition,
    after: &HoldInvoice,
    node_payment_id: Option<[u8; 32]>,
    now: UnixMs,
) -> Result<bool, StoreError> {
    let mut tx = rows.begin().await?;
    if !compare_and_set(&mut tx, before, after, node_payment_id, now).await? {
        return Ok(false);
    }
    if let Some(kind) = transition.event {
        events::append_in_tx(&mut tx, &Event::HoldInvoice(kind, after.clone())).await?;
    }
    tx.commit().await?;
    Ok(true)
}

async fn compare_and_set(
    tx: &mut Tx,
    before: &HoldInvoice,
    after: &HoldInvoice,
    node_payment_id: Option<[u8; 32]>,
    now: UnixMs,
) -> Result<bool, StoreError> {
    let moved = sqlx::query(
        "update hold_invoice set state = $3, bolt11 = $4, expiry_unix_s = $5, accepted_amount_msat = $6, \
           claim_deadline_height = $7, accepted_unix_ms = $8, release_reason = $9, \
           fail_back_until_height = greatest(fail_back_until_height, $10), \
           node_payment_id = coalesce($11, node_payment_id), updated_unix_ms = $12 \
         where invoice_id = $1 and state = $2",
    )
    .bind(before.invoice_id.uuid())
    .bind(before.state.as_str())
    .bind(after.state.as_str())
    .bind(&after.bolt11)
    .bind(row::time(after.expiry.0))
    .bind(after.hold.map(|hold| hold.amount.to_i64()))
    .bind(after.claim_deadline().map(i64::from))
    .bind(after.hold.map(|hold| row::time(hold.accepted_at.0)))
    .bind(&after.release_reason)
    .bind(after.fail_back_until_height.map(i64::from))
    .bind(node_payment_id.map(|id| id.to_vec()))
    .bind(row::time(now.0))
    .execute(&mut **tx)
    .await?;
    if moved.rows_affected() != 1 {
        return Ok(false);
    }
    if after.state != before.state {
        sqlx::query(
            "insert into hold_invoice_history (invoice_id, state, recorded_unix_ms) values ($1, $2, $3)",
        )
        .bind(after.invoice_id.uuid())
        .bind(after.state.as_str())
        .bind(row::time(now.0))
        .execute(&mut **tx)
        .await?;
    }
    Ok(true)
}

/// Records money that no row authorised, with its event. Idempotent by the payment hash.
pub async fn record_unexpected(
    rows: &Rows,
    receipt: &UnexpectedReceipt,
    now: UnixMs,
) -> Result<(), StoreError> {
    let mut tx = rows.begin().await?;
    let recorded = sqlx::query(
        "insert into unexpected_receipt (payment_hash, amount_msat, note, recorded_unix_ms) \
         values ($1, $2, $3, $4) on conflict do nothing",
    )
    .bind(receipt.payment_hash.0.as_bytes().as_slice())
    .bind(receipt.amount.to_i64())
    .bind(&receipt.note)
    .bind(row::time(now.0))
    .execute(&mut *tx)
    .await?;
    if recorded.rows_affected() == 1 {
        events::append_in_tx(&mut tx, &Event::ReceiptUnexpected(receipt.clone())).await?;
    }
    tx.commit().await?;
    Ok(())
}

fn read(found: &PgRow) -> Result<HoldInvoice, StoreError> {
    let state: &str = row::get(found, "state")?;
    let terms = match row::opt_msat(found, "amount_msat")? {
        None => None,
        Some(amount) => Some(Terms {
            amount,
            description_hash: Digest::new(row::bytes(found, "description_hash")?),
            expiry_s: row::u32_of(found, "expiry_s")?,
        }),
    };
    let arrived =
        row::opt_msat(found, "accepted_amount_msat")?.zip(row::opt_unix_ms(found, "accepted_unix_ms")?);
    let claim_deadline_height = row::opt_u32(found, "claim_deadline_height")?;
    Ok(HoldInvoice {
        invoice_id: InvoiceId::try_new(row::get(found, "invoice_id")?).map_err(corrupt)?,
        payment_hash: row::payment_hash(found)?,
        terms,
        bolt11: row::get(found, "bolt11")?,
        state: HoldState::from_name(state).ok_or_else(|| corrupt(format!("hold invoice state {state:?}")))?,
        expiry: row::unix_s(found, "expiry_unix_s")?,
        hold: arrived.map(|(amount, accepted_at)| Hold { amount, claim_deadline_height, accepted_at }),
        release_reason: row::get(found, "release_reason")?,
        fail_back_until_height: row::opt_u32(found, "fail_back_until_height")?,
    })
}

fn read_counts(found: &PgRow) -> Result<Counts, StoreError> {
    let count = |column| -> Result<u64, StoreError> {
        u64::try_from(row::get::<i64>(found, column)?).map_err(corrupt)
    };
    Ok(Counts {
        open: count("open")?,
        accepted: count("accepted")?,
        held: row::msat(found, "held")?,
        nearest_deadline: row::opt_u32(found, "deadline")?,
    })
}
