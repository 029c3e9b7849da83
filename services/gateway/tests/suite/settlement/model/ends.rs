//! How jobs and deposits may end.

use ailayer_client::payment::HoldInvoiceState as Invoice;
use ailayer_gateway::domain::job::State;
use ailayer_primitives::JobId;
use ailayer_proto::ailayer::gateway::v1 as pb;
use uuid::Uuid;

use super::{Seen, must};
use crate::settlement::buyers::{DepositNote, HoldNote, OrderNote};
use crate::settlement::found::{Found, FoundDeposit, FoundJob};

pub fn check(seen: &Seen, found: &Found, wrong: &mut Vec<String>) {
    for hold in &seen.holds {
        check_hold(seen, found, hold, wrong);
    }
    for order in &seen.orders {
        check_order(seen, found, order, wrong);
    }
    for deposit in &seen.deposits {
        check_deposit(seen, found, deposit, wrong);
    }
    for (id, job) in &found.jobs {
        check_path(*id, job, wrong);
    }
    let asked = seen.holds.len() + seen.orders.len();
    must(wrong, found.jobs.len() <= asked, || format!("{} jobs for {asked} requests", found.jobs.len()));
    must(wrong, found.deposits.len() == seen.deposits.len(), || "deposits that nobody asked for".to_owned());
    must(wrong, found.pending_reservations == 0, || {
        format!("{} reservations are open", found.pending_reservations)
    });
}

/// The money is where the job says that it is.
fn check_hold(seen: &Seen, found: &Found, hold: &HoldNote, wrong: &mut Vec<String>) {
    let first = &hold.answers[0];
    must(wrong, hold.answers.iter().all(|answer| answer == first), || {
        format!("{} was answered in several ways: {:#?}", first.id(), hold.answers)
    });
    let id = first.id();
    let (Some(job), Some(invoice)) = (found.jobs.get(&id), seen.invoices.get(&id)) else {
        return wrong.push(format!("{id} is gone"));
    };
    let was_taking = job.path.contains(&State::Taking);
    let fits = match invoice.state {
        Invoice::Claimed => job.state == State::Settled,
        Invoice::Lost => job.state == State::Lost,
        // Given back under the claim: served, and not paid.
        Invoice::Released if was_taking => job.state == State::Lost,
        Invoice::Released | Invoice::Expired => is_explained(seen, id, job),
        _ => false,
    };
    must(wrong, fits, || {
        format!("{id} is {} ({:?}), and its money is {:?}", job.state, job.reason, invoice.state)
    });
    let taken = (job.state == State::Settled).then(|| invoice.accepted_amount.to_i64());
    must(wrong, job.taken == taken, || format!("{id} took {:?}, and the node {taken:?}", job.taken));
    let is_short = invoice.accepted_amount < invoice.amount && invoice.accepted_amount.msat() > 0;
    must(wrong, !is_short || job.path.len() <= 3, || {
        format!("{id} was served for too little: {:?}", job.path)
    });
}

/// Something that happened is a reason to give the money back.
fn is_explained(seen: &Seen, id: JobId, job: &FoundJob) -> bool {
    let Some(reason) = job.reason.as_deref() else { return false };
    let invoice = seen.invoices.get(&id);
    let happened = match reason {
        "canceled" => seen.canceled.contains(&id),
        "hold_released" => seen.guarded.contains(&id),
        "quote_expired" => invoice.is_some_and(|it| it.state == Invoice::Expired),
        "underpaid" => invoice.is_some_and(|it| it.accepted_amount < it.amount),
        reason => seen.reasons.contains(reason),
    };
    let state = match reason {
        "canceled" => State::Canceled,
        "quote_expired" => State::Expired,
        _ => State::Failed,
    };
    happened && job.state == state
}

/// One job at most, the same end for whoever asked, and exactly the charge or nothing.
fn check_order(seen: &Seen, found: &Found, order: &OrderNote, wrong: &mut Vec<String>) {
    let request_id: Uuid = order.request.request_id.parse().unwrap();
    let (customer, _) = seen.customers[order.customer];
    let made =
        found.jobs.iter().filter(|(_, job)| job.account == Some(customer) && job.request_id == request_id);
    let made: Vec<_> = made.collect();
    let Some((id, job)) = made.first() else {
        return must(wrong, order.answers.is_empty(), || format!("an answer, and no job: {request_id}"));
    };
    must(wrong, made.len() == 1, || format!("{} jobs of one request", made.len()));
    let first = order.answers.first();
    must(wrong, first.is_some(), || format!("{id} has begun, and nobody was ever told of its end"));
    must(wrong, order.answers.iter().all(|answer| Some(answer) == first), || {
        format!("{id} was answered in several ways: {:#?}", order.answers)
    });
    let Some(told) = first else { return };
    let is_settled = job.state == State::Settled;
    let told_settled = told.job.as_ref().is_some_and(|it| it.state() == pb::JobState::Settled);
    must(wrong, is_settled == told_settled, || {
        format!("{id} is {}, and the customer was told {told:?}", job.state)
    });
    must(wrong, is_settled || is_explained(seen, **id, job), || {
        format!("{id} is {} for {:?}, which nothing explains", job.state, job.reason)
    });
    let charge = if is_settled { job.charge } else { None };
    must(wrong, told.charged_msat == charge.unwrap_or(0).unsigned_abs(), || {
        format!("{id} charged {charge:?}, and the customer was told {}", told.charged_msat)
    });
    must(wrong, job.captured == Vec::from_iter(charge), || format!("{id}: {:?} were captured", job.captured));
    must(wrong, job.voided == i64::from(!is_settled), || format!("{id} was voided {} times", job.voided));
    must(wrong, told.result.is_some() == is_settled, || format!("{id}: money and answer do not go together"));
    let prices = prices(order, seen);
    must(wrong, charge.is_none_or(|charge| prices.contains(&charge)), || {
        format!("{id} costs one of {prices:?}, and {charge:?} was taken")
    });
}

/// Per call 1000, per token 10; the model counts words and two more. A model out of its mind counts one more again.
fn prices(order: &OrderNote, seen: &Seen) -> Vec<i64> {
    let Some(pb::run_job_request::Task::Embed(task)) = &order.request.task else { return vec![] };
    let tokens: usize = task.texts.iter().map(|text| text.split_whitespace().count() + 2).sum();
    let price = 1000 + 10 * i64::try_from(tokens).unwrap();
    let mut prices = vec![price];
    if seen.reasons.contains("model_changed") {
        prices.push(price + 10);
    }
    prices
}

fn check_deposit(seen: &Seen, found: &Found, note: &DepositNote, wrong: &mut Vec<String>) {
    let id: JobId = note.answers[0].deposit_id.parse().unwrap();
    must(wrong, note.answers.iter().all(|it| it.deposit_id == id.to_string()), || {
        format!("several deposits: {note:?}")
    });
    let Some(FoundDeposit { state, credited, account }) = found.deposits.get(&id) else {
        return wrong.push(format!("deposit {id} is gone"));
    };
    let expected = match seen.invoices.get(&id).map(|invoice| invoice.state) {
        Some(Invoice::Claimed) => "CREDITED",
        Some(Invoice::Lost | Invoice::Released) => "RETURNED",
        _ => "OPEN",
    };
    must(wrong, state == expected, || format!("deposit {id} is {state}, and should be {expected}"));
    let expected = (expected == "CREDITED").then(|| i64::try_from(note.msat).unwrap());
    must(wrong, *credited == expected, || format!("deposit {id} credited {credited:?}"));
    must(wrong, *account == seen.customers[note.customer].0.uuid(), || format!("deposit {id} is another's"));
}

/// A job goes only where the picture above its states has a line.
fn check_path(id: JobId, job: &FoundJob, wrong: &mut Vec<String>) {
    use State as S;
    let is_prepaid = job.account.is_some();
    let is_legal = |from: S, to: S| match (from, to) {
        (S::Quoted, S::Held) | (S::Quoted | S::Held | S::Running | S::Completed, S::Releasing) => !is_prepaid,
        (S::Held | S::Running, S::Running) | (S::Running, S::Completed) => true,
        (S::Completed, S::Taking) | (S::Taking, S::Settled | S::Lost) => !is_prepaid,
        (S::Releasing, S::Failed | S::Canceled | S::Expired) => !is_prepaid,
        (S::Completed, S::Settled) => is_prepaid,
        (S::Running | S::Completed, S::Failed | S::Canceled | S::Expired) => is_prepaid,
        _ => false,
    };
    let begins = if is_prepaid { S::Running } else { S::Quoted };
    let path = &job.path;
    let is_path = path.first() == Some(&begins)
        && path.windows(2).all(|step| is_legal(step[0], step[1]))
        && path.last() == Some(&job.state);
    must(wrong, is_path, || format!("{id} is {} and went {path:?}", job.state));
    must(wrong, job.state != S::Settled || job.has_output, || format!("{id} is paid, and has no answer"));
}
