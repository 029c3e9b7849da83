//! What the tables and the log must say, given what the sides around the gateways saw. Knows no SQL and no gateway code but the
//! names of states.

mod books;
mod ends;
mod paper;

use std::collections::{BTreeMap, BTreeSet};

use ailayer_client::payment::HoldInvoice;
use ailayer_gateway::domain::job::State;
use ailayer_gateway::domain::ledger::CustomerId;
use ailayer_primitives::JobId;

use super::Reached;
use super::buyers::{DepositNote, HoldNote, OrderNote};
use super::found::Found;
use super::town::Town;

/// What buyers, payment and the log have seen.
#[derive(Debug)]
pub struct Seen {
    /// With what each began.
    pub customers: Vec<(CustomerId, i64)>,
    /// What the limited key may still spend.
    pub key_left_msat: Option<u64>,
    pub holds: Vec<HoldNote>,
    pub orders: Vec<OrderNote>,
    pub deposits: Vec<DepositNote>,
    pub canceled: BTreeSet<JobId>,
    pub guarded: BTreeSet<JobId>,
    pub reasons: BTreeSet<&'static str>,
    pub odd: Vec<String>,
    pub invoices: BTreeMap<JobId, HoldInvoice>,
    pub log: Vec<String>,
}

/// Everything that the model does not allow, in words.
pub fn compare(seen: &Seen, found: &Found) -> Vec<String> {
    let mut wrong = seen.odd.clone();
    ends::check(seen, found, &mut wrong);
    paper::check(seen, found, &mut wrong);
    books::check(seen, found, &mut wrong);
    wrong
}

/// Says what is wrong unless it holds.
fn must(wrong: &mut Vec<String>, holds: bool, why: impl FnOnce() -> String) {
    if !holds {
        wrong.push(why());
    }
}

pub fn reached(seen: &Seen, found: &Found, town: &Town) -> Reached {
    let count = |prepaid: bool, states: &[State]| {
        let jobs = found.jobs.values().filter(|job| job.account.is_some() == prepaid);
        jobs.filter(|job| states.contains(&job.state)).count() as u64
    };
    let released = [State::Failed, State::Canceled, State::Expired];
    let voided = found.jobs.values().filter(|job| released.contains(&job.state) && job.receipt.is_some());
    Reached {
        hold_settled: count(false, &[State::Settled]),
        hold_lost: count(false, &[State::Lost]),
        hold_released: count(false, &released),
        prepaid_settled: count(true, &[State::Settled]),
        prepaid_failed: count(true, &released),
        credited: found.deposits.values().filter(|deposit| deposit.state == "CREDITED").count() as u64,
        voided: voided.count() as u64,
        surplus: seen.invoices.values().filter(|it| it.accepted_amount > it.amount).count() as u64,
        kills: town.kills(),
        cuts: town.cuts(),
    }
}
