//! Rows of other tables that change in the same commit as an operation, and for many operations at once.

use std::convert::Infallible;

use ailayer_store::{StoreError, Tx};
use async_trait::async_trait;

use super::queue::{Answer, Order};
use crate::domain::ledger::{Posted, Verdict};

/// How a change stands to the row that it was decided on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// The row is as it was.
    Fits,
    /// The row is as the change leaves it: a commit that was not answered has happened.
    Written,
    /// Something else was faster. Nothing is written.
    Moved,
}

/// Writes what rides with operations: the change of a job's state with its reservation, say, so that the two need one
/// coalesced commit and not one each. A change may also ride alone, without an operation.
///
/// For each batch `lock_in_tx` is called before any account is locked, `write_in_tx` when the verdicts are known. Both get
/// rows in the order of input and should need few statements, whatever the number of rows.
#[async_trait]
pub trait Riders: Send + Sync + 'static {
    /// One change.
    type Row: Rider;

    /// Locks what the changes are about, in the same order everywhere, and answers for each how it stands. Unless it fits,
    /// its operation is refused with [`crate::domain::ledger::Refusal::Moved`], or answered as it was when it was applied.
    ///
    /// Of two changes of one row in a batch the second must not fit: the caller submits it again.
    async fn lock_in_tx(&self, tx: &mut Tx, rows: &[&Self::Row]) -> Result<Vec<Fit>, StoreError>;

    /// Writes the changes that fit and whose operations, if they have one, were applied just now.
    async fn write_in_tx(&self, tx: &mut Tx, rows: &[(&Self::Row, Option<Posted>)])
    -> Result<(), StoreError>;
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

    async fn lock_in_tx(&self, _: &mut Tx, _: &[&Infallible]) -> Result<Vec<Fit>, StoreError> {
        Ok(Vec::new())
    }

    async fn write_in_tx(&self, _: &mut Tx, _: &[(&Infallible, Option<Posted>)]) -> Result<(), StoreError> {
        Ok(())
    }
}

/// For each order of the batch whether what rides with it fits; where nothing rides, nothing can have moved.
pub(super) async fn lock_in_tx<R: Riders>(
    riders: &R,
    tx: &mut Tx,
    batch: &[Order<R::Row>],
) -> Result<Vec<Fit>, StoreError> {
    let rows: Vec<&R::Row> = batch.iter().filter_map(|order| order.rider.as_ref()).collect();
    if rows.is_empty() {
        return Ok(vec![Fit::Fits; batch.len()]);
    }
    let fits = riders.lock_in_tx(tx, &rows).await?;
    if fits.len() != rows.len() {
        return Err(StoreError::Corrupt("a change without an answer whether it fits".to_owned()));
    }
    let mut fits = fits.into_iter();
    let of_order = |order: &Order<R::Row>| order.rider.as_ref().and_then(|_| fits.next());
    Ok(batch.iter().map(of_order).map(|fit| fit.unwrap_or(Fit::Fits)).collect())
}

pub(super) async fn write_in_tx<R: Riders>(
    riders: &R,
    tx: &mut Tx,
    batch: &[Order<R::Row>],
    answers: &[Answer],
) -> Result<(), StoreError> {
    let written = batch.iter().zip(answers).filter_map(|(order, answer)| match (&order.rider, answer) {
        (Some(row), Answer::Operation(Verdict::Applied(posted))) => Some((row, Some(*posted))),
        (Some(row), Answer::Change(Fit::Fits)) => Some((row, None)),
        _ => None,
    });
    let written: Vec<(&R::Row, Option<Posted>)> = written.collect();
    if written.is_empty() { Ok(()) } else { riders.write_in_tx(tx, &written).await }
}
