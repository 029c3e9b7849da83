//! Two gateways on one database.

use std::time::Duration;

use ailayer_gateway::domain::job::State;
use ailayer_gateway::domain::ledger::HouseKind;
use ailayer_gateway::store::leases::{self, Lane};
use uuid::Uuid;

use crate::fakes::serving;
use crate::world::World;

#[tokio::test]
async fn two_replicas_serve_every_job_once() {
    let world = World::new().await;
    let (one, two) = (world.start().await, world.start().await);
    let mut bought = Vec::new();
    for number in 0..16 {
        let replica = if number % 2 == 0 { &one } else { &two };
        bought.push(replica.quote(&[&format!("text {number}")]).await);
    }
    bought.iter().for_each(|it| world.payments.pay(it.id()));
    for it in &bought {
        world.wait_for(it.id(), State::Settled).await;
    }
    world.closings_relayed().await;
    assert_eq!(world.serving.embeds(), 16, "no job ran twice");
    assert_eq!(world.audit.entries().len(), 32);
    let total: u64 = bought.iter().map(|it| it.0.price_msat).sum();
    let lightning = world.balance(HouseKind::Lightning).await;
    assert_eq!(lightning, i64::try_from(total).unwrap());
    assert!(two.result(bought[0].key()).await.is_ok(), "either replica answers");
}

#[tokio::test]
async fn a_job_that_takes_longer_than_a_lease_is_not_run_twice() {
    let world = World::new().await;
    world.serving.set(serving::Mood::Slow(crate::world::LEASE * 3));
    let (one, _two) = (world.start().await, world.start().await);
    let bought = one.quote(&["slow"]).await;
    world.payments.pay(bought.id());
    world.wait_for(bought.id(), State::Settled).await;
    assert_eq!(world.serving.embeds(), 1);
}

#[tokio::test]
async fn the_survivor_takes_over() {
    let world = World::new().await;
    world.serving.set(serving::Mood::Hangs);
    let one = world.start().await;
    let bought = one.quote(&["hello"]).await;
    world.payments.pay(bought.id());
    crate::world::until("the model runs", || async { world.serving.embeds() == 1 }).await;
    let _two = world.start().await;
    one.kill();
    world.serving.set(serving::Mood::Works);
    world.wait_for(bought.id(), State::Settled).await;
    assert_eq!(world.record(bought.id()).await.job.attempt, 2);
}

#[tokio::test]
async fn a_cancellation_at_one_replica_stops_the_model_at_the_other() {
    let world = World::new().await;
    world.serving.set(serving::Mood::Hangs);
    let one = world.start().await;
    let bought = one.quote(&["hello"]).await;
    world.payments.pay(bought.id());
    crate::world::until("the model runs", || async { world.serving.embeds() == 1 }).await;
    let two = world.start().await;
    two.cancel(bought.key()).await.unwrap();
    world.wait_for(bought.id(), State::Canceled).await;
}

#[tokio::test]
async fn a_lease_has_one_owner_at_a_time() {
    let world = World::new().await;
    // A job that is due, and nobody who drives it.
    let gateway = world.start().await;
    let bought = gateway.quote(&["hello"]).await;
    gateway.kill();
    let pool = world.store.pool();
    // A statement that the killed gateway had sent still runs to its end, and may take the lease.
    let others = "select count(*) from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid() and state <> 'idle'";
    crate::world::until("nothing of the killed gateway runs", || async {
        sqlx::query_scalar::<_, i64>(others).fetch_one(pool).await.unwrap() == 0
    })
    .await;
    let due = "update jobs set wake_unix_ms = 0, lease_owner = null, lease_until_unix_ms = null";
    sqlx::query(due).execute(pool).await.unwrap();
    let (one, two) = (Uuid::new_v4(), Uuid::new_v4());
    let lease = Duration::from_millis(300);
    assert_eq!(
        leases::take(&world.store, one, lease, Lane::Models, 5).await.unwrap(),
        [],
        "a quote needs no model"
    );
    assert_eq!(leases::take(&world.store, one, lease, Lane::Money, 5).await.unwrap(), [bought.id()]);
    assert_eq!(leases::take(&world.store, two, lease, Lane::Money, 5).await.unwrap(), []);
    assert_eq!(leases::renew(pool, bought.id(), one, lease).await.unwrap(), Some(1));
    assert_eq!(leases::renew(pool, bought.id(), two, lease).await.unwrap(), None);
    tokio::time::sleep(lease + Duration::from_millis(100)).await;
    assert_eq!(leases::take(&world.store, two, lease, Lane::Money, 5).await.unwrap(), [bought.id()]);
    assert_eq!(leases::renew(pool, bought.id(), one, lease).await.unwrap(), None, "it lapsed and was taken");
    // What the former owner still thinks of the job counts for nothing.
    leases::give_back(pool, bought.id(), one, Some((1, Duration::from_secs(60)))).await.unwrap();
    leases::give_back(pool, bought.id(), two, Some((7, Duration::from_secs(60)))).await.unwrap();
    assert_eq!(
        leases::take(&world.store, one, lease, Lane::Money, 5).await.unwrap(),
        [bought.id()],
        "the version had passed"
    );
    leases::give_back(pool, bought.id(), one, Some((1, Duration::from_secs(60)))).await.unwrap();
    assert_eq!(leases::take(&world.store, one, lease, Lane::Money, 5).await.unwrap(), [], "it rests");
}
