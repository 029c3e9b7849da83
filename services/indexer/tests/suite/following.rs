//! Sync from genesis, new blocks, restarts.

use ailayer_platform::error::{ErrorReason, reason_of};

use crate::harness::{Indexer, Net, Reader, new_database};

#[tokio::test]
async fn an_empty_database_catches_up_and_follows_and_survives_a_restart() {
    let net = Net::start().await;
    let database = new_database().await;
    // More than one batch of a transaction.
    net.bitcoind.mine(620).await.unwrap();
    let tip = net.electrumx.wait_for_tip().await.unwrap();
    let indexer = Indexer::start(net.config(&database)).await;
    indexer.wait_for_tip(tip.hash).await;
    let expected = net.chain().await;
    assert_eq!(indexer.chain().await, expected);

    // Live, while a reader listens.
    let mut reader = Reader::default();
    reader.follow_to(&indexer, tip.hash).await;
    assert_eq!(reader.cursor, 621);
    let mined = net.bitcoind.mine(3).await.unwrap();
    reader.follow_to(&indexer, mined[2]).await;
    assert_eq!(reader.chain, net.chain().await);
    indexer.stop().await.unwrap();

    // Blocks that came while it was down are found; the log continues where it was.
    let missed = net.bitcoind.mine(2).await.unwrap();
    net.electrumx.wait_for_tip().await.unwrap();
    let indexer = Indexer::start(net.config(&database)).await;
    reader.follow_to(&indexer, missed[1]).await;
    assert_eq!(reader.cursor, 626);
    assert_eq!(indexer.chain().await, net.chain().await);

    // Pages end at the tip; above it there is nothing.
    let page = indexer.headers(620, 0).await.unwrap();
    assert_eq!((page.headers.len(), page.next_start_height), (6, 0));
    let page = indexer.headers(620, 2).await.unwrap();
    assert_eq!((page.headers.len(), page.next_start_height), (2, 622));
    let error = indexer.headers(626, 1).await.unwrap_err();
    assert_eq!(reason_of(&error), Some(ErrorReason::BlockNotFound));
    indexer.stop().await.unwrap();
}
