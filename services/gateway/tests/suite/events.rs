//! Payment events that come twice, late, in another order, or make no sense.

use ailayer_client::payment::{EventKind, HoldInvoice, HoldInvoiceState};
use ailayer_gateway::domain::job::State;
use ailayer_gateway::domain::ledger::HouseKind;
use ailayer_primitives::AmountMsat;
use uuid::Uuid;

use crate::fakes::serving;
use crate::world::{World, until};

#[tokio::test]
async fn events_that_come_again_change_nothing() {
    let world = World::new().await;
    let gateway = world.start().await;
    let bought = gateway.quote(&["hello"]).await;
    world.payments.pay(bought.id());
    world.wait_for(bought.id(), State::Settled).await;
    let settled = world.record(bought.id()).await;
    let invoice = world.payments.invoice(bought.id());
    world.payments.emit(EventKind::HoldInvoiceAccepted(invoice.clone()));
    world.payments.emit(EventKind::HoldInvoiceClaimed(invoice));
    world.events_taken_in().await;
    assert_eq!(world.record(bought.id()).await.version, settled.version);
    let price = i64::try_from(bought.0.price_msat).unwrap();
    assert_eq!(world.balance(HouseKind::Lightning).await, price);
}

#[tokio::test]
async fn events_while_the_gateway_was_down_are_taken_in_by_the_next_one() {
    let world = World::new().await;
    let gateway = world.start().await;
    let bought = gateway.quote(&["hello"]).await;
    gateway.kill();
    world.payments.pay(bought.id());
    let _gateway = world.start().await;
    world.wait_for(bought.id(), State::Settled).await;
}

#[tokio::test]
async fn the_stream_is_followed_again_after_an_outage() {
    let world = World::new().await;
    world.payments.set(|mood| mood.down = true);
    let gateway = world.start().await;
    until("unready", || async { gateway.health.unready().iter().any(|(name, _)| name == "payment_events") })
        .await;
    world.payments.set(|mood| mood.down = false);
    until("ready", || async { gateway.health.is_ready() }).await;
    let bought = gateway.quote(&["hello"]).await;
    world.payments.pay(bought.id());
    world.wait_for(bought.id(), State::Settled).await;
}

#[tokio::test]
async fn money_for_a_canceled_job_goes_back() {
    let world = World::new().await;
    let gateway = world.start().await;
    let bought = gateway.quote(&["hello"]).await;
    gateway.cancel(bought.key()).await.unwrap();
    world.wait_for(bought.id(), State::Canceled).await;
    // As if the payment service had accepted it before it heard of the release.
    let invoice = HoldInvoice {
        state: HoldInvoiceState::Accepted,
        accepted_amount: AmountMsat::try_new(bought.0.price_msat).unwrap(),
        claim_deadline_height: 200,
        accepted_at: ailayer_platform::clock::now_ms(),
        ..world.payments.invoice(bought.id())
    };
    world.payments.emit(EventKind::HoldInvoiceAccepted(invoice));
    world.events_taken_in().await;
    assert_eq!(world.state(bought.id()).await, State::Canceled);
    assert_eq!(world.payments.state(bought.id()), Some(HoldInvoiceState::Released));
    assert_eq!(world.serving.embeds(), 0);
}

#[tokio::test]
async fn too_little_money_goes_back() {
    let world = World::new().await;
    let gateway = world.start().await;
    let bought = gateway.quote(&["hello"]).await;
    let invoice = HoldInvoice {
        state: HoldInvoiceState::Accepted,
        accepted_amount: AmountMsat::try_new(bought.0.price_msat - 1).unwrap(),
        claim_deadline_height: 200,
        ..world.payments.invoice(bought.id())
    };
    world.payments.emit(EventKind::HoldInvoiceAccepted(invoice));
    let record = world.wait_for(bought.id(), State::Failed).await;
    assert_eq!(record.job.release_reason.unwrap().as_str(), "underpaid");
    assert_eq!(world.payments.state(bought.id()), Some(HoldInvoiceState::Released));
}

#[tokio::test]
async fn the_deadline_guard_was_faster_than_the_model() {
    let world = World::new().await;
    world.serving.set(serving::Mood::Hangs);
    let gateway = world.start().await;
    let bought = gateway.quote(&["hello"]).await;
    world.payments.pay(bought.id());
    until("the model runs", || async { world.serving.embeds() == 1 }).await;
    world.payments.guard_releases(bought.id());
    let record = world.wait_for(bought.id(), State::Failed).await;
    assert_eq!(record.job.release_reason.unwrap().as_str(), "hold_released");
    assert_eq!(world.payments.claims(), 0);
}

#[tokio::test]
async fn the_deadline_guard_was_faster_than_the_claim() {
    let world = World::new().await;
    let (gateway, halt) = world.start_halting_at(ailayer_gateway::crash_points::TAKING).await;
    let bought = gateway.quote(&["hello"]).await;
    world.payments.pay(bought.id());
    halt.reached().await;
    gateway.kill();
    world.payments.guard_releases(bought.id());
    let _gateway = world.start().await;
    world.wait_for(bought.id(), State::Lost).await;
    let price = i64::try_from(bought.0.price_msat).unwrap();
    assert_eq!(world.balance(HouseKind::WriteOff).await, price);
}

#[tokio::test]
async fn an_invoice_that_ran_out_ends_the_job() {
    let world = World::new().await;
    let gateway = world.start().await;
    let bought = gateway.quote(&["hello"]).await;
    world.payments.invoice_expires(bought.id());
    let record = world.wait_for(bought.id(), State::Expired).await;
    assert_eq!(record.job.release_reason.unwrap().as_str(), "quote_expired");
}

#[tokio::test]
async fn events_that_contradict_a_job_stop_nobody_else() {
    let world = World::new().await;
    let gateway = world.start().await;
    let bought = gateway.quote(&["hello"]).await;
    let stranger = HoldInvoice { invoice_id: Uuid::new_v4(), ..world.payments.invoice(bought.id()) };
    // Claimed and lost, though nothing was ever claimed; an invoice of somebody else's; one with a foreign hash.
    world.payments.emit(EventKind::HoldInvoiceClaimed(world.payments.invoice(bought.id())));
    world.payments.emit(EventKind::HoldInvoiceLost(world.payments.invoice(bought.id())));
    world.payments.emit(EventKind::HoldInvoiceAccepted(stranger));
    let other = gateway.quote(&["other"]).await;
    let foreign_hash = world.payments.invoice(other.id()).payment_hash;
    let foreign = HoldInvoice { payment_hash: foreign_hash, ..world.payments.invoice(bought.id()) };
    world.payments.emit(EventKind::HoldInvoiceAccepted(foreign));
    world.payments.emit(EventKind::Unknown);
    world.events_taken_in().await;
    assert_eq!(world.state(bought.id()).await, State::Quoted);
    world.payments.pay(bought.id());
    world.wait_for(bought.id(), State::Settled).await;
}
