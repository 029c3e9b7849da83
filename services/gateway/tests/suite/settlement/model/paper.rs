//! What must be in the log: a receipt for every job that was to be paid, and an ending for every receipt.

use std::collections::BTreeMap;

use ailayer_gateway::domain::job::State;
use ailayer_gateway::domain::keys::{Keys, Master};
use ailayer_primitives::JobId;
use ailayer_receipt::statement::{Closing, Outcome};
use ailayer_receipt::{Envelope, Receipt};

use super::{Seen, must};
use crate::settlement::found::{Found, FoundJob};

/// The log's entries by job.
#[derive(Default)]
struct Log<'a> {
    receipts: BTreeMap<JobId, Vec<&'a str>>,
    closings: BTreeMap<JobId, Vec<(&'a str, Closing)>>,
}

pub fn check(seen: &Seen, found: &Found, wrong: &mut Vec<String>) {
    let log = read(&seen.log, wrong);
    for id in log.receipts.keys().chain(log.closings.keys()) {
        must(wrong, found.jobs.contains_key(id), || format!("the log speaks of {id}, which nobody knows"));
    }
    for (id, job) in &found.jobs {
        check_receipt(&log, *id, job, wrong);
        check_closing(&log, *id, job, wrong);
    }
}

fn read<'a>(entries: &'a [String], wrong: &mut Vec<String>) -> Log<'a> {
    let key = Keys::derive(&Master::new([7; 32])).public_key();
    let mut log = Log::default();
    for entry in entries {
        let envelope = Envelope::parse(entry).unwrap();
        if let Ok(receipt) = envelope.open::<Receipt>(&key) {
            log.receipts.entry(receipt.job_id).or_default().push(entry);
        } else if let Ok(closing) = envelope.open::<Closing>(&key) {
            log.closings.entry(closing.job_id).or_default().push((entry, closing));
        } else {
            wrong.push(format!("the log has something else: {entry}"));
        }
    }
    log
}

/// Never two, never another than the stored one, and one before any money is taken.
fn check_receipt(log: &Log<'_>, id: JobId, job: &FoundJob, wrong: &mut Vec<String>) {
    let logged = log.receipts.get(&id).map_or(&[][..], Vec::as_slice);
    let is_stored = logged.iter().all(|entry| Some(*entry) == job.receipt.as_deref());
    must(wrong, logged.len() <= 1 && is_stored, || format!("{id} has {} receipts in the log", logged.len()));
    let is_due = job.path.contains(&State::Taking) || job.state == State::Settled;
    must(wrong, !is_due || (logged.len() == 1 && job.is_logged), || {
        format!("{id} took money without a receipt")
    });
}

/// One for every receipt, and it says how the job ended.
fn check_closing(log: &Log<'_>, id: JobId, job: &FoundJob, wrong: &mut Vec<String>) {
    let logged = log.closings.get(&id).map_or(&[][..], Vec::as_slice);
    let Some(receipt) = &job.receipt else {
        return must(wrong, logged.is_empty(), || format!("{id} has an ending and no receipt"));
    };
    let [(entry, closing)] = logged else {
        return wrong.push(format!("{id} has {} endings in the log", logged.len()));
    };
    let (outcome, amount) = match job.state {
        State::Settled => (Outcome::Settled, job.taken.unwrap_or_default()),
        State::Lost => (Outcome::Lost, job.price),
        _ => (Outcome::Voided, 0),
    };
    let is_right = closing.outcome == outcome && closing.amount_msat.to_i64() == amount;
    must(wrong, is_right, || format!("{id} is {}, and its ending says {closing:?}", job.state));
    let hash = Envelope::parse(receipt).unwrap().leaf_hash();
    must(wrong, closing.receipt_leaf_hash == hash, || format!("{id}: the ending is another receipt's"));
    must(wrong, job.closing.as_deref() == Some(*entry) && job.is_closed, || {
        format!("{id}: the logged ending is not the stored one")
    });
}
