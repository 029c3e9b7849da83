//! Operations, applied in one transaction.
//!
//! The accounts are locked in the order of their ids, then read, so that what is decided on cannot change before the commit;
//! the rules decide in the order of input; everything is written in one statement, guarded by the accounts' versions. Any
//! number of writers may do so at once. One call a transaction: a second one would lock out of order.

use ailayer_store::{StoreError, Tx};
use uuid::Uuid;

use super::{locked, write};
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
    if submissions.is_empty() {
        return Ok(Vec::new());
    }
    let mut page = locked::load_in_tx(tx, stripe, submissions).await?;
    let verdicts = submissions.iter().map(|submission| {
        let Submission { operation, transaction_id, may_apply } = submission;
        let is_known = page.book.entry(operation.account(), operation.request_id()).is_some();
        if *may_apply || is_known {
            page.book.apply(operation, *transaction_id, stripe, page.now)
        } else {
            Verdict::Refused(Refusal::Moved)
        }
    });
    let verdicts = verdicts.collect();
    write::write_in_tx(tx, &page).await?;
    Ok(verdicts)
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
