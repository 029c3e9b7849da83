//! Deliberate faults: a comparison that finds nothing in these would find nothing in anything.

use std::time::Duration;

use ailayer_client::payment::{EventKind, HoldInvoiceState, UnexpectedReceipt};
use ailayer_gateway::domain::ledger::{AccountId, Action, Amount, Asset, HouseKind, Operation, Stripe};
use ailayer_gateway::store::ledger::{Submission, apply_in_tx};
use ailayer_primitives::{AmountMsat, Digest, JobId, PaymentHash, RequestId};
use sqlx::Executor as _;
use uuid::Uuid;

use super::plan::{Deed, Payment, Plan, Round};
use super::town::Town;
use super::{Buyers, differences, history, rest};
use crate::fakes::{audit, serving};

const SEED: u64 = 1;

/// Nothing but sales, so that there are some of both rails to tamper with.
fn sales(log: audit::Mood) -> Plan {
    let buy = |words| Deed::Buy { words, pays: Payment::Price, cancels: false };
    let order = |customer| Deed::Order { customer, words: 1, twins: 1 };
    let round = Round {
        deeds: (1..=8).map(buy).chain((0..3).map(order)).collect(),
        model: serving::Mood::Works,
        log,
        payment_is_down: false,
        lost_answers: 0,
        deadline_is_near: false,
        // As long as they take, so that the mood is still this one.
        lasts: Duration::from_secs(10),
    };
    Plan { gateways: 2, append_timeout_ms: 20_000, rounds: vec![round] }
}

async fn sound() -> (Town, Buyers) {
    let (town, buyers) = history(SEED, &sales(audit::Mood::Works)).await;
    let (wrong, _) = differences(&town, &buyers).await;
    assert_eq!(wrong, Vec::<String>::new());
    (town, buyers)
}

/// Something is found, and it is this.
async fn assert_noticed(town: Town, buyers: Buyers, what: &str) {
    rest::come_to_rest(&town, &buyers).await;
    let (wrong, _) = differences(&town, &buyers).await;
    assert!(wrong.iter().any(|line| line.contains(what)), "{what:?} is not among {wrong:#?}");
    town.leave().await;
}

/// Past the triggers, as somebody with a console might.
async fn tamper(town: &Town, statement: &str) {
    let mut tx = town.world.store.begin().await.unwrap();
    tx.execute("set local session_replication_role = replica").await.unwrap();
    let changed = sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut *tx).await.unwrap();
    assert_eq!(changed.rows_affected(), 1, "{statement}");
    tx.commit().await.unwrap();
}

async fn some_settled_hold(town: &Town) -> JobId {
    let query = "select job_id from jobs where state = 'SETTLED' and rail = 'hold' order by job_id limit 1";
    JobId::new(sqlx::query_scalar(query).fetch_one(town.world.store.pool()).await.unwrap())
}

#[tokio::test]
async fn a_log_that_promises_and_keeps_nothing_is_noticed() {
    let (town, buyers) = history(SEED, &sales(audit::Mood::Forgets)).await;
    assert_noticed(town, buyers, "took money without a receipt").await;
}

#[tokio::test]
async fn a_node_that_says_it_has_money_which_it_has_not_is_noticed() {
    let (town, buyers) = sound().await;
    town.world.payments.force(some_settled_hold(&town).await, HoldInvoiceState::Lost);
    assert_noticed(town, buyers, "is SETTLED (None), and its money is Lost").await;
}

#[tokio::test]
async fn money_from_nowhere_is_noticed_though_every_table_agrees() {
    let (town, buyers) = sound().await;
    town.world.payments.emit(EventKind::ReceiptUnexpected(UnexpectedReceipt {
        payment_hash: PaymentHash(Digest::sha256(b"nowhere")),
        amount: AmountMsat::try_new(7).unwrap(),
        note: "a lie".to_owned(),
    }));
    assert_noticed(town, buyers, "asset:lightning should have").await;
}

#[tokio::test]
async fn a_charge_that_is_taken_twice_is_noticed_though_it_is_booked_well() {
    let (town, buyers) = sound().await;
    let account = AccountId::customer(buyers.customers[1].id, Asset::Btc);
    let action = Action::Debit { amount: Amount::try_new(1030).unwrap(), to: HouseKind::Revenue };
    let again = Operation::try_new(account, RequestId::new(Uuid::new_v4()), action).unwrap();
    let mut tx = town.world.store.begin().await.unwrap();
    let stripe = Stripe::of_job(JobId::new(Uuid::new_v4()));
    apply_in_tx(&mut tx, stripe, &[Submission::new(again)]).await.unwrap();
    tx.commit().await.unwrap();
    assert_noticed(town, buyers, "and nothing reserved, and has").await;
}

#[tokio::test]
async fn a_row_that_was_changed_by_hand_is_noticed() {
    let (town, buyers) = sound().await;
    let id = some_settled_hold(&town).await;
    tamper(&town, &format!("update jobs set state = 'LOST', taken_msat = null where job_id = '{id}'")).await;
    assert_noticed(town, buyers, "is LOST (None), and its money is Claimed").await;
}

#[tokio::test]
async fn a_customer_who_was_told_something_else_is_noticed() {
    let (town, buyers) = sound().await;
    {
        let mut notes = buyers.notes.lock().unwrap();
        let mut answers = notes.orders.iter_mut().flat_map(|order| &mut order.answers);
        answers.find(|answer| answer.charged_msat > 0).unwrap().charged_msat += 1;
    }
    assert_noticed(town, buyers, "was answered in several ways").await;
}
