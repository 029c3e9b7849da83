//! What is looked for again and again is found by an index, whatever the tables hold.

use std::time::Duration;

use ailayer_gateway::domain::job::State;
use ailayer_gateway::store::leases::{self, Lane};
use ailayer_gateway::store::ledger::reservations;
use ailayer_gateway::store::{self, retention};
use ailayer_store::{Store, StoreConfig, outbox};
use sqlx::PgPool;
use uuid::Uuid;

use crate::world::World;

const LOOKS: usize = 8;

/// Rows of the polled tables that were read one after the other, by this very connection too.
async fn read_whole(pool: &PgPool) -> Vec<(String, i64)> {
    sqlx::query("select pg_stat_force_next_flush()").execute(pool).await.unwrap();
    sqlx::query_as(
        "select relname::text, seq_tup_read from pg_stat_user_tables
         where relname in ('jobs', 'outbox', 'ledger_reservations') order by relname",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

async fn look(store: &Store) {
    let pool = store.pool();
    for lane in [Lane::Money, Lane::Models] {
        leases::take(store, Uuid::new_v4(), Duration::from_secs(5), lane, 8).await.unwrap();
    }
    outbox::due(pool, 8).await.unwrap();
    reservations::expired(pool, 8).await.unwrap();
    retention::erase(store, Duration::from_secs(3600), 8).await.unwrap();
}

#[tokio::test]
async fn what_is_due_is_looked_for_in_indexes() {
    let world = World::new().await;
    // One connection: its plans are made while the tables are empty, and kept.
    let alone = StoreConfig { max_connections: 1, ..StoreConfig::new(&world.url) };
    let store = store::connect(&alone).await.unwrap();
    let pool = store.pool();
    for _ in 0..LOOKS {
        look(&store).await;
    }
    let gateway = world.start().await;
    for number in 0..24 {
        let bought = gateway.quote(&[&format!("text {number}")]).await;
        world.payments.pay(bought.id());
        world.wait_for(bought.id(), State::Settled).await;
    }
    world.closings_relayed().await;
    gateway.kill();

    let before = read_whole(pool).await;
    look(&store).await;
    assert_eq!(read_whole(pool).await, before, "a kept plan reads a table whole");
    // As the server itself does from time to time. So few rows fit on a page, which is cheap to read whole.
    sqlx::query("analyze").execute(pool).await.unwrap();
    let before = read_whole(pool).await;
    for _ in 0..LOOKS {
        look(&store).await;
    }
    assert_eq!(read_whole(pool).await, before, "no index helps to find what is due");
    store.close().await;
}
