//! The database's clock jumps by an hour, either way, while money is quoted, held and reserved.

use std::time::Duration;

use ailayer_client::payment::HoldInvoiceState;
use ailayer_gateway::crash_points;
use ailayer_gateway::domain::job::State;
use ailayer_gateway::store::ledger::audit;
use ailayer_gateway::store::ties;
use ailayer_platform::error::ErrorReason;
use sqlx::Executor as _;

use crate::customer::{Customer, job};
use crate::fakes::serving::Mood;
use crate::world::{World, until};

const HOUR_MS: i64 = 3_600_000;

/// The only clock that decides about jobs goes on from so much later.
async fn jump(world: &World, by_ms: i64) {
    let statement = format!(
        "create or replace function unix_ms() returns bigint language sql volatile
            as $$ select floor(extract(epoch from clock_timestamp()) * 1000)::bigint + {by_ms} $$"
    );
    world.store.pool().execute(sqlx::AssertSqlSafe(statement)).await.unwrap();
}

async fn sound(world: &World) {
    assert_eq!(audit::verify(world.store.pool()).await.unwrap(), audit::Findings::default());
    assert_eq!(ties::verify(world.store.pool()).await.unwrap(), ties::Ties::default());
}

#[tokio::test]
async fn one_that_is_put_back_revives_nothing_and_stops_nothing() {
    let world = World::new().await;
    let gateway = world.start().await;
    let customer = Customer::with_balance(&world, &gateway, 50_000).await;
    let (open, ended) = (gateway.quote(&["open"]).await, gateway.quote(&["ended"]).await);
    gateway.cancel(ended.key()).await.unwrap();
    world.wait_for(ended.id(), State::Canceled).await;
    let running = gateway.quote(&["running"]).await;
    world.serving.set(Mood::Slow(Duration::from_millis(1_000)));
    world.payments.pay(running.id());
    let (answer, ()) = tokio::join!(customer.run(&gateway, job(&["hello"])), async {
        until("both run", || async { world.serving.embeds() == 2 }).await;
        jump(&world, -HOUR_MS).await;
    });
    assert_eq!(answer.unwrap().charged_msat, 1030);
    world.wait_for(running.id(), State::Settled).await;
    world.payments.pay(open.id());
    world.wait_for(open.id(), State::Settled).await;
    assert_eq!(world.state(ended.id()).await, State::Canceled);
    assert_eq!(customer.balance(&world).await.balance_units, 50_000 - 1030);
    sound(&world).await;
}

/// Due an hour ahead, says its row: nobody looks at it before it is due, unless somebody sees that this cannot be.
#[tokio::test]
async fn a_job_whose_gateway_died_before_the_clock_was_put_back_does_not_wait_for_the_old_time() {
    for point in [crash_points::HELD, crash_points::RUNNING, crash_points::RELEASING] {
        let world = World::new().await;
        let (dying, crash) = world.start_halting_at(point).await;
        let bought = dying.quote(&["held"]).await;
        let end = if point == crash_points::RELEASING {
            world.serving.set(Mood::Fails(ErrorReason::ModelFailed));
            State::Failed
        } else {
            State::Settled
        };
        world.payments.pay(bought.id());
        crash.reached().await;
        dying.kill();
        jump(&world, -HOUR_MS).await;
        let _gateway = world.start().await;
        world.wait_for(bought.id(), end).await;
        sound(&world).await;
    }
}

/// Time that did not pass ends nothing that was waiting before.
#[tokio::test]
async fn one_that_jumps_ahead_ends_nothing_that_has_time() {
    let world = World::new().await;
    let gateway = world.start().await;
    let customer = Customer::with_balance(&world, &gateway, 50_000).await;
    let (open, running) = (gateway.quote(&["open"]).await, gateway.quote(&["running"]).await);
    let idle = gateway.quote(&["never paid"]).await;
    // The clock is looked at when the gateway starts to refresh what it knows.
    customer.run(&gateway, job(&["hello"])).await.unwrap();
    world.serving.set(Mood::Slow(Duration::from_millis(1_000)));
    world.payments.pay(running.id());
    let (answer, ()) = tokio::join!(customer.run(&gateway, job(&["hello"])), async {
        until("both run", || async { world.serving.embeds() == 3 }).await;
        jump(&world, HOUR_MS).await;
    });
    assert_eq!(answer.unwrap().charged_msat, 1030);
    world.wait_for(running.id(), State::Settled).await;
    assert_eq!(world.payments.state(running.id()), Some(HoldInvoiceState::Claimed));
    world.serving.set(Mood::Works);
    // An open quote is served at its price, and one that nobody pays stays open.
    world.payments.pay(open.id());
    world.wait_for(open.id(), State::Settled).await;
    assert_eq!(customer.run(&gateway, job(&["hello"])).await.unwrap().charged_msat, 1030, "work goes on");
    let bought = gateway.quote(&["behind the jump"]).await;
    world.payments.pay(bought.id());
    world.wait_for(bought.id(), State::Settled).await;
    assert_eq!(world.state(idle.id()).await, State::Quoted);
    let balance = customer.balance(&world).await;
    assert_eq!((balance.balance_units, balance.reserved_units), (50_000 - 3 * 1030, 0));
    // When the clock has been put right, all goes on as before.
    jump(&world, 0).await;
    world.payments.pay(idle.id());
    world.wait_for(idle.id(), State::Settled).await;
    sound(&world).await;
}

/// A gateway that starts believes the clock it finds. That ends what was waiting, costs sales, and must cost nobody money.
#[tokio::test]
async fn one_that_jumped_ahead_while_no_gateway_ran_takes_no_money_for_what_it_ends() {
    let world = World::new().await;
    let (dying, crash) = world.start_halting_at(crash_points::HELD).await;
    let customer = Customer::with_balance(&world, &dying, 50_000).await;
    let (open, held) = (dying.quote(&["open"]).await, dying.quote(&["held"]).await);
    world.payments.pay(held.id());
    crash.reached().await;
    dying.kill();
    jump(&world, HOUR_MS).await;
    let gateway = world.start().await;
    for (job_id, end) in [(held.id(), State::Expired), (open.id(), State::Expired)] {
        world.wait_for(job_id, end).await;
    }
    assert_eq!(world.payments.state(held.id()), Some(HoldInvoiceState::Released));
    assert!(gateway.result(held.key()).await.is_err());
    assert_eq!(customer.run(&gateway, job(&["hello"])).await.unwrap().charged_msat, 1030, "work goes on");
    sound(&world).await;
}

/// What is erased does not come back.
#[tokio::test]
async fn one_that_jumps_ahead_erases_no_answer() {
    let mut world = World::new().await;
    // Looked at every second.
    world.settings.result_retention = Duration::from_secs(10);
    let gateway = world.start().await;
    let bought = gateway.quote(&["hello"]).await;
    world.payments.pay(bought.id());
    world.wait_for(bought.id(), State::Settled).await;
    jump(&world, HOUR_MS).await;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert!(gateway.result(bought.key()).await.is_ok());
    // Another gateway, which knows of no jump.
    let _other = world.start().await;
    until("it is erased", || async { gateway.result(bought.key()).await.is_err() }).await;
}
