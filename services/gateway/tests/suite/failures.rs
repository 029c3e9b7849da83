//! Everything that goes wrong before the claim ends with the money back, and a reason.

use std::time::Duration;

use ailayer_client::ErrorReason;
use ailayer_client::payment::HoldInvoiceState;
use ailayer_gateway::domain::job::{Rules, State};
use ailayer_gateway::domain::ledger::HouseKind;
use ailayer_receipt::statement::{Closing, Outcome};
use ailayer_receipt::{Envelope, GatewayKey};

use crate::fakes::{audit, payments, serving};
use crate::world::{Bought, Process, World, reason};

async fn assert_money_back(world: &World, gateway: &Process, bought: &Bought, end: State, why: &str) {
    let record = world.wait_for(bought.id(), end).await;
    assert_eq!(record.job.release_reason.unwrap().as_str(), why);
    assert_eq!(world.payments.state(bought.id()), Some(HoldInvoiceState::Released));
    let job = gateway.job(bought.key()).await.unwrap();
    assert_eq!(job.release_reason, why);
    assert_eq!(reason(&gateway.result(bought.key()).await.unwrap_err()), ErrorReason::ResultNotReady);
    assert_eq!(world.balance(HouseKind::Revenue).await, 0);
}

async fn pay_and_fail(mood: serving::Mood, end: State, why: &str) -> World {
    let world = World::new().await;
    world.serving.set(mood);
    let gateway = world.start().await;
    let bought = gateway.quote(&["hello world"]).await;
    world.payments.pay(bought.id());
    assert_money_back(&world, &gateway, &bought, end, why).await;
    let refused = reason(&gateway.receipt(bought.key()).await.unwrap_err());
    assert_eq!(refused, ErrorReason::ResultNotReady);
    world
}

#[tokio::test]
async fn the_model_fails() {
    let world =
        pay_and_fail(serving::Mood::Fails(ErrorReason::ModelFailed), State::Failed, "model_failed").await;
    assert_eq!(world.serving.embeds(), 1, "not tried again");
}

#[tokio::test]
async fn the_model_is_gone() {
    pay_and_fail(serving::Mood::Fails(ErrorReason::ModelNotFound), State::Failed, "model_changed").await;
}

#[tokio::test]
async fn the_model_has_changed() {
    pay_and_fail(serving::Mood::OtherModel, State::Failed, "model_changed").await;
}

#[tokio::test]
async fn the_tokens_are_not_those_of_the_quote() {
    pay_and_fail(serving::Mood::OtherTokens, State::Failed, "model_changed").await;
}

#[tokio::test]
async fn the_input_is_refused() {
    pay_and_fail(serving::Mood::Fails(ErrorReason::InputTooLarge), State::Failed, "input_refused").await;
}

#[tokio::test]
async fn the_model_answers_what_is_no_number() {
    pay_and_fail(serving::Mood::NotFinite, State::Failed, "model_failed").await;
}

#[tokio::test]
async fn model_serving_is_away_for_a_while() {
    let world = World::new().await;
    world.serving.set(serving::Mood::FailsTimes(3, ErrorReason::Overloaded));
    let gateway = world.start().await;
    let bought = gateway.quote(&["hello"]).await;
    world.payments.pay(bought.id());
    let record = world.wait_for(bought.id(), State::Settled).await;
    assert_eq!(record.job.attempt, 4);
}

fn with_rules(world: &mut World, change: impl FnOnce(&mut Rules)) {
    change(&mut world.settings.rules);
}

#[tokio::test]
async fn model_serving_stays_away_until_the_run_limit() {
    let mut world = World::new().await;
    with_rules(&mut world, |rules| rules.run_limit_ms = 1_500);
    world.serving.set(serving::Mood::Fails(ErrorReason::DependencyUnavailable));
    let gateway = world.start().await;
    let bought = gateway.quote(&["hello"]).await;
    world.payments.pay(bought.id());
    assert_money_back(&world, &gateway, &bought, State::Expired, "run_limit").await;
    assert!(world.serving.embeds() > 1);
}

#[tokio::test]
async fn a_model_that_hangs_is_not_waited_for() {
    let mut world = World::new().await;
    with_rules(&mut world, |rules| rules.run_limit_ms = 700);
    world.serving.set(serving::Mood::Hangs);
    let gateway = world.start().await;
    let bought = gateway.quote(&["hello"]).await;
    world.payments.pay(bought.id());
    assert_money_back(&world, &gateway, &bought, State::Expired, "run_limit").await;
}

#[tokio::test]
async fn the_log_is_away_for_a_while() {
    let world = World::new().await;
    world.audit.set(audit::Mood::FailsTimes(3));
    let gateway = world.start().await;
    let bought = gateway.quote(&["hello"]).await;
    world.payments.pay(bought.id());
    world.wait_for(bought.id(), State::Settled).await;
    assert_eq!(world.serving.embeds(), 1);
}

async fn log_fails(mood: audit::Mood, why: &str) {
    let mut world = World::new().await;
    with_rules(&mut world, |rules| rules.append_timeout_ms = 700);
    world.audit.set(mood);
    let gateway = world.start().await;
    let key: GatewayKey = gateway.info().await.unwrap().gateway_key.parse().unwrap();
    let bought = gateway.quote(&["hello"]).await;
    world.payments.pay(bought.id());
    assert_money_back(&world, &gateway, &bought, State::Failed, why).await;
    assert_eq!(world.payments.claims(), 0, "no claim without the log's word");
    // Nobody knows whether the receipt was logged; its ending is.
    world.audit.set(audit::Mood::Works);
    world.closings_relayed().await;
    let closing = world.audit.entries().pop().unwrap();
    let closing: Closing = Envelope::parse(&closing).unwrap().open(&key).unwrap();
    assert_eq!((closing.outcome, closing.amount_msat.msat()), (Outcome::Voided, 0));
    assert_eq!(closing.job_id, bought.id());
}

#[tokio::test]
async fn the_log_stays_away() {
    log_fails(audit::Mood::Unavailable, "audit_unavailable").await;
}

#[tokio::test]
async fn the_log_hangs() {
    log_fails(audit::Mood::Hangs, "audit_unavailable").await;
}

#[tokio::test]
async fn the_log_refuses_the_receipt() {
    log_fails(audit::Mood::Refuses, "receipt_failed").await;
}

#[tokio::test]
async fn the_logs_promise_does_not_verify() {
    log_fails(audit::Mood::Lies, "audit_unavailable").await;
}

#[tokio::test]
async fn too_few_blocks_are_left_before_the_model_runs() {
    let world = World::new().await;
    let gateway = world.start().await;
    let bought = gateway.quote(&["hello"]).await;
    world.payments.set_tip(payments::DEADLINE - 1);
    world.payments.pay(bought.id());
    assert_money_back(&world, &gateway, &bought, State::Failed, "deadline_too_close").await;
    assert_eq!(world.serving.embeds(), 0);
}

#[tokio::test]
async fn too_few_blocks_are_left_after_the_model_ran() {
    let world = World::new().await;
    world.serving.set(serving::Mood::Slow(Duration::from_secs(2)));
    let gateway = world.start().await;
    let bought = gateway.quote(&["hello"]).await;
    world.payments.pay(bought.id());
    world.wait_for(bought.id(), State::Running).await;
    world.payments.set_tip(payments::DEADLINE - 1);
    assert_money_back(&world, &gateway, &bought, State::Failed, "deadline_too_close").await;
    assert_eq!(world.payments.claims(), 0);
    world.closings_relayed().await;
    assert_eq!(world.audit.entries().len(), 2, "the receipt was logged, and that it is void");
}

#[tokio::test]
async fn two_blocks_are_enough() {
    let world = World::new().await;
    let gateway = world.start().await;
    let bought = gateway.quote(&["hello"]).await;
    world.payments.set_tip(payments::DEADLINE - 2);
    world.payments.pay(bought.id());
    world.wait_for(bought.id(), State::Settled).await;
}

#[tokio::test]
async fn without_a_known_tip_nothing_is_claimed() {
    let mut world = World::new().await;
    with_rules(&mut world, |rules| rules.append_timeout_ms = 700);
    let gateway = world.start().await;
    let bought = gateway.quote(&["hello"]).await;
    world.payments.set_synced(false);
    world.payments.pay(bought.id());
    assert_money_back(&world, &gateway, &bought, State::Failed, "audit_unavailable").await;
    assert_eq!(world.payments.claims(), 0);
}

#[tokio::test]
async fn a_claim_that_fails_is_written_off_and_visible() {
    let world = World::new().await;
    world.payments.set(|mood| mood.slow_claims = true);
    let gateway = world.start().await;
    let key: GatewayKey = gateway.info().await.unwrap().gateway_key.parse().unwrap();
    let bought = gateway.quote(&["hello"]).await;
    world.payments.pay(bought.id());
    world.wait_for(bought.id(), State::Taking).await;
    let refused = gateway.cancel(bought.key()).await.unwrap_err();
    assert_eq!(reason(&refused), ErrorReason::InvalidState, "nothing releases from TAKING");
    world.payments.claim_is_lost(bought.id());
    world.wait_for(bought.id(), State::Lost).await;
    world.closings_relayed().await;
    let closing: Closing = Envelope::parse(&world.audit.entries()[1]).unwrap().open(&key).unwrap();
    assert_eq!((closing.outcome, closing.amount_msat.msat()), (Outcome::Lost, bought.0.price_msat));
    let price = i64::try_from(bought.0.price_msat).unwrap();
    let balance = |kind| world.balance(kind);
    assert_eq!(balance(HouseKind::WriteOff).await, price);
    assert_eq!(balance(HouseKind::Revenue).await, price);
    assert_eq!(balance(HouseKind::Lightning).await, 0);
}

#[tokio::test]
async fn a_claim_that_brings_no_event_is_asked_for_again() {
    let world = World::new().await;
    world.payments.set(|mood| mood.slow_claims = true);
    let gateway = world.start().await;
    let bought = gateway.quote(&["hello"]).await;
    world.payments.pay(bought.id());
    crate::world::until("claims", || async { world.payments.claims() >= 3 }).await;
    assert_eq!(world.state(bought.id()).await, State::Taking);
    world.payments.claim_succeeds(bought.id());
    world.wait_for(bought.id(), State::Settled).await;
}

#[tokio::test]
async fn a_release_under_way_is_waited_for() {
    let world = World::new().await;
    world.payments.set(|mood| mood.slow_releases = true);
    world.serving.set(serving::Mood::Fails(ErrorReason::ModelFailed));
    let gateway = world.start().await;
    let bought = gateway.quote(&["hello"]).await;
    world.payments.pay(bought.id());
    crate::world::until("the release is requested", || async {
        world.payments.state(bought.id()) == Some(HoldInvoiceState::ReleaseRequested)
    })
    .await;
    assert_eq!(world.state(bought.id()).await, State::Releasing);
    world.payments.finish_release(bought.id());
    world.wait_for(bought.id(), State::Failed).await;
}

#[tokio::test]
async fn payment_is_away_while_money_is_to_be_given_back() {
    let world = World::new().await;
    world.serving.set(serving::Mood::Slow(Duration::from_secs(2)));
    let gateway = world.start().await;
    let bought = gateway.quote(&["hello"]).await;
    world.payments.pay(bought.id());
    world.wait_for(bought.id(), State::Running).await;
    world.payments.set(|mood| mood.down = true);
    gateway.cancel(bought.key()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(world.state(bought.id()).await, State::Releasing);
    world.payments.set(|mood| mood.down = false);
    assert_money_back(&world, &gateway, &bought, State::Canceled, "canceled").await;
}

#[tokio::test]
async fn a_quote_nobody_pays_expires() {
    let mut world = World::new().await;
    world.settings.quotes.expiry = Duration::from_secs(1);
    let gateway = world.start().await;
    let bought = gateway.quote(&["hello"]).await;
    assert_money_back(&world, &gateway, &bought, State::Expired, "quote_expired").await;
}

#[tokio::test]
async fn cancel_before_and_while_the_model_runs() {
    let world = World::new().await;
    world.serving.set(serving::Mood::Hangs);
    let gateway = world.start().await;
    let unpaid = gateway.quote(&["hello"]).await;
    gateway.cancel(unpaid.key()).await.unwrap();
    assert_money_back(&world, &gateway, &unpaid, State::Canceled, "canceled").await;
    let again = gateway.cancel(unpaid.key()).await.unwrap();
    assert_eq!(again.release_reason, "canceled");

    let running = gateway.quote(&["hello"]).await;
    world.payments.pay(running.id());
    crate::world::until("the model runs", || async { world.serving.embeds() == 1 }).await;
    gateway.cancel(running.key()).await.unwrap();
    assert_money_back(&world, &gateway, &running, State::Canceled, "canceled").await;
}

#[tokio::test]
async fn money_moves_while_hanging_models_fill_every_slot() {
    let mut world = World::new().await;
    world.settings.max_running_jobs = 1;
    let gateway = world.start().await;
    world.payments.set(|mood| mood.slow_claims = true);
    let taking = gateway.quote(&["hello"]).await;
    world.payments.pay(taking.id());
    world.wait_for(taking.id(), State::Taking).await;

    world.serving.set(serving::Mood::Hangs);
    let hanging = gateway.quote(&["hello"]).await;
    world.payments.pay(hanging.id());
    world.wait_for(hanging.id(), State::Running).await;
    let waiting = gateway.quote(&["hello"]).await;
    world.payments.pay(waiting.id());
    world.wait_for(waiting.id(), State::Held).await;
    gateway.cancel(waiting.key()).await.unwrap();
    assert_money_back(&world, &gateway, &waiting, State::Canceled, "canceled").await;
    let before = world.payments.claims();
    crate::world::until("another claim", || async { world.payments.claims() > before }).await;
    assert_eq!(world.state(hanging.id()).await, State::Running, "its slot was never free");
}

#[tokio::test]
async fn cancel_after_the_end_is_refused() {
    let world = World::new().await;
    let gateway = world.start().await;
    let bought = gateway.quote(&["hello"]).await;
    world.payments.pay(bought.id());
    world.wait_for(bought.id(), State::Settled).await;
    let refused = gateway.cancel(bought.key()).await.unwrap_err();
    assert_eq!(reason(&refused), ErrorReason::InvalidState);
}
