//! Mirrors `quotes.rs`: rows 1 and 2, for a buyer without an account.

use ailayer_gateway::domain::job::{Job, Rail, Seal, State};
use ailayer_gateway::domain::price::{Price, Usage};
use ailayer_payment::domain::hold_invoice::HoldState;
use ailayer_primitives::{AmountMsat, UnixMs};

use crate::bugs::Bug;
use crate::buyers::Answer;
use crate::store::{JobRow, Store};
use crate::world::{EXPIRY_S, World};

/// A call that asks for a quote.
#[derive(Debug)]
pub struct QuoteCall {
    /// Which of the buyers' orders.
    pub order: usize,
    /// Stands for what is asked; a repeat may ask for something else.
    pub body: u64,
    pub at: At,
}

/// What the call is about to do.
#[derive(Debug)]
pub enum At {
    LookUp,
    Insert(Box<JobRow>),
    MakeInvoice(Box<JobRow>),
    StoreInvoice(Box<JobRow>),
}

/// The price of a job of so many tokens.
pub fn price() -> Price {
    let msat = |amount| AmountMsat::try_new(amount).unwrap_or(AmountMsat::ZERO);
    Price { per_call: msat(1000), per_token: msat(10), per_tensor_byte: msat(0) }
}

/// Whether the answer is to be sealed: a part of what is asked.
const fn asks_for_a_seal(body: u64) -> bool {
    body.is_multiple_of(3)
}

/// One write or call; none when the buyer has an answer.
pub fn step(world: &mut World, call: QuoteCall) -> Option<QuoteCall> {
    let order = call.order;
    match advance(world, &call) {
        Ok(Some(at)) => Some(QuoteCall { at, ..call }),
        Ok(None) => None,
        Err(answer) => {
            world.buyers.answered(order, call.body, answer);
            None
        }
    }
}

fn advance(world: &mut World, call: &QuoteCall) -> Result<Option<At>, Answer> {
    match &call.at {
        At::LookUp => look_up(world, call).map(Some),
        At::Insert(new) => {
            let ignores = world.bug == Some(Bug::RequestIdIgnored);
            let row = world.write(|store| insert(store, new, ignores)).map_err(|_| Answer::Failed)?;
            known(world, call, row).map(Some)
        }
        At::MakeInvoice(row) => {
            if row.job.state != State::Quoted || world.now >= row.job.expiry {
                return Err(Answer::Ended);
            }
            let fault = world.payment_fault();
            let made = world.payment.create(row.job_id.uuid(), row.job.price, EXPIRY_S, world.now, fault);
            match made.map(|invoice| invoice.state) {
                Ok(HoldState::Released | HoldState::ReleaseRequested | HoldState::Expired) => {
                    Err(Answer::Ended)
                }
                Ok(_) => Ok(Some(At::StoreInvoice(row.clone()))),
                Err(_) => Err(Answer::Failed),
            }
        }
        At::StoreInvoice(row) => {
            let job_id = row.job_id;
            let store = |store: &mut Store| {
                if let Some(row) = store.jobs.get_mut(&job_id) {
                    row.has_invoice = true;
                }
            };
            world.write(store).map_err(|_| Answer::Failed)?;
            Err(Answer::Shown(job_id.uuid()))
        }
    }
}

/// `Quotes::create`: the stored quote of this request, or a new one.
fn look_up(world: &mut World, call: &QuoteCall) -> Result<At, Answer> {
    let Some(order) = world.buyers.order(call.order) else { return Err(Answer::Failed) };
    let found =
        world.read(|store| store.job_of(None, order.request_id).cloned()).map_err(|_| Answer::Failed)?;
    if let Some(row) = found.filter(|_| world.bug != Some(Bug::RequestIdIgnored)) {
        return known(world, call, row);
    }
    // `count_tokens`: a row is made only when an invoice can follow.
    if world.payment.tip().is_none() || world.serving.is_down {
        return Err(Answer::Failed);
    }
    let tokens = order.tokens;
    let price = price().of(&Usage::tokens(tokens)).map_err(|_| Answer::Failed)?;
    // Whole seconds, so that the signed quote and the row agree.
    let expiry = UnixMs((world.now.0 / 1000).saturating_add(u64::from(EXPIRY_S)).saturating_mul(1000));
    let job = Job {
        rail: Rail::Hold,
        state: State::Quoted,
        price,
        charge: None,
        expiry,
        attempt: 0,
        hold: None,
        completed_at: None,
        release_reason: None,
        seal: asks_for_a_seal(call.body).then(Seal::default),
    };
    let new = JobRow {
        job_id: world.ids.job(),
        request_id: order.request_id,
        payer: None,
        body: call.body,
        version: 1,
        job,
        price: self::price(),
        tokens,
        has_invoice: false,
        receipt: None,
        output: None,
        leaf_index: None,
        closing: None,
        closing_index: None,
        taken: None,
        wake: Some(expiry),
        lease: None,
    };
    Ok(At::Insert(Box::new(new)))
}

/// `jobs::insert`, and the look-up behind it: ours, or that of a twin of this request which was faster.
fn insert(store: &mut Store, new: &JobRow, ignores_twins: bool) -> JobRow {
    let twin = store.job_of(None, new.request_id).filter(|_| !ignores_twins).cloned();
    twin.unwrap_or_else(|| {
        store.put_job(new.clone());
        new.clone()
    })
}

fn known(world: &mut World, call: &QuoteCall, row: JobRow) -> Result<At, Answer> {
    if row.body != call.body {
        return Err(Answer::Reused);
    }
    if row.has_invoice {
        return Err(Answer::Shown(row.job_id.uuid()));
    }
    world.note(|| format!("  quote {}: make the invoice", super::jobs::short(row.job_id)));
    Ok(At::MakeInvoice(Box::new(row)))
}
