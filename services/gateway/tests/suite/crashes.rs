//! The gateway dies right behind each durable write; a new one on the same database ends the job as the order of
//! durable writes says.

use ailayer_client::payment::HoldInvoiceState;
use ailayer_gateway::crash_points as point;
use ailayer_gateway::domain::job::State;
use ailayer_gateway::domain::ledger::HouseKind;

use crate::fakes::serving;
use crate::world::{Bought, World, order};

/// Settled, once: the money is taken, posted once, the answer fetchable, receipt and closing entry logged once.
async fn assert_settled_once(world: &World, bought: &Bought) {
    let gateway = world.start().await;
    world.wait_for(bought.id(), State::Settled).await;
    world.closings_relayed().await;
    assert_eq!(world.payments.state(bought.id()), Some(HoldInvoiceState::Claimed));
    assert_eq!(world.audit.entries().len(), 2, "one receipt, one closing entry");
    let price = i64::try_from(bought.0.price_msat).unwrap();
    assert_eq!(world.balance(HouseKind::Lightning).await, price);
    let result = gateway.result(bought.key()).await.unwrap();
    assert!(result.result.is_some());
    let receipt = gateway.receipt(bought.key()).await.unwrap();
    assert_eq!(world.audit.entries()[0], receipt.receipt, "the stored bytes are the logged bytes");
}

async fn crash_while_serving(at: &'static str) -> (World, Bought) {
    let world = World::new().await;
    let (gateway, halt) = world.start_halting_at(at).await;
    let bought = gateway.quote(&["hello world"]).await;
    world.payments.pay(bought.id());
    halt.reached().await;
    gateway.kill();
    (world, bought)
}

#[tokio::test]
async fn behind_row_1_a_repeat_finishes_the_same_quote() {
    let world = World::new().await;
    let (gateway, halt) = world.start_halting_at(point::QUOTED).await;
    let request = order(&["hello"]);
    tokio::select! {
        _ = gateway.create_quote(request.clone()) => panic!("it halts"),
        () = halt.reached() => {}
    }
    gateway.kill();
    assert_eq!(world.payments.creates(), 0);
    let gateway = world.start().await;
    let bought = gateway.create_quote(request.clone()).await.unwrap();
    assert_eq!(gateway.create_quote(request).await.unwrap(), bought);
    assert_eq!(world.payments.creates(), 1);
    assert_eq!(world.serving.tokenizes.load(std::sync::atomic::Ordering::SeqCst), 1, "priced once");
    world.payments.pay(bought.id());
    world.wait_for(bought.id(), State::Settled).await;
}

#[tokio::test]
async fn a_lost_answer_of_row_2_is_repeated_with_the_same_invoice() {
    let world = World::new().await;
    let gateway = world.start().await;
    world.payments.set(|mood| mood.lost_answers = 1);
    let request = order(&["hello"]);
    assert!(gateway.create_quote(request.clone()).await.is_err());
    let bought = gateway.create_quote(request.clone()).await.unwrap();
    assert_eq!(bought.0.bolt11, world.payments.invoice(bought.id()).bolt11);
    assert_eq!(world.payments.creates(), 2);
}

#[tokio::test]
async fn behind_row_2_a_repeat_answers_what_is_stored() {
    let world = World::new().await;
    let (gateway, halt) = world.start_halting_at(point::INVOICE_STORED).await;
    let request = order(&["hello"]);
    tokio::select! {
        _ = gateway.create_quote(request.clone()) => panic!("it halts"),
        () = halt.reached() => {}
    }
    gateway.kill();
    let gateway = world.start().await;
    let bought = gateway.create_quote(request).await.unwrap();
    assert_eq!(world.payments.creates(), 1);
    world.payments.pay(bought.id());
    world.wait_for(bought.id(), State::Settled).await;
}

#[tokio::test]
async fn behind_row_4() {
    let (world, bought) = crash_while_serving(point::HELD).await;
    assert_eq!(world.state(bought.id()).await, State::Held);
    assert_settled_once(&world, &bought).await;
}

#[tokio::test]
async fn behind_row_5_the_next_attempt_answers() {
    let (world, bought) = crash_while_serving(point::RUNNING).await;
    assert_eq!(world.state(bought.id()).await, State::Running);
    assert_settled_once(&world, &bought).await;
    assert_eq!(world.record(bought.id()).await.job.attempt, 2);
}

#[tokio::test]
async fn in_the_middle_of_the_model_the_next_attempt_answers() {
    let world = World::new().await;
    world.serving.set(serving::Mood::Hangs);
    let gateway = world.start().await;
    let bought = gateway.quote(&["hello world"]).await;
    world.payments.pay(bought.id());
    crate::world::until("the model runs", || async { world.serving.embeds() == 1 }).await;
    gateway.kill();
    world.serving.set(serving::Mood::Works);
    assert_settled_once(&world, &bought).await;
    assert_eq!(world.record(bought.id()).await.job.attempt, 2);
}

#[tokio::test]
async fn behind_row_6_nothing_is_computed_or_signed_again() {
    let (world, bought) = crash_while_serving(point::COMPLETED).await;
    let stored = world.record(bought.id()).await.receipt;
    assert_settled_once(&world, &bought).await;
    assert_eq!(world.record(bought.id()).await.receipt, stored);
    assert_eq!(world.serving.embeds(), 1);
}

#[tokio::test]
async fn behind_row_7_the_receipt_keeps_its_index() {
    let (world, bought) = crash_while_serving(point::APPENDED).await;
    assert_eq!(world.state(bought.id()).await, State::Completed);
    assert_settled_once(&world, &bought).await;
    assert_eq!(world.record(bought.id()).await.leaf_index, Some(0));
}

#[tokio::test]
async fn behind_row_8() {
    let (world, bought) = crash_while_serving(point::TAKING).await;
    assert_eq!(world.payments.claims(), 0);
    assert_settled_once(&world, &bought).await;
}

#[tokio::test]
async fn behind_row_9() {
    let (world, bought) = crash_while_serving(point::CLAIM_CALLED).await;
    assert_settled_once(&world, &bought).await;
}

#[tokio::test]
async fn behind_row_11() {
    let (world, bought) = crash_while_serving(point::SETTLED).await;
    assert_eq!(world.state(bought.id()).await, State::Settled);
    assert_settled_once(&world, &bought).await;
}

#[tokio::test]
async fn behind_row_12() {
    let (world, bought) = crash_while_serving(point::CLOSED).await;
    assert_settled_once(&world, &bought).await;
    assert_eq!(world.record(bought.id()).await.closing_leaf_index, Some(1));
}

async fn crash_while_releasing(at: &'static str) {
    let world = World::new().await;
    world.serving.set(serving::Mood::Fails(ailayer_client::ErrorReason::ModelFailed));
    let (gateway, halt) = world.start_halting_at(at).await;
    let bought = gateway.quote(&["hello world"]).await;
    world.payments.pay(bought.id());
    halt.reached().await;
    gateway.kill();
    let _gateway = world.start().await;
    let record = world.wait_for(bought.id(), State::Failed).await;
    assert_eq!(world.payments.state(bought.id()), Some(HoldInvoiceState::Released));
    assert_eq!(record.job.release_reason.unwrap().as_str(), "model_failed");
    assert_eq!(world.serving.embeds(), 1);
    assert!(world.audit.entries().is_empty());
}

#[tokio::test]
async fn behind_row_r1() {
    crash_while_releasing(point::RELEASING).await;
}

#[tokio::test]
async fn behind_row_r2() {
    crash_while_releasing(point::RELEASE_CALLED).await;
}

#[tokio::test]
async fn behind_row_r3() {
    crash_while_releasing(point::RELEASED).await;
}

#[tokio::test]
async fn lost_answers_of_claim_and_release_change_nothing() {
    let world = World::new().await;
    let gateway = world.start().await;
    let bought = gateway.quote(&["hello"]).await;
    world.payments.set(|mood| mood.lost_answers = 1);
    world.payments.pay(bought.id());
    world.wait_for(bought.id(), State::Settled).await;

    world.serving.set(serving::Mood::Fails(ailayer_client::ErrorReason::ModelFailed));
    let failing = gateway.quote(&["hello"]).await;
    world.payments.set(|mood| mood.lost_answers = 1);
    world.payments.pay(failing.id());
    world.wait_for(failing.id(), State::Failed).await;
    assert_eq!(world.payments.state(failing.id()), Some(HoldInvoiceState::Released));
}

#[tokio::test]
async fn a_graceful_stop_gives_leases_back() {
    let world = World::new().await;
    world.serving.set(serving::Mood::Hangs);
    let gateway = world.start().await;
    let bought = gateway.quote(&["hello world"]).await;
    world.payments.pay(bought.id());
    crate::world::until("the model runs", || async { world.serving.embeds() == 1 }).await;
    gateway.stop().await;
    let leased = "select count(*) from jobs where lease_owner is not null";
    let count: i64 =
        sqlx::Row::try_get(&sqlx::query(leased).fetch_one(world.store.pool()).await.unwrap(), 0).unwrap();
    assert_eq!(count, 0);
}
