//! Reorgs on a real node: the stored chain is that of a fresh index, and the log leads there from any cursor.

use std::collections::BTreeMap;
use std::time::Duration;

use ailayer_devnet::Bitcoind;
use bitcoin::BlockHash;

use crate::harness::{Indexer, Net, Reader, eventually, new_database};
use crate::wallet::Wallet;

/// Replaces the newest `depth` blocks by one more block than that, to another address.
async fn reorg(bitcoind: &Bitcoind, depth: u32, seed: u8) -> BlockHash {
    let tip = bitcoind.tip().await.unwrap();
    let lowest = bitcoind.block_hash(tip.height - depth + 1).await.unwrap();
    bitcoind.invalidate_block(lowest).await.unwrap();
    *bitcoind.mine_to(depth + 1, &Wallet::new(seed).address()).await.unwrap().last().unwrap()
}

#[tokio::test]
async fn reorgs_end_on_the_chain_of_a_fresh_index() {
    let net = Net::start().await;
    net.bitcoind.mine(20).await.unwrap();
    let tip = net.electrumx.wait_for_tip().await.unwrap();
    let indexer = Indexer::start(net.config(&new_database().await)).await;
    let mut reader = Reader::default();
    // The reader as it was at every cursor.
    let mut seen = BTreeMap::from([(0, reader.clone())]);
    reader.follow_to(&indexer, tip.hash).await;

    for (depth, seed) in [(1, 2), (2, 3), (6, 4), (10, 5)] {
        let new_tip = reorg(&net.bitcoind, depth, seed).await;
        indexer.wait_for_tip(new_tip).await;
        let expected = net.chain().await;
        assert_eq!(indexer.chain().await, expected, "after a reorg of {depth}");
        let fresh = Indexer::start(net.config(&new_database().await)).await;
        fresh.wait_for_tip(new_tip).await;
        assert_eq!(fresh.chain().await, expected);
        fresh.stop().await.unwrap();

        let mut stream = indexer.watch(reader.cursor).await.unwrap();
        while reader.chain != expected {
            reader.apply(stream.message().await.unwrap().unwrap());
            seen.insert(reader.cursor, reader.clone());
        }
    }
    assert_eq!(reader.cursor, 21 + (1 + 2) + (2 + 3) + (6 + 7) + (10 + 11));

    // From wherever a reader stopped, it comes to the same chain by the same events.
    for (cursor, stopped) in seen {
        let mut resumed = stopped;
        assert_eq!(resumed.cursor, cursor);
        let mut stream = indexer.watch(cursor).await.unwrap();
        while resumed.cursor < reader.cursor {
            resumed.apply(stream.message().await.unwrap().unwrap());
        }
        assert_eq!(resumed, reader, "from cursor {cursor}");
    }

    // A node that lost blocks and has not found better ones yet changes nothing.
    let tip = net.bitcoind.tip().await.unwrap();
    net.bitcoind.invalidate_block(tip.hash).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(indexer.tip().await.unwrap(), (tip.hash, tip.height, true));
    indexer.stop().await.unwrap();
}

/// A transaction leaves its block with the block, and is confirmed where it is mined again.
#[tokio::test]
async fn confirmations_follow_a_transaction_through_a_reorg() {
    let net = Net::start().await;
    let wallet = Wallet::new(1);
    let rewards = net.bitcoind.mine_to(102, &wallet.address()).await.unwrap();
    net.electrumx.wait_for_tip().await.unwrap();
    let indexer = Indexer::start(net.config(&new_database().await)).await;
    let coin = wallet.reward(&net.bitcoind, rewards[0]).await;
    let payment = wallet.spend(&coin, vec![]);
    let txid = payment.compute_txid();
    net.bitcoind.broadcast(&payment).await.unwrap();
    let first = net.bitcoind.mine_block_with(std::slice::from_ref(&payment)).await.unwrap();
    net.bitcoind.mine(1).await.unwrap();
    let tip = net.electrumx.wait_for_tip().await.unwrap();
    indexer.wait_for_tip(tip.hash).await;
    let (confirmed, _) = indexer.transaction(txid).await.unwrap();
    assert_eq!((confirmed.confirmations, confirmed.block.unwrap().height), (2, 103));

    net.bitcoind.invalidate_block(first).await.unwrap();
    for _ in 0..3 {
        net.bitcoind.mine_block_with(&[]).await.unwrap();
    }
    let tip = net.electrumx.wait_for_tip().await.unwrap();
    indexer.wait_for_tip(tip.hash).await;
    let (unconfirmed, tip_height) = indexer.transaction(txid).await.unwrap();
    assert_eq!((unconfirmed.confirmations, unconfirmed.block, tip_height), (0, None, 105));
    assert!(unconfirmed.merkle_branch.is_none());

    let mined = net.bitcoind.mine_block_with(&[payment]).await.unwrap();
    net.electrumx.wait_for_tip().await.unwrap();
    let again = eventually("confirmed again", async || {
        let (transaction, _) = indexer.transaction(txid).await.unwrap();
        (transaction.confirmations == 1).then_some(transaction)
    })
    .await;
    assert_eq!(again.block.unwrap().block_hash, bitcoin::hashes::Hash::to_byte_array(mined));
    indexer.stop().await.unwrap();
}
