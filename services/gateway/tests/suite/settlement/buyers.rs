//! Strangers, customers and an operator: carry a plan out, and keep what they asked and what they were told.

mod deeds;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use ailayer_gateway::domain::ledger::{
    AccountId, Action, Amount, Asset, CustomerId, Direction, HouseKind, Operation, Stripe, Verdict,
};
use ailayer_gateway::store::ledger::{Submission, apply_in_tx};
use ailayer_primitives::{JobId, RequestId};
use ailayer_proto::ailayer::gateway::v1 as pb;
use futures::StreamExt as _;
use futures::future::{BoxFuture, join_all};
use futures::stream::FuturesUnordered;
use uuid::Uuid;

use super::model::Seen;
use super::plan::{CUSTOMERS, Plan, Round};
use super::town::Town;
use crate::customer::{Customer, terms};
use crate::fakes::{audit, serving};
use crate::world::Bought;

/// What each begins with; the last one cannot pay for much.
pub const FUNDS: [i64; CUSTOMERS] = [40_000, 40_000, 40_000, 3_500];
/// The first one's key may spend so much.
pub const KEY_LIMIT: u64 = 9_000;
/// How long everything that was begun may take once all is mended.
const PATIENCE: Duration = Duration::from_secs(40);
const TIP: u32 = 100;
const TIP_NEAR_DEADLINE: u32 = crate::fakes::payments::DEADLINE - 1;

pub struct Buyers {
    pub customers: Vec<Customer>,
    pub notes: Mutex<Notes>,
}

/// What was asked and answered.
#[derive(Debug, Default)]
pub struct Notes {
    pub holds: Vec<HoldNote>,
    pub orders: Vec<OrderNote>,
    pub deposits: Vec<DepositNote>,
    /// Jobs that somebody asked to cancel, and those whose money the guard gave back.
    pub canceled: BTreeSet<JobId>,
    pub guarded: BTreeSet<JobId>,
    /// Release reasons that the moods of the world explain.
    pub reasons: BTreeSet<&'static str>,
    /// Answers that no rule explains.
    pub odd: Vec<String>,
}

/// A stranger's quote.
#[derive(Debug, Clone)]
pub struct HoldNote {
    pub request: pb::CreateQuoteRequest,
    pub answers: Vec<Bought>,
}

/// A customer's order.
#[derive(Debug, Clone)]
pub struct OrderNote {
    pub customer: usize,
    pub request: pb::RunJobRequest,
    pub answers: Vec<pb::RunJobResponse>,
}

#[derive(Debug, Clone)]
pub struct DepositNote {
    pub customer: usize,
    pub request_id: String,
    pub msat: u64,
    pub answers: Vec<pb::Deposit>,
}

impl Buyers {
    /// Opens the accounts, and lets the proxies cut.
    pub async fn settle(town: &Town, plan: &Plan) -> Self {
        let office = town.office().await;
        let opened = FUNDS.into_iter().enumerate().map(async |(number, funds)| {
            let limited = pb::KeyTerms { spend_limit_msat: KEY_LIMIT, spend_window_s: 36_000, ..terms() };
            let terms = if number == 0 { limited } else { terms() };
            let customer = Customer::new(office.as_ref().unwrap(), terms).await;
            fund(town, customer.id, funds).await;
            customer
        });
        let customers = join_all(opened).await;
        drop(office);
        town.begin_cutting();
        let mut notes = Notes::default();
        for round in &plan.rounds {
            explain(&mut notes.reasons, round, plan);
        }
        Self { customers, notes: Mutex::new(notes) }
    }

    /// Round after round; what takes longer goes on into the next one. Then everything is mended and brought to its answer.
    pub async fn carry_out(&self, town: &Town, plan: &Plan) {
        let mut going: FuturesUnordered<BoxFuture<'_, ()>> = FuturesUnordered::new();
        for (number, round) in plan.rounds.iter().enumerate() {
            set_moods(town, round);
            for (place, deed) in round.deeds.iter().enumerate() {
                going.push(Box::pin(self.deed(town, *deed, number * 5 + place)));
            }
            let _ = tokio::time::timeout(round.lasts, drained(&mut going)).await;
        }
        mend(town);
        let seed = town.seed;
        let ended = tokio::time::timeout(PATIENCE, drained(&mut going)).await;
        assert!(ended.is_ok(), "seed {seed}: calls are not answered: {:?}", self.notes.lock().unwrap());
    }

    pub async fn seen(&self, town: &Town) -> Seen {
        let invoices = town.world.payments.invoices();
        let log = town.world.audit.entries();
        let mut keys_left = None;
        for number in 0..town.gateways() {
            let Some(line) = town.line(number).await else { continue };
            keys_left = self.key_left(&line).await;
        }
        let notes = self.notes.lock().unwrap();
        Seen {
            customers: self.customers.iter().map(|it| it.id).zip(FUNDS).collect(),
            key_left_msat: keys_left,
            holds: notes.holds.clone(),
            orders: notes.orders.clone(),
            deposits: notes.deposits.clone(),
            canceled: notes.canceled.clone(),
            guarded: notes.guarded.clone(),
            reasons: notes.reasons.clone(),
            odd: notes.odd.clone(),
            invoices: invoices.into_iter().map(|it| (JobId::new(it.invoice_id), it)).collect(),
            log,
        }
    }
}

async fn drained(going: &mut FuturesUnordered<BoxFuture<'_, ()>>) {
    while going.next().await.is_some() {}
}

/// A correction, as operators make them: the node has nothing of it.
async fn fund(town: &Town, id: CustomerId, msat: i64) {
    let (amount, against) = (Amount::try_new(msat).unwrap(), HouseKind::WriteOff);
    let action = Action::Adjust { direction: Direction::Credit, amount, against };
    let account = AccountId::customer(id, Asset::Btc);
    let operation = Operation::try_new(account, RequestId::new(Uuid::new_v4()), action).unwrap();
    let mut tx = town.world.store.begin().await.unwrap();
    let stripe = Stripe::of_job(JobId::new(Uuid::new_v4()));
    let verdicts = apply_in_tx(&mut tx, stripe, &[Submission::new(operation)]).await.unwrap();
    assert!(matches!(verdicts[0], Verdict::Applied(_)), "{verdicts:?}");
    tx.commit().await.unwrap();
}

fn set_moods(town: &Town, round: &Round) {
    let world = &town.world;
    world.serving.set(round.model);
    world.audit.set(round.log);
    world.payments.set(|mood| {
        mood.down = round.payment_is_down;
        mood.lost_answers = round.lost_answers;
    });
    world.payments.set_tip(if round.deadline_is_near { TIP_NEAR_DEADLINE } else { TIP });
}

fn mend(town: &Town) {
    let world = &town.world;
    world.serving.set(serving::Mood::Works);
    world.audit.set(audit::Mood::Works);
    world.payments.set(|mood| (mood.down, mood.lost_answers) = (false, 0));
    world.payments.set_tip(TIP);
    town.stop_cutting();
}

/// Which ends a round can be the reason of.
fn explain(reasons: &mut BTreeSet<&'static str>, round: &Round, plan: &Plan) {
    match round.model {
        serving::Mood::Fails(_) | serving::Mood::NotFinite => {
            reasons.insert("model_failed");
        }
        serving::Mood::OtherTokens => {
            reasons.insert("model_changed");
        }
        _ => {}
    }
    if round.log == audit::Mood::Refuses {
        reasons.insert("receipt_failed");
    }
    if round.deadline_is_near {
        reasons.insert("deadline_too_close");
    }
    // A machine under load can take as long.
    if plan.append_timeout_ms < 1000 {
        reasons.insert("audit_unavailable");
    }
}
