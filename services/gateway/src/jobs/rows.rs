//! Rows of jobs that change in the commits of the ledger's writer: prepaid jobs begin, go on and end in them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ailayer_primitives::{AmountMsat, JobId, RequestId};
use ailayer_store::{StoreError, Tx};
use async_trait::async_trait;
use parking_lot::Mutex;

use super::enqueue_closings_in_tx;
use super::plan::Plan;
use crate::domain::api_key::{KeyId, Spent};
use crate::domain::ledger::{CustomerId, Posted};
use crate::store::api_keys::{self, KeyRecord, Unused};
use crate::store::prepaid::{NewPrepaidJob, insert_in_tx, known_in_tx};
use crate::store::transitions::{self, Change, Standing};
use crate::tasks::write_ledger::{Fit, Rider, Riders};

/// About what a row takes besides its texts.
const BYTES_OF_A_ROW: usize = 512;

/// A job's row that changes.
#[derive(Debug)]
pub struct JobRow(Kind);

#[derive(Debug)]
enum Kind {
    Begin(Box<Begin>),
    Change(Box<Plan>),
}

/// A job that begins with its reservation.
#[derive(Debug)]
struct Begin {
    new: NewPrepaidJob,
    /// What the key had spent before this batch, if it has a limit: found under its lock, written on with the jobs.
    spent_before: Mutex<Option<Spent>>,
}

impl JobRow {
    /// A job that is about to begin.
    pub fn begin(new: NewPrepaidJob) -> Self {
        Self(Kind::Begin(Box::new(Begin { new, spent_before: Mutex::new(None) })))
    }

    /// A change that was decided on a row as it was read, without a lock.
    pub(super) fn change(plan: Plan) -> Self {
        Self(Kind::Change(Box::new(plan)))
    }

    fn as_begin(&self) -> Option<&Begin> {
        if let Kind::Begin(begin) = &self.0 { Some(begin) } else { None }
    }

    fn as_change(&self) -> Option<&Plan> {
        if let Kind::Change(plan) = &self.0 { Some(plan) } else { None }
    }
}

impl Rider for JobRow {
    fn bytes(&self) -> usize {
        let texts = match &self.0 {
            Kind::Begin(begin) => begin.new.input.len().saturating_add(begin.new.quote.len()),
            Kind::Change(plan) => plan.bytes(),
        };
        texts.saturating_add(BYTES_OF_A_ROW)
    }
}

/// Writes [`JobRow`]s.
#[derive(Debug, Clone, Copy, Default)]
pub struct JobRows;

#[async_trait]
impl Riders for JobRows {
    type Row = JobRow;

    /// A change fits if its row is as it was decided on. A job may begin if its request has made none, also not in this batch,
    /// and its key is good and may spend the cap.
    ///
    /// Locked are jobs, then keys, each in the order of their ids; accounts come behind, as in every transaction.
    async fn lock_in_tx(&self, tx: &mut Tx, rows: &[&JobRow]) -> Result<Vec<Fit>, StoreError> {
        let mut locked = Locked::of(tx, rows).await?;
        Ok(rows.iter().map(|row| locked.fit(row)).collect())
    }

    async fn write_in_tx(&self, tx: &mut Tx, rows: &[(&JobRow, Option<Posted>)]) -> Result<(), StoreError> {
        let begins = rows.iter().filter_map(|(row, posted)| Some((row.as_begin()?, (*posted)?)));
        let begins: Vec<(&Begin, Posted)> = begins.collect();
        begin_in_tx(tx, &begins).await?;
        let plans: Vec<&Plan> = rows.iter().filter_map(|(row, _)| row.as_change()).collect();
        change_in_tx(tx, &plans).await
    }
}

async fn begin_in_tx(tx: &mut Tx, begins: &[(&Begin, Posted)]) -> Result<(), StoreError> {
    if begins.is_empty() {
        return Ok(());
    }
    let new: Vec<_> = begins.iter().map(|(begin, posted)| (&begin.new, posted.posted_at)).collect();
    insert_in_tx(tx, &new).await?;
    let mut spent: BTreeMap<KeyId, Spent> = BTreeMap::new();
    for (begin, _) in begins {
        if let Some(before) = *begin.spent_before.lock() {
            let spent = spent.entry(begin.new.terms.key_id).or_insert(before);
            spent.amount = spent.amount.checked_add(begin.new.cap).unwrap_or(AmountMsat::MAX);
        }
    }
    api_keys::write_spent_in_tx(tx, &spent.into_iter().collect::<Vec<_>>()).await
}

async fn change_in_tx(tx: &mut Tx, plans: &[&Plan]) -> Result<(), StoreError> {
    if plans.is_empty() {
        return Ok(());
    }
    let changes: Vec<Change<'_>> = plans.iter().map(|plan| plan.change()).collect();
    if transitions::write_in_tx(tx, &changes).await? != changes.len() {
        // Under the rows' locks it cannot happen; whoever made it happen must not be believed.
        return Err(StoreError::Corrupt("jobs changed while they were locked".to_owned()));
    }
    enqueue_closings_in_tx(tx, plans).await?;
    // Behind what beginning jobs have added: either order gives the same sum.
    let unused: Vec<Unused> = plans.iter().filter_map(|plan| plan.unused).collect();
    api_keys::give_back_in_tx(tx, &unused).await
}

/// What a batch of rows is about, locked, and what of it the rows decided on so far have taken.
struct Locked {
    standing: HashMap<JobId, Standing>,
    keys: BTreeMap<KeyId, Key>,
    taken: BTreeSet<(CustomerId, RequestId)>,
}

impl Locked {
    async fn of(tx: &mut Tx, rows: &[&JobRow]) -> Result<Self, StoreError> {
        let changed: Vec<JobId> =
            rows.iter().filter_map(|row| row.as_change()).map(|plan| plan.before.job_id).collect();
        let standing = match changed.is_empty() {
            true => HashMap::new(),
            false => transitions::lock_in_tx(tx, &changed).await?,
        };
        let begins = || rows.iter().filter_map(|row| row.as_begin());
        let requests: Vec<_> =
            begins().map(|begin| (begin.new.terms.account, begin.new.request_id)).collect();
        let taken = match requests.is_empty() {
            true => BTreeSet::new(),
            false => known_in_tx(tx, &requests).await?.into_iter().collect(),
        };
        let unused = rows.iter().filter_map(|row| row.as_change()?.unused).map(|unused| unused.key_id);
        let ids: BTreeSet<KeyId> = begins().map(|begin| begin.new.terms.key_id).chain(unused).collect();
        let ids: Vec<KeyId> = ids.into_iter().collect();
        let keys = if ids.is_empty() { Vec::new() } else { api_keys::lock_in_tx(tx, &ids).await? };
        let keys = keys.into_iter().map(|record| (record.caller.key_id, Key::new(record))).collect();
        Ok(Self { standing, keys, taken })
    }

    fn fit(&mut self, row: &JobRow) -> Fit {
        match &row.0 {
            Kind::Begin(begin) => self.fit_begin(begin),
            Kind::Change(plan) => self.fit_change(plan),
        }
    }

    fn fit_begin(&mut self, begin: &Begin) -> Fit {
        let request = (begin.new.terms.account, begin.new.request_id);
        let key = self.keys.get_mut(&begin.new.terms.key_id);
        let Some(key) = key.filter(|key| key.record.is_good()) else { return Fit::Moved };
        *begin.spent_before.lock() = key.before;
        let fits = key.allows(begin.new.cap) && self.taken.insert(request);
        if fits { Fit::Fits } else { Fit::Moved }
    }

    fn fit_change(&mut self, plan: &Plan) -> Fit {
        let standing = self.standing.get(&plan.before.job_id).copied();
        if standing == Some(Standing::from(&plan.before)) {
            // For a second change of the same row in this batch.
            self.standing.remove(&plan.before.job_id);
            return Fit::Fits;
        }
        // No two drivings have the same attempt, so nobody else can have come to this version of it.
        if standing == Some(Standing::from(&plan.after)) { Fit::Written } else { Fit::Moved }
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
