//! Rows of other tables that change in the same commit as an operation, and for many operations at once.

use std::convert::Infallible;

use ailayer_store::{StoreError, Tx};
use async_trait::async_trait;

use super::queue::Order;
use crate::domain::ledger::{Posted, Verdict};
use crate::store::ledger::Submission;

/// Writes what rides with operations: the change of a job's state with its reservation, say, so that the two need one
/// coalesced commit and not one each.
///
/// For each batch `lock_in_tx` is called before any account is locked, `write_in_tx` when the verdicts are known. Both get
/// rows in the order of input and should need one statement.
#[async_trait]
pub trait Riders: Send + Sync + 'static {
    /// One change.
    type Row: Rider;

    /// Locks what the changes are about, in the same order everywhere, and answers for each whether it is still as the
    /// change was decided on. If not, its operation is refused with [`crate::domain::ledger::Refusal::Moved`].
    ///
    /// Of two changes of one row in a batch the second must not fit: the caller submits it again.
    async fn lock_in_tx(&self, tx: &mut Tx, rows: &[&Self::Row]) -> Result<Vec<bool>, StoreError>;

    /// Writes the changes whose operations were applied just now.
    async fn write_in_tx(&self, tx: &mut Tx, rows: &[(&Self::Row, Posted)]) -> Result<(), StoreError>;
}

/// One change that rides.
pub trait Rider: Send + Sync + 'static {
    /// About what it takes in memory and on the wire: the queue and a batch are bounded by it.
    fn bytes(&self) -> usize;
}

impl Rider for Infallible {
    fn bytes(&self) -> usize {
        match *self {}
    }
}

/// Nothing rides.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoRiders;

#[async_trait]
impl Riders for NoRiders {
    type Row = Infallible;

    async fn lock_in_tx(&self, _: &mut Tx, _: &[&Infallible]) -> Result<Vec<bool>, StoreError> {
        Ok(Vec::new())
    }

    async fn write_in_tx(&self, _: &mut Tx, _: &[(&Infallible, Posted)]) -> Result<(), StoreError> {
        Ok(())
    }
}

pub(super) async fn lock_in_tx<R: Riders>(
    riders: &R,
    tx: &mut Tx,
    batch: &[Order<R::Row>],
    submissions: &mut [Submission],
) -> Result<(), StoreError> {
    let rows: Vec<&R::Row> = batch.iter().filter_map(|order| order.rider.as_ref()).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let fits = riders.lock_in_tx(tx, &rows).await?;
    if fits.len() != rows.len() {
        return Err(StoreError::Corrupt("a change without an answer whether it fits".to_owned()));
    }
    let with_rider = batch.iter().zip(submissions).filter(|(order, _)| order.rider.is_some());
    with_rider.zip(fits).for_each(|((_, submission), fits)| submission.may_apply = fits);
    Ok(())
}

pub(super) async fn write_in_tx<R: Riders>(
    riders: &R,
    tx: &mut Tx,
    batch: &[Order<R::Row>],
    verdicts: &[Verdict],
) -> Result<(), StoreError> {
    let applied = batch.iter().zip(verdicts).filter_map(|(order, verdict)| match (&order.rider, verdict) {
        (Some(row), Verdict::Applied(posted)) => Some((row, *posted)),
        _ => None,
    });
    let applied: Vec<(&R::Row, Posted)> = applied.collect();
    if applied.is_empty() { Ok(()) } else { riders.write_in_tx(tx, &applied).await }
}
