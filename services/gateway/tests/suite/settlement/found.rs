//! What the tables say when everything has come to rest.

use std::collections::BTreeMap;
use std::sync::Arc;

use ailayer_gateway::domain::job::State;
use ailayer_gateway::domain::ledger::{Asset, CustomerId, HouseKind};
use ailayer_gateway::ports::Payments;
use ailayer_gateway::reconcile::reconcile;
use ailayer_gateway::store::ledger::audit;
use ailayer_gateway::store::{history, ledger, ties};
use ailayer_primitives::JobId;
use sqlx::Row as _;
use uuid::Uuid;

use super::town::Town;

#[derive(Debug, Default)]
pub struct Found {
    pub jobs: BTreeMap<JobId, FoundJob>,
    pub deposits: BTreeMap<JobId, FoundDeposit>,
    /// Balance and reserved amount.
    pub customers: BTreeMap<Uuid, (i64, i64)>,
    pub house: BTreeMap<&'static str, i64>,
    pub pending_reservations: i64,
}

#[derive(Debug)]
pub struct FoundJob {
    pub state: State,
    pub reason: Option<String>,
    pub price: i64,
    pub charge: Option<i64>,
    pub taken: Option<i64>,
    pub account: Option<CustomerId>,
    pub request_id: Uuid,
    pub receipt: Option<String>,
    pub closing: Option<String>,
    /// Whether answer and places in the log are there.
    pub has_output: bool,
    pub is_logged: bool,
    pub is_closed: bool,
    pub path: Vec<State>,
    /// What the ledger captured and how often it voided for it, as the reservation's subject.
    pub captured: Vec<i64>,
    pub voided: i64,
}

#[derive(Debug)]
pub struct FoundDeposit {
    pub state: String,
    pub credited: Option<i64>,
    pub account: Uuid,
}

pub async fn read(town: &Town) -> Found {
    let pool = town.world.store.pool();
    let mut found = Found::default();
    let jobs = "select job_id, state, release_reason, price_msat, charge_msat, taken_msat, account_id, request_id, receipt,
            closing, output is not null, leaf_index is not null, exists (select from job_closings closed where closed.job_id = jobs.job_id),
            array(select amount_units from ledger_transactions where subject_id = job_id and kind = 'capture'),
            (select count(*) from ledger_transactions where subject_id = job_id and kind = 'void')
        from jobs";
    for row in sqlx::query(jobs).fetch_all(pool).await.unwrap() {
        let id = JobId::new(row.get(0));
        let steps = history::after(pool, id, 0).await.unwrap();
        let job = FoundJob {
            state: row.get::<String, _>(1).parse().unwrap(),
            reason: row.get(2),
            price: row.get(3),
            charge: row.get(4),
            taken: row.get(5),
            account: row.get::<Option<Uuid>, _>(6).map(CustomerId::new),
            request_id: row.get(7),
            receipt: row.get(8),
            closing: row.get(9),
            has_output: row.get(10),
            is_logged: row.get(11),
            is_closed: row.get(12),
            path: steps.into_iter().map(|step| step.state).collect(),
            captured: row.get(13),
            voided: row.get(14),
        };
        found.jobs.insert(id, job);
    }
    let deposits = "select deposit_id, state, credited_msat, account_id from deposits";
    for row in sqlx::query(deposits).fetch_all(pool).await.unwrap() {
        let deposit = FoundDeposit { state: row.get(1), credited: row.get(2), account: row.get(3) };
        found.deposits.insert(JobId::new(row.get(0)), deposit);
    }
    let customers = "select customer_id, balance_units, reserved_units from ledger_accounts
        where kind = 'liability:customer'";
    for row in sqlx::query(customers).fetch_all(pool).await.unwrap() {
        found.customers.insert(row.get(0), (row.get(1), row.get(2)));
    }
    for kind in HouseKind::ALL.into_iter().filter(|kind| kind.holds(Asset::Btc)) {
        let balance = ledger::accounts::house_balance(pool, kind, Asset::Btc).await.unwrap();
        found.house.insert(kind.as_str(), balance);
    }
    let pending = "select count(*) from ledger_reservations where state = 'PENDING'";
    found.pending_reservations = sqlx::query_scalar(pending).fetch_one(pool).await.unwrap();
    found
}

/// Where the gateway's own checks find its tables, or its tables and payment's journal, at odds.
pub async fn contradictions(town: &Town) -> Vec<String> {
    let pool = town.world.store.pool();
    let mut wrong = Vec::new();
    let net = audit::trial_balance(pool).await.unwrap();
    let net: i128 = net.iter().map(|line| line.net_units).sum();
    if net != 0 {
        wrong.push(format!("all accounts together have {net}"));
    }
    let payments: Arc<dyn Payments> = town.world.payments.clone();
    let report = reconcile(&town.world.store, &payments).await.unwrap();
    if report.findings != audit::Findings::default() || report.ties != ties::Ties::default() {
        wrong.push(format!("{:?}, {:?}", report.findings, report.ties));
    }
    if report.residue_msat != 0 {
        wrong.push(format!("reconcile leaves {} msat", report.residue_msat));
    }
    wrong
}
