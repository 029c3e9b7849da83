//! Operations, applied in one transaction.
//!
//! The accounts are locked in the order of their ids, then read, so that what is decided on cannot change before the commit;
//! the rules decide in the order of input; everything is written in one statement, guarded by the accounts' versions. Any
//! number of writers may do so at once. One call a transaction: a second one would lock out of order.
//!
//! What was decided from memory ([`super::recall`]) is locked, compared and written by that one statement.

use ailayer_primitives::UnixMs;
use ailayer_store::{StoreError, Tx};
use sqlx::PgConnection;
use uuid::Uuid;

use super::locked::{self, Page};
use super::write;
use crate::domain::ledger::{Operation, Refusal, Stripe, TransactionId, Verdict};

/// An operation with the id its transaction will have. The id tells whoever repeats the write after an unclear end that it
/// was theirs.
#[derive(Debug, Clone)]
pub struct Submission {
    /// What is to be done.
    pub operation: Operation,
    /// Names it if it is applied.
    pub transaction_id: TransactionId,
    /// False if what it belongs to has moved on: it is then answered if it was applied before, and refused if not.
    pub may_apply: bool,
}

impl Submission {
    /// With a new id.
    pub fn new(operation: Operation) -> Self {
        Self { operation, transaction_id: TransactionId::new(Uuid::now_v7()), may_apply: true }
    }
}

/// What a batch would do, decided from memory.
pub struct Decision {
    /// The answers, in the order of input, if this is how things are. Their times are completed by the write.
    pub verdicts: Vec<Verdict>,
    pub(super) page: Page,
}

/// What a batch does, decided and written, but not committed.
pub struct Applied {
    /// The answers, in the order of input.
    pub verdicts: Vec<Verdict>,
    pub(super) page: Page,
    /// By which it was written.
    pub(super) now: UnixMs,
}

/// Applies operations as if one after the other, in this order; each verdict is as if the others' commits were durable.
/// Nothing is, until the caller commits.
///
/// Lock what else the transaction locks before this call. House accounts are posted to on their sub-account `stripe`.
///
/// # Errors
/// On any error the transaction is lost, and nothing of it is applied.
pub async fn apply_in_tx(
    tx: &mut Tx,
    stripe: Stripe,
    submissions: &[Submission],
) -> Result<Vec<Verdict>, StoreError> {
    Ok(apply_locked_in_tx(tx, stripe, submissions).await?.verdicts)
}

/// As [`apply_in_tx`], for who remembers what it did.
///
/// # Errors
/// As [`apply_in_tx`].
pub async fn apply_locked_in_tx(
    tx: &mut Tx,
    stripe: Stripe,
    submissions: &[Submission],
) -> Result<Applied, StoreError> {
    if submissions.is_empty() {
        return Ok(Applied { verdicts: Vec::new(), page: Page::empty(), now: UnixMs(0) });
    }
    let mut page = locked::load_in_tx(tx, stripe, submissions).await?;
    let now = page.now.unwrap_or(UnixMs(0));
    let verdicts = verdicts(&mut page, stripe, submissions.iter());
    if !page.book.journal().is_empty() {
        match write::write(tx, &page).await {
            // Under the accounts' locks it cannot happen; whoever made it happen must not be believed.
            Err(StoreError::Violation { constraint }) if constraint == write::MOVED => {
                return Err(StoreError::Corrupt("ledger rows moved while they were locked".to_owned()));
            }
            written => written?,
        };
    }
    Ok(Applied { verdicts, page, now })
}

/// Writes what was decided from memory, if that is how things are, and completes its verdicts with the time. None if not: then
/// nothing is written, a transaction is to be rolled back, and it is to be decided under locks. In a transaction of
/// [`super::begin`] or on a connection with [`super::SETTINGS`], whose plans lock in the order given.
///
/// Outside a transaction it is one by itself, durable when this returns.
///
/// # Errors
/// Of an error that is no [refusal](StoreError::is_refusal) it is not known outside a transaction whether it was written.
pub async fn write_recalled(
    conn: &mut PgConnection,
    decision: Decision,
) -> Result<Option<Applied>, StoreError> {
    let Decision { mut verdicts, page } = decision;
    let now = match write::write(conn, &page).await {
        Ok(now) => now,
        // Others have moved what it was decided on, or a request id is known after all. What is refused for its own sake is refused
        // under locks, too.
        Err(StoreError::Conflict { constraint } | StoreError::Violation { constraint }) => {
            tracing::debug!(constraint, "the ledger has moved on");
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    for verdict in &mut verdicts {
        if let Verdict::Applied(posted) = verdict {
            posted.posted_at = posted.posted_at.max(now);
        }
    }
    Ok(Some(Applied { verdicts, page, now }))
}

pub(super) fn verdicts<'a>(
    page: &mut Page,
    stripe: Stripe,
    submissions: impl Iterator<Item = &'a Submission>,
) -> Vec<Verdict> {
    // Without a clock nothing is before anything; the write makes up for it.
    let now = page.now.unwrap_or(UnixMs(0));
    let verdict = |Submission { operation, transaction_id, may_apply }: &Submission| {
        let is_known = page.book.entry(operation.account(), operation.request_id()).is_some();
        if *may_apply || is_known {
            page.book.apply(operation, *transaction_id, stripe, now)
        } else {
            Verdict::Refused(Refusal::Moved)
        }
    };
    submissions.map(verdict).collect()
}

/// Applies one operation: for the change of a row that commits together with it.
///
/// # Errors
/// On any error the transaction is lost.
pub async fn apply_one_in_tx(
    tx: &mut Tx,
    stripe: Stripe,
    operation: Operation,
) -> Result<Verdict, StoreError> {
    let verdicts = apply_in_tx(tx, stripe, &[Submission::new(operation)]).await?;
    verdicts.first().copied().ok_or_else(|| StoreError::Corrupt("an operation without a verdict".to_owned()))
}
