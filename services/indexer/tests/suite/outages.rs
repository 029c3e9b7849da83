//! Server and database go away and come back.

use std::sync::Arc;

use ailayer_devnet::Postgres;
use ailayer_platform::error::{ErrorReason, reason_of};
use ailayer_proto::ailayer::indexer::v1 as pb;

use crate::fake_electrum::FakeElectrum;
use crate::harness::{Indexer, Net, Reader, eventually, new_database};

#[tokio::test]
async fn a_killed_server_is_waited_for() {
    let net = Net::start().await;
    net.bitcoind.mine(5).await.unwrap();
    let tip = net.electrumx.wait_for_tip().await.unwrap();
    let indexer = Indexer::start(net.config(&new_database().await)).await;
    indexer.wait_for_tip(tip.hash).await;

    net.electrumx.kill9().await.unwrap();
    let mined = net.bitcoind.mine(2).await.unwrap();
    // What is stored is served; what needs the server says so.
    assert_eq!(indexer.tip().await.unwrap().1, 5);
    let estimate =
        async || indexer.client.clone().estimate_fee(pb::EstimateFeeRequest { target_blocks: 2 }).await;
    let error = estimate().await.unwrap_err();
    assert_eq!(reason_of(&error), Some(ErrorReason::DependencyUnavailable));

    net.electrumx.restart().await.unwrap();
    indexer.wait_for_tip(mined[1]).await;
    eventually("calls work again", async || estimate().await.ok()).await;
    let mut reader = Reader::default();
    reader.follow_to(&indexer, mined[1]).await;
    assert_eq!(reader.chain, net.chain().await);
    indexer.stop().await.unwrap();
}

#[tokio::test]
async fn a_killed_database_is_waited_for_and_nothing_is_lost() {
    let postgres = Postgres::start().await.unwrap();
    let database = postgres.create_database().await.unwrap();
    let fake = Arc::new(FakeElectrum::new(10));
    let indexer = Indexer::start_on_source(&database, "", fake.clone()).await;
    indexer.wait_for_tip(fake.tip_hash()).await;

    postgres.kill9().await.unwrap();
    fake.disconnect(2);
    for _ in 0..5 {
        fake.mine();
    }
    let error = eventually("storage is missed", async || indexer.tip().await.err()).await;
    assert_eq!(reason_of(&error), Some(ErrorReason::StorageUnavailable));

    postgres.restart().await.unwrap();
    indexer.wait_for_tip(fake.tip_hash()).await;
    let mut reader = Reader::default();
    reader.follow_to(&indexer, fake.tip_hash()).await;
    assert_eq!(reader.chain, fake.chain());
    assert_eq!(reader.cursor, 11 + 2 + 5);
    indexer.stop().await.unwrap();
}
