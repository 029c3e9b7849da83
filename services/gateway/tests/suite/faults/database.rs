//! PostgreSQL that is away, slow, full, or aborts transactions: nothing is served that is not paid for, and nothing is lost.

use std::time::{Duration, Instant};

use ailayer_client::payment::HoldInvoiceState;
use ailayer_devnet::Postgres;
use ailayer_gateway::domain::job::State;
use ailayer_gateway::store::ledger::audit;
use ailayer_gateway::store::ties;
use ailayer_platform::error::{ErrorReason, retry_after};
use ailayer_proto::ailayer::gateway::v1 as pb;
use sqlx::Executor as _;
use tonic::{Code, Status};

use crate::customer::{Customer, job};
use crate::world::{World, order, reason, until};

/// Per call 1000, per token 10; three tokens.
const PRICE: i64 = 1030;

/// What a client is told while nothing can be decided: come back.
fn assert_come_back(refused: &Status) {
    assert_eq!((refused.code(), reason(refused)), (Code::Unavailable, ErrorReason::StorageUnavailable));
    assert!(retry_after(refused).is_some(), "a time to come back: {refused:?}");
}

async fn sound(world: &World) {
    assert_eq!(audit::verify(world.store.pool()).await.unwrap(), audit::Findings::default());
    assert_eq!(ties::verify(world.store.pool()).await.unwrap(), ties::Ties::default());
}

/// Every insert into `table` does this first, counted from 1 by `number`.
async fn before_each_insert(world: &World, table: &str, deed: &str) {
    let statement = format!(
        "create sequence hiccups;
         create function hiccup() returns trigger language plpgsql as $$
            declare number bigint := nextval('hiccups'); begin {deed} return null; end $$;
         create trigger hiccup before insert on {table} for each statement execute function hiccup();"
    );
    world.store.pool().execute(sqlx::AssertSqlSafe(statement)).await.unwrap();
}

async fn cure(world: &World, table: &str) {
    let statement = format!("drop trigger hiccup on {table}");
    world.store.pool().execute(sqlx::AssertSqlSafe(statement)).await.unwrap();
}

#[tokio::test]
async fn one_that_is_away_costs_a_repeat_and_no_inference() {
    let postgres = Postgres::start().await.unwrap();
    let world = World::on(postgres.create_database().await.unwrap()).await;
    let gateway = world.start().await;
    until("it is ready", || async { gateway.health.is_ready() }).await;
    let customer = Customer::with_balance(&world, &gateway, 10_000).await;
    let held = gateway.quote(&["hello"]).await;

    postgres.kill9().await.unwrap();
    let request = job(&["hello"]);
    assert_come_back(&customer.run(&gateway, request.clone()).await.unwrap_err());
    assert_come_back(&gateway.create_quote(order(&["hello"])).await.unwrap_err());
    world.payments.pay(held.id());
    until("it says that it is not ready", || async {
        gateway.health.unready().iter().any(|(name, _)| name == "database")
    })
    .await;
    assert_eq!(world.serving.embeds(), 0, "nothing is served that cannot be written down");

    postgres.restart().await.unwrap();
    until("it is ready again", || async { gateway.health.is_ready() }).await;
    let answer = customer.run(&gateway, request).await.unwrap();
    assert_eq!(answer.charged_msat, PRICE.unsigned_abs());
    let balance = customer.balance(&world).await;
    assert_eq!((balance.balance_units, balance.reserved_units), (10_000 - PRICE, 0));
    // What was paid meanwhile is not forgotten.
    world.wait_for(held.id(), State::Settled).await;
    sound(&world).await;
}

#[tokio::test]
async fn one_that_takes_five_seconds_is_waited_for() {
    let world = World::new().await;
    let gateway = world.start().await;
    let customer = Customer::with_balance(&world, &gateway, 10_000).await;
    before_each_insert(&world, "ledger_transactions", "if number = 1 then perform pg_sleep(5); end if;")
        .await;
    let since = Instant::now();
    let answer = customer.run(&gateway, job(&["hello"])).await.unwrap();
    assert!(since.elapsed() >= Duration::from_secs(5));
    assert_eq!(answer.charged_msat, PRICE.unsigned_abs());
    assert_eq!(customer.balance(&world).await.balance_units, 10_000 - PRICE);
    sound(&world).await;
}

#[tokio::test]
async fn transactions_that_lose_are_repeated_and_done_once() {
    let world = World::new().await;
    let gateway = world.start().await;
    let customer = Customer::with_balance(&world, &gateway, 10_000).await;
    // Of the prepaid job's steps each loses once, of the other job's some lose twice.
    let lose =
        "if number in (1, 3, 6, 8, 9, 13, 14) then raise exception 'lost' using errcode = '40001'; end if;";
    before_each_insert(&world, "job_events", lose).await;
    let answer = customer.run(&gateway, job(&["hello"])).await.unwrap();
    assert_eq!(answer.job.unwrap().state(), pb::JobState::Settled);
    let bought = loop {
        match gateway.create_quote(order(&["hello"])).await {
            Ok(bought) => break bought,
            Err(refused) => assert!(retry_after(&refused).is_some(), "{refused:?}"),
        }
    };
    world.payments.pay(bought.id());
    world.wait_for(bought.id(), State::Settled).await;
    assert_eq!(world.payments.claims(), 1);
    assert_eq!(customer.balance(&world).await.balance_units, 10_000 - PRICE);
    sound(&world).await;
}

#[tokio::test]
async fn a_full_disk_refuses_new_work_and_loses_nothing_that_was_paid() {
    let world = World::new().await;
    let gateway = world.start().await;
    let customer = Customer::with_balance(&world, &gateway, 10_000).await;
    let held = gateway.quote(&["hello"]).await;
    let full = "raise exception 'no space left on device' using errcode = 'disk_full';";
    before_each_insert(&world, "job_events", full).await;
    let request = job(&["hello"]);
    assert_come_back(&customer.run(&gateway, request.clone()).await.unwrap_err());
    assert_come_back(&gateway.create_quote(order(&["hello"])).await.unwrap_err());
    world.payments.pay(held.id());
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!((world.serving.embeds(), world.state(held.id()).await), (0, State::Quoted));
    let balance = customer.balance(&world).await;
    assert_eq!((balance.balance_units, balance.reserved_units), (10_000, 0));

    cure(&world, "job_events").await;
    world.wait_for(held.id(), State::Settled).await;
    customer.run(&gateway, request).await.unwrap();
    assert_eq!(customer.balance(&world).await.balance_units, 10_000 - PRICE);
    sound(&world).await;
}

/// The answer is there and cannot be stored: it is not given out, and the money goes back.
#[tokio::test]
async fn an_answer_that_cannot_be_stored_is_not_taken_money_for() {
    let mut world = World::new().await;
    world.settings.rules.run_limit_ms = 1_500;
    let gateway = world.start().await;
    let bought = gateway.quote(&["hello"]).await;
    let full = "if exists (select from jobs where state = 'COMPLETED') then
        raise exception 'no space left on device' using errcode = 'disk_full'; end if;";
    before_each_insert(&world, "job_events", full).await;
    world.payments.pay(bought.id());
    let ended = world.wait_for(bought.id(), State::Expired).await;
    assert_eq!(ended.job.release_reason.unwrap().as_str(), "run_limit");
    assert_eq!(world.payments.state(bought.id()), Some(HoldInvoiceState::Released));
    assert_eq!((world.payments.claims(), world.audit.entries().len()), (0, 0));
    assert!(gateway.result(bought.key()).await.is_err(), "no answer without money");
    sound(&world).await;
}
