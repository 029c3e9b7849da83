//! What cannot be served is refused early, with a time to come back.

use std::time::Duration;

use ailayer_client::ErrorReason;
use ailayer_gateway::domain::job::State;
use ailayer_platform::error::retry_after;
use sqlx::Row as _;
use tonic::Status;

use crate::customer::{Customer, job};
use crate::fakes::serving::Mood;
use crate::world::{Bought, Process, World, order, reason, until};

const ALICE: &str = "192.0.2.1";
const BOB: &str = "192.0.2.2";

/// The reason and whether a time to come back is named.
fn refused(answer: Result<Bought, Status>) -> (ErrorReason, bool) {
    let status = answer.unwrap_err();
    (reason(&status), retry_after(&status).is_some_and(|time| time > Duration::ZERO))
}

async fn quote_of(gateway: &Process, payer: &str) -> Result<Bought, Status> {
    gateway.create_quote_from(payer, order(&["hello"])).await
}

async fn payers(world: &World) -> i64 {
    let count = sqlx::query("select count(payer) from jobs").fetch_one(world.store.pool());
    count.await.unwrap().get(0)
}

#[tokio::test]
async fn the_open_quotes_of_one_payer_are_limited_and_leave_room_for_others() {
    let mut world = World::new().await;
    world.settings.admission.max_open_of_payer = 2;
    let gateway = world.start().await;
    let first = quote_of(&gateway, ALICE).await.unwrap();
    // Whatever she writes in front of it, the proxy's word is the last.
    quote_of(&gateway, &format!("203.0.113.9, {ALICE}")).await.unwrap();
    assert_eq!(refused(quote_of(&gateway, ALICE).await), (ErrorReason::TooManyOpen, true));
    quote_of(&gateway, BOB).await.unwrap();
    gateway.cancel(first.key()).await.unwrap();
    world.wait_for(first.id(), State::Canceled).await;
    quote_of(&gateway, ALICE).await.unwrap();
    // Of a job that has ended nothing is kept about who paid it.
    assert_eq!(payers(&world).await, 3);
}

#[tokio::test]
async fn the_paid_jobs_of_one_payer_and_those_that_wait_for_a_model_are_limited() {
    let mut world = World::new().await;
    world.settings.admission.max_holds_of_payer = 1;
    world.settings.admission.max_waiting = 2;
    let gateway = world.start().await;
    world.serving.set(Mood::Hangs);
    let first = quote_of(&gateway, ALICE).await.unwrap();
    world.payments.pay(first.id());
    world.wait_for(first.id(), State::Running).await;
    assert_eq!(refused(quote_of(&gateway, ALICE).await), (ErrorReason::TooManyOpen, true));
    let second = quote_of(&gateway, BOB).await.unwrap();
    world.payments.pay(second.id());
    world.wait_for(second.id(), State::Running).await;
    let stranger = quote_of(&gateway, "2001:db8::1").await;
    assert_eq!(refused(stranger), (ErrorReason::Overloaded, true));
    gateway.cancel(first.key()).await.unwrap();
    world.wait_for(first.id(), State::Canceled).await;
    quote_of(&gateway, ALICE).await.unwrap();
}

#[tokio::test]
async fn nothing_is_quoted_that_no_channel_can_receive() {
    let world = World::new().await;
    let gateway = world.start().await;
    world.payments.set(|mood| mood.inbound_msat = 1029);
    assert_eq!(refused(quote_of(&gateway, ALICE).await), (ErrorReason::NoInboundCapacity, true));
    world.payments.set(|mood| mood.inbound_msat = 1030);
    let quoted = quote_of(&gateway, ALICE).await.unwrap();
    assert_eq!(quoted.0.price_msat, 1030);
    world.payments.set(|mood| mood.accepted_holds = 50);
    assert_eq!(refused(quote_of(&gateway, ALICE).await), (ErrorReason::TooManyOpen, true));
    world.payments.set(|mood| mood.accepted_holds = 49);
    quote_of(&gateway, ALICE).await.unwrap();
    assert_eq!(world.payments.creates(), 2, "no invoice was made for what was refused");
    // The first buyer of a node opens a channel once the price is known.
    world.payments.set(|mood| (mood.no_channels, mood.inbound_msat) = (true, 0));
    quote_of(&gateway, ALICE).await.unwrap();
}

#[tokio::test]
async fn a_full_model_queue_refuses_both_rails_before_anything_is_set_aside() {
    let world = World::new().await;
    let gateway = world.start().await;
    let customer = Customer::with_balance(&world, &gateway, 10_000).await;
    let first = quote_of(&gateway, ALICE).await.unwrap();
    world.serving.set(Mood::Fails(ErrorReason::Overloaded));
    world.payments.pay(first.id());
    until("the queue was found full", || async { world.serving.embeds() > 0 }).await;
    until("quotes are refused", || async { quote_of(&gateway, BOB).await.is_err() }).await;
    assert_eq!(refused(quote_of(&gateway, BOB).await), (ErrorReason::Overloaded, true));
    let status = customer.run(&gateway, job(&["hello"])).await.unwrap_err();
    assert_eq!(reason(&status), ErrorReason::Overloaded);
    assert!(retry_after(&status).is_some());
    assert_eq!(customer.balance(&world).await.reserved_units, 0);
    // What was paid is served as soon as there is room, and then there is room for others.
    world.serving.set(Mood::Works);
    world.wait_for(first.id(), State::Settled).await;
    quote_of(&gateway, BOB).await.unwrap();
    customer.run(&gateway, job(&["hello"])).await.unwrap();
}
