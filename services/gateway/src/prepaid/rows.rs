//! The rows of prepaid jobs, written in the commit that reserves their caps.

use std::collections::{BTreeMap, BTreeSet};

use ailayer_primitives::AmountMsat;
use ailayer_store::{StoreError, Tx};
use async_trait::async_trait;
use parking_lot::Mutex;

use crate::domain::api_key::{KeyId, Spent};
use crate::domain::ledger::Posted;
use crate::store::api_keys::{self, KeyRecord};
use crate::store::prepaid::{NewPrepaidJob, insert_in_tx, known_in_tx};
use crate::tasks::write_ledger::{Rider, Riders};

/// About what a row takes besides its input and quote.
const BYTES_OF_A_ROW: usize = 512;

/// A job that begins with its reservation.
#[derive(Debug)]
pub struct PrepaidRow {
    new: NewPrepaidJob,
    /// What the key had spent before this batch, if it has a limit: found under its lock, written on with the jobs.
    spent_before: Mutex<Option<Spent>>,
}

impl PrepaidRow {
    /// A job that is about to begin.
    pub fn new(new: NewPrepaidJob) -> Self {
        Self { new, spent_before: Mutex::new(None) }
    }
}

impl Rider for PrepaidRow {
    fn bytes(&self) -> usize {
        self.new.input.len().saturating_add(self.new.quote.len()).saturating_add(BYTES_OF_A_ROW)
    }
}

/// Writes [`PrepaidRow`]s.
#[derive(Debug, Clone, Copy, Default)]
pub struct PrepaidRows;

#[async_trait]
impl Riders for PrepaidRows {
    type Row = PrepaidRow;

    /// A job fits if its request has made none, also not in this batch, and its key is good and may spend the cap.
    async fn lock_in_tx(&self, tx: &mut Tx, rows: &[&PrepaidRow]) -> Result<Vec<bool>, StoreError> {
        let requests: Vec<_> = rows.iter().map(|row| (row.new.terms.account, row.new.request_id)).collect();
        let mut taken: BTreeSet<_> = known_in_tx(tx, &requests).await?.into_iter().collect();
        let ids: BTreeSet<KeyId> = rows.iter().map(|row| row.new.terms.key_id).collect();
        let ids: Vec<KeyId> = ids.into_iter().collect();
        let keys = api_keys::lock_in_tx(tx, &ids).await?;
        let mut keys: BTreeMap<KeyId, Key> =
            keys.into_iter().map(|record| (record.caller.key_id, Key::new(record))).collect();
        let fits = rows.iter().zip(requests).map(|(row, request)| {
            let Some(key) = keys.get_mut(&row.new.terms.key_id).filter(|key| key.record.is_good()) else {
                return false;
            };
            *row.spent_before.lock() = key.before;
            key.allows(row.new.cap) && taken.insert(request)
        });
        Ok(fits.collect())
    }

    async fn write_in_tx(&self, tx: &mut Tx, rows: &[(&PrepaidRow, Posted)]) -> Result<(), StoreError> {
        let new: Vec<&NewPrepaidJob> = rows.iter().map(|(row, _)| &row.new).collect();
        insert_in_tx(tx, &new).await?;
        let mut spent: BTreeMap<KeyId, Spent> = BTreeMap::new();
        for (row, _) in rows {
            if let Some(before) = *row.spent_before.lock() {
                let spent = spent.entry(row.new.terms.key_id).or_insert(before);
                spent.amount = spent.amount.checked_add(row.new.cap).unwrap_or(AmountMsat::MAX);
            }
        }
        api_keys::write_spent_in_tx(tx, &spent.into_iter().collect::<Vec<_>>()).await
    }
}

/// A locked key while a batch is decided on.
struct Key {
    record: KeyRecord,
    before: Option<Spent>,
    now_spent: Spent,
}

impl Key {
    fn new(record: KeyRecord) -> Self {
        let limit = record.caller.terms.spend_limit.as_ref();
        let before = limit.map(|limit| record.spent.at(limit, record.now));
        Self { now_spent: before.unwrap_or(Spent::NOTHING), before, record }
    }

    /// Whether so much more may be spent; later jobs of the batch see it spent, also if the ledger then refuses this one.
    fn allows(&mut self, cap: AmountMsat) -> bool {
        let Some(limit) = &self.record.caller.terms.spend_limit else { return true };
        match self.now_spent.with(limit, cap, self.record.now) {
            Some(spent) => {
                self.now_spent = spent;
                true
            }
            None => false,
        }
    }
}
