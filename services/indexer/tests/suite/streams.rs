//! WatchBlocks beyond what the other tests use of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ailayer_platform::error::{ErrorReason, reason_of, retry_after};
use ailayer_proto::ailayer::indexer::v1::watch_blocks_response::Event;

use crate::fake_electrum::FakeElectrum;
use crate::harness::{Indexer, PATIENCE, Reader, new_database};

#[tokio::test]
async fn cursors_ahead_of_the_log_are_refused_and_the_head_waits() {
    let fake = Arc::new(FakeElectrum::new(3));
    let indexer = Indexer::start_on_source(&new_database().await, "", fake.clone()).await;
    indexer.wait_for_tip(fake.tip_hash()).await;

    let error = indexer.watch(5).await.unwrap_err();
    assert_eq!(reason_of(&error), Some(ErrorReason::InvalidCursor));
    let error = indexer.watch(u64::MAX).await.unwrap_err();
    assert_eq!(reason_of(&error), Some(ErrorReason::InvalidCursor));

    let mut stream = indexer.watch(4).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(200), stream.message()).await.is_err(), "nothing yet");
    fake.mine();
    let event = tokio::time::timeout(PATIENCE, stream.message()).await.unwrap().unwrap().unwrap();
    assert_eq!(event.cursor, 5);
    assert!(
        matches!(event.event, Some(Event::Connected(block)) if block.block.as_ref().unwrap().height == 4)
    );
    indexer.stop().await.unwrap();
}

#[tokio::test]
async fn a_stop_ends_streams_with_a_reason() {
    let fake = Arc::new(FakeElectrum::new(1));
    let indexer = Indexer::start_on_source(&new_database().await, "", fake.clone()).await;
    indexer.wait_for_tip(fake.tip_hash()).await;
    let mut stream = indexer.watch(2).await.unwrap();
    let (stopped, ended) = tokio::join!(indexer.stop(), tokio::time::timeout(PATIENCE, stream.message()));
    stopped.unwrap();
    assert_eq!(reason_of(&ended.unwrap().unwrap_err()), Some(ErrorReason::ShuttingDown));
}

#[tokio::test]
async fn readers_are_bounded_and_one_that_goes_makes_room() {
    let fake = Arc::new(FakeElectrum::new(1));
    let database = new_database().await;
    let indexer = Indexer::start_on_source(&database, "max_watchers = 2", fake.clone()).await;
    indexer.wait_for_tip(fake.tip_hash()).await;
    let (first, _second) = (indexer.watch(0).await.unwrap(), indexer.watch(0).await.unwrap());
    let refused = indexer.watch(0).await.unwrap_err();
    assert_eq!(reason_of(&refused), Some(ErrorReason::Overloaded));
    assert!(retry_after(&refused).is_some(), "{refused:?}");
    drop(first);
    let since = Instant::now();
    while let Err(refused) = indexer.watch(0).await {
        assert!(since.elapsed() < PATIENCE, "{refused:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    indexer.stop().await.unwrap();
}

/// Two processes on one database: one writes, the other serves, and takes over.
#[tokio::test]
async fn a_standby_serves_the_same_log_and_takes_over() {
    let fake = Arc::new(FakeElectrum::new(3));
    let database = new_database().await;
    let writer = Indexer::start_on_source(&database, "", fake.clone()).await;
    writer.wait_for_tip(fake.tip_hash()).await;
    let standby = Indexer::start_on_source(&database, "", fake.clone()).await;
    standby.wait_for_tip(fake.tip_hash()).await;

    let mut reader = Reader::default();
    let mined = fake.mine();
    reader.follow_to(&standby, mined).await;
    assert_eq!(reader.cursor, 5);

    writer.stop().await.unwrap();
    fake.disconnect(2);
    fake.mine();
    fake.mine();
    let tip = fake.mine();
    reader.follow_to(&standby, tip).await;
    assert_eq!(reader.chain, fake.chain());
    assert_eq!(standby.chain().await, fake.chain());
    standby.stop().await.unwrap();
}
