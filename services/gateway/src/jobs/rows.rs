//! Rows of jobs that change in the commits of the ledger's writer: prepaid jobs begin, go on and end in them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};

use ailayer_primitives::{AmountMsat, JobId, RequestId, UnixMs};
use ailayer_store::{StoreError, Tx};
use async_trait::async_trait;
use parking_lot::Mutex;

use super::enqueue_closings_in_tx;
use super::plan::Plan;
use crate::domain::api_key::{KeyId, SpendLimit, Spent};
use crate::domain::ledger::{CustomerId, Posted};
use crate::store::account_limits::{self, LimitsRecord};
use crate::store::api_keys::{self, SpendingKey};
use crate::store::prepaid::{NewPrepaidJob, insert_in_tx, known_in_tx};
use crate::store::spending::{self, Unused};
use crate::store::transitions::{self, Standing};
use crate::tasks::write_ledger::{Fit, Rider, Riders};

/// About what a row takes besides its texts.
const BYTES_OF_A_ROW: usize = 512;

/// A job's row that changes.
#[derive(Debug)]
pub struct JobRow(Kind);

#[derive(Debug)]
enum Kind {
    Begin(Box<Begin>),
    Change(Box<Change>),
}

/// A change that was decided on a row as it was read, without a lock.
#[derive(Debug)]
struct Change {
    plan: Plan,
    /// Whether what the job has not used counts against a limit: found with the locks.
    is_limited: AtomicBool,
}

/// A job that begins with its reservation.
#[derive(Debug)]
struct Begin {
    new: NewPrepaidJob,
    /// What key and account had spent before this batch, if they have limits: found under their locks, written on with the jobs.
    spent_before: Mutex<Before>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Before {
    key: Option<Spent>,
    account: Option<Spent>,
}

impl JobRow {
    /// A job that is about to begin.
    pub fn begin(new: NewPrepaidJob) -> Self {
        Self(Kind::Begin(Box::new(Begin { new, spent_before: Mutex::default() })))
    }

    /// A change that was decided on a row as it was read, without a lock.
    pub(super) fn change(plan: Plan) -> Self {
        Self(Kind::Change(Box::new(Change { plan, is_limited: AtomicBool::new(false) })))
    }

    fn as_begin(&self) -> Option<&Begin> {
        if let Kind::Begin(begin) = &self.0 { Some(begin) } else { None }
    }

    fn as_change(&self) -> Option<&Change> {
        if let Kind::Change(change) = &self.0 { Some(change) } else { None }
    }
}

impl Rider for JobRow {
    fn bytes(&self) -> usize {
        let texts = match &self.0 {
            Kind::Begin(begin) => begin.new.input.len().saturating_add(begin.new.quote.len()),
            Kind::Change(change) => change.plan.bytes(),
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
    /// its key is good, and key and account may spend the cap.
    ///
    /// Locked are jobs, then the keys and then the accounts whose spending is limited, each in the order of their ids; the ledger's
    /// accounts come behind, as in every transaction.
    async fn lock_in_tx(&self, tx: &mut Tx, rows: &[&JobRow]) -> Result<Vec<Fit>, StoreError> {
        let mut locked = Locked::of(tx, rows).await?;
        Ok(rows.iter().map(|row| locked.fit(row)).collect())
    }

    async fn write_in_tx(&self, tx: &mut Tx, rows: &[(&JobRow, Option<Posted>)]) -> Result<(), StoreError> {
        let begins = rows.iter().filter_map(|(row, posted)| Some((row.as_begin()?, (*posted)?)));
        let begins: Vec<(&Begin, Posted)> = begins.collect();
        begin_in_tx(tx, &begins).await?;
        let changes: Vec<&Change> = rows.iter().filter_map(|(row, _)| row.as_change()).collect();
        change_in_tx(tx, &changes).await
    }
}

async fn begin_in_tx(tx: &mut Tx, begins: &[(&Begin, Posted)]) -> Result<(), StoreError> {
    if begins.is_empty() {
        return Ok(());
    }
    let new: Vec<_> = begins.iter().map(|(begin, posted)| (&begin.new, posted.posted_at)).collect();
    insert_in_tx(tx, &new).await?;
    let (mut keys, mut accounts) = (BTreeMap::new(), BTreeMap::new());
    for (begin, _) in begins {
        let (terms, cap, before) = (&begin.new.terms, begin.new.cap, *begin.spent_before.lock());
        spend(&mut keys, terms.key_id, before.key, cap);
        spend(&mut accounts, terms.account, before.account, cap);
    }
    spending::write_keys_in_tx(tx, &keys.into_iter().collect::<Vec<_>>()).await?;
    spending::write_accounts_in_tx(tx, &accounts.into_iter().collect::<Vec<_>>()).await
}

/// Adds to what was spent before, where that is limited.
fn spend<Id: Ord>(all: &mut BTreeMap<Id, Spent>, id: Id, before: Option<Spent>, cap: AmountMsat) {
    if let Some(before) = before {
        let spent = all.entry(id).or_insert(before);
        spent.amount = spent.amount.checked_add(cap).unwrap_or(AmountMsat::MAX);
    }
}

async fn change_in_tx(tx: &mut Tx, changes: &[&Change]) -> Result<(), StoreError> {
    if changes.is_empty() {
        return Ok(());
    }
    let plans: Vec<&Plan> = changes.iter().map(|change| &change.plan).collect();
    let rows: Vec<transitions::Change<'_>> = plans.iter().map(|plan| plan.change()).collect();
    if transitions::write_in_tx(tx, &rows).await? != rows.len() {
        // Under the rows' locks it cannot happen; whoever made it happen must not be believed.
        return Err(StoreError::Corrupt("jobs changed while they were locked".to_owned()));
    }
    enqueue_closings_in_tx(tx, &plans).await?;
    // Behind what beginning jobs have added: either order gives the same sum.
    let limited = changes.iter().filter(|change| change.is_limited.load(Ordering::Relaxed));
    let unused: Vec<Unused> = limited.filter_map(|change| change.plan.unused).collect();
    spending::give_back_in_tx(tx, &unused).await
}

/// What a batch of rows is about, locked, and what of it the rows decided on so far have taken.
struct Locked {
    standing: HashMap<JobId, Standing>,
    keys: BTreeMap<KeyId, Key>,
    accounts: BTreeMap<CustomerId, Window>,
    taken: BTreeSet<(CustomerId, RequestId)>,
}

impl Locked {
    async fn of(tx: &mut Tx, rows: &[&JobRow]) -> Result<Self, StoreError> {
        let changed: Vec<JobId> =
            rows.iter().filter_map(|row| row.as_change()).map(|change| change.plan.before.job_id).collect();
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
        let unused = || rows.iter().filter_map(|row| row.as_change()?.plan.unused);
        let terms = || begins().map(|begin| begin.new.terms);
        let keys = terms().map(|terms| terms.key_id).chain(unused().map(|unused| unused.key_id));
        let keys: BTreeSet<KeyId> = keys.collect();
        let keys = match keys.is_empty() {
            true => Vec::new(),
            false => api_keys::lock_limited_in_tx(tx, &keys.into_iter().collect::<Vec<_>>()).await?,
        };
        let limited = keys.iter().filter(|key| key.account_is_limited);
        let limited: BTreeSet<CustomerId> = limited.map(|key| key.record.caller.account).collect();
        let accounts = match limited.is_empty() {
            true => Vec::new(),
            false => account_limits::lock_in_tx(tx, &limited.into_iter().collect::<Vec<_>>()).await?,
        };
        let window =
            |it: LimitsRecord| Some((it.account, Window::of(it.limits.spend_limit?, it.spent, it.now)));
        Ok(Self {
            standing,
            keys: keys.iter().map(|key| (key.record.caller.key_id, Key::new(key))).collect(),
            accounts: accounts.into_iter().filter_map(window).collect(),
            taken,
        })
    }

    fn fit(&mut self, row: &JobRow) -> Fit {
        match &row.0 {
            Kind::Begin(begin) => self.fit_begin(begin),
            Kind::Change(change) => self.fit_change(change),
        }
    }

    fn fit_begin(&mut self, begin: &Begin) -> Fit {
        let request = (begin.new.terms.account, begin.new.request_id);
        let key = self.keys.get_mut(&begin.new.terms.key_id);
        let Some(key) = key.filter(|key| key.is_good) else { return Fit::Moved };
        let account = self.accounts.get_mut(&begin.new.terms.account);
        let windows = [key.window.as_mut(), account];
        let [of_key, of_account] = &windows;
        let before = |window: &Option<&mut Window>| window.as_ref().map(|window| window.before);
        *begin.spent_before.lock() = Before { key: before(of_key), account: before(of_account) };
        let cap = begin.new.cap;
        let is_allowed = windows.iter().flatten().all(|window| window.allows(cap));
        if !is_allowed || !self.taken.insert(request) {
            return Fit::Moved;
        }
        windows.into_iter().flatten().for_each(|window| window.spend(cap));
        Fit::Fits
    }

    fn fit_change(&mut self, change: &Change) -> Fit {
        let plan = &change.plan;
        let key = plan.unused.and_then(|unused| self.keys.get(&unused.key_id));
        change.is_limited.store(key.is_some_and(|key| key.is_limited), Ordering::Relaxed);
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
    is_good: bool,
    /// Its spending, or its account's.
    is_limited: bool,
    window: Option<Window>,
}

impl Key {
    fn new(key: &SpendingKey) -> Self {
        let SpendingKey { record, account_is_limited } = key;
        let limit = record.caller.terms.spend_limit;
        let window = limit.map(|limit| Window::of(limit, record.spent, record.now));
        Self { is_good: record.is_good(), is_limited: limit.is_some() || *account_is_limited, window }
    }
}

/// What somebody may spend and has spent, while a batch is decided on.
struct Window {
    limit: SpendLimit,
    before: Spent,
    spent: Spent,
    now: UnixMs,
}

impl Window {
    fn of(limit: SpendLimit, spent: Spent, now: UnixMs) -> Self {
        let before = spent.at(&limit, now);
        Self { limit, before, spent: before, now }
    }

    fn allows(&self, cap: AmountMsat) -> bool {
        self.spent.with(&self.limit, cap, self.now).is_some()
    }

    /// Later jobs of the batch see it spent, also if the ledger then refuses this one.
    fn spend(&mut self, cap: AmountMsat) {
        self.spent = self.spent.with(&self.limit, cap, self.now).unwrap_or(self.spent);
    }
}
