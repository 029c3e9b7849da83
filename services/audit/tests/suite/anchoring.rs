//! Checkpoints get into real Bitcoin blocks, and stay proved through whatever the chain does.

use std::sync::atomic::Ordering;
use std::time::Duration;

use ailayer_proto::ailayer::audit::v1 as pb;
use bitcoin::consensus::encode;
use bitcoin::hashes::Hash;
use bitcoin::{Address, Network, Transaction};

use crate::child;
use crate::harness::{PATIENCE, wait_for};
use crate::world::{World, anchors, check_pages, newest, rival_of, verify_anchored};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_are_anchored_and_proved_offline() {
    let world = World::new("").await;
    // As an indexer that did not start at genesis.
    world.indexer.switches.start_height.store(100, Ordering::Relaxed);
    let audit = world.home.start().await;
    audit.append(b"first").await;
    audit.checkpoint_over(1).await;
    let address = audit.log().await.wallet_address;
    assert_eq!(audit.log().await.wallet_address, address, "stable until used");
    world.fund(&audit, 100_000).await;
    world.anchor_in_mempool().await;
    assert_eq!(audit.entry_proof(b"first", None).await.promise(), pb::Promise::Published);
    let proof = world.mine_until_anchored(&audit, b"first").await;
    verify_anchored(&audit, b"first", &proof).await;

    // A later entry: another anchor, paid from the change of the first; the first entry keeps its own, smaller one
    // unless both are wanted.
    audit.append(b"second").await;
    let later = world.mine_until_anchored(&audit, b"second").await;
    verify_anchored(&audit, b"second", &later).await;
    assert!(later.tree_size > proof.tree_size);
    assert_eq!(audit.entry_proof(b"first", None).await.tree_size, proof.tree_size);
    let both = audit.entry_proof(b"first", Some(b"second")).await;
    assert_eq!((both.tree_size, both.with_leaf_index), (later.tree_size, Some(1)));
    verify_anchored(&audit, b"first", &both).await;

    // Without an anchor over both, the first one's is better than none.
    audit.append(b"third").await;
    let partly = audit.entry_proof(b"first", Some(b"third")).await;
    if partly.with_leaf_index.is_none() {
        assert_eq!((partly.promise(), partly.tree_size), (pb::Promise::Anchored, proof.tree_size));
    }

    // The proof outlives an outage of the indexer, with the headers stored at finality.
    world.indexer.switches.down.store(true, Ordering::Relaxed);
    let offline = audit.entry_proof(b"first", None).await;
    assert_eq!((offline.promise(), offline.headers.len()), (pb::Promise::Anchored, 2));
    verify_anchored(&audit, b"first", &offline).await;
    audit.append(b"appending does not need the chain").await;
    world.indexer.switches.down.store(false, Ordering::Relaxed);

    let log = audit.log().await;
    assert_ne!(log.wallet_address, address, "a used address is not shown again");
    assert!(
        log.wallet_balance_sat > 90_000 && log.wallet_balance_sat < 100_000,
        "{}",
        log.wallet_balance_sat
    );
    audit.stop().await;

    // Wallet and anchors are found again.
    let audit = world.home.start().await;
    assert_eq!(audit.log().await.wallet_address, log.wallet_address);
    world.mine_until_anchored(&audit, b"appending does not need the chain").await;
    check_pages(&audit).await;
    audit.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_anchor_that_falls_out_of_the_chain_is_anchored_again_with_the_same_bytes() {
    let world = World::new("").await;
    let audit = world.home.start().await;
    audit.append(b"entry").await;
    audit.checkpoint_over(1).await;
    world.fund(&audit, 100_000).await;
    let transaction = world.anchor_in_mempool().await;
    let proof = world.mine_until_anchored(&audit, b"entry").await;
    let anchored_in = proof.anchor.unwrap().block.unwrap();
    audit.append(b"later").await;
    let later = world.mine_until_anchored(&audit, b"later").await.anchor.unwrap();

    // A longer chain without the two anchors. Their lock times lie above the block where the chains part, so the node
    // drops them from its mempool as well, and refuses them for a while.
    let height = anchored_in.height;
    let hash = world.bitcoind.block_hash(height).await.unwrap();
    world.bitcoind.invalidate_block(hash).await.unwrap();
    for _ in 0..12 {
        world.bitcoind.mine_block_with(&[]).await.unwrap();
    }
    wait_for("the anchor is taken back", async || {
        let proof = audit.entry_proof(b"entry", None).await;
        (proof.promise() == pb::Promise::Published && newest(&audit).await?.block.is_none()).then_some(())
    })
    .await;
    wait_for("both in the mempool, with their own bytes", async || {
        let mempool = world.bitcoind.mempool().await.unwrap();
        let both = [&transaction.compute_txid().to_byte_array()[..], &later.txid[..]];
        both.iter().all(|txid| mempool.iter().any(|held| held.to_byte_array()[..] == **txid)).then_some(())
    })
    .await;
    let again = world.mine_until_anchored(&audit, b"entry").await;
    assert!(again.anchor.as_ref().unwrap().block.as_ref().unwrap().height > height);
    assert_eq!(again.anchor.as_ref().unwrap().txid, transaction.compute_txid().to_byte_array()[..]);
    verify_anchored(&audit, b"entry", &again).await;
    let later_again = world.mine_until_anchored(&audit, b"later").await;
    assert_eq!(later_again.anchor.as_ref().unwrap().txid, later.txid);
    verify_anchored(&audit, b"later", &later_again).await;
    audit.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_between_signing_and_broadcasting_the_same_bytes_are_sent() {
    let world = World::new("").await;
    let audit = world.home.start().await;
    audit.append(b"entry").await;
    let funding = audit.log().await.wallet_address;
    audit.stop().await;
    for (point, left_in_mempool) in [("audit.anchor.signed", false), ("audit.anchor.broadcast", true)] {
        let process = child::start(&world.home, Some(point));
        child::wait_until_up(&world.home, &process).await;
        if !left_in_mempool {
            let address: Address<_> = funding.parse().unwrap();
            let address = address.require_network(Network::Regtest).unwrap();
            world.bitcoind.fund(&address, 100_000).await.unwrap();
            world.bitcoind.mine(1).await.unwrap();
        }
        process.wait_for_exit(PATIENCE).await.unwrap();
        assert_eq!(world.bitcoind.mempool().await.unwrap().is_empty(), !left_in_mempool, "{point}");
    }
    let signed: Vec<(Vec<u8>, Vec<u8>)> = sqlx::query_as("select txid, raw from anchor_transaction")
        .fetch_all(&mut world.home.sql().await)
        .await
        .unwrap();
    let [(txid, raw)] = signed.as_slice() else { panic!("one transaction, not {}", signed.len()) };
    let audit = world.home.start().await;
    let proof = world.mine_until_anchored(&audit, b"entry").await;
    assert_eq!(
        (&proof.anchor.as_ref().unwrap().txid[..], &proof.anchor.as_ref().unwrap().raw[..]),
        (&txid[..], &raw[..])
    );
    verify_anchored(&audit, b"entry", &proof).await;
    audit.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_anchor_that_waits_too_long_pays_more() {
    let world = World::new("bump_after_blocks = 2\nmax_fee_rate_sat_per_vb = 20").await;
    let audit = world.home.start().await;
    audit.append(b"entry").await;
    audit.checkpoint_over(1).await;
    world.fund(&audit, 100_000).await;
    let first = world.anchor_in_mempool().await.compute_txid();
    for _ in 0..3 {
        // Miners that do not care for it.
        world.bitcoind.mine_block_with(&[]).await.unwrap();
    }
    let second = wait_for("a replacement", async || {
        let txids = world.bitcoind.mempool().await.unwrap();
        txids.into_iter().find(|txid| *txid != first)
    })
    .await;
    assert_eq!(world.bitcoind.mempool().await.unwrap(), [second], "replaced, not added");
    let proof = world.mine_until_anchored(&audit, b"entry").await;
    assert_eq!(proof.anchor.as_ref().unwrap().txid, second.to_byte_array()[..]);
    verify_anchored(&audit, b"entry", &proof).await;
    audit.stop().await;
    // Both attempts are in the database, and the next start finds nothing wrong with that.
    world.home.start().await.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_indexer_that_lies_or_refuses_holds_anchoring_up_and_nothing_else() {
    let world = World::new("").await;
    let audit = world.home.start().await;
    audit.append(b"entry").await;
    audit.checkpoint_over(1).await;
    world.indexer.switches.refuse.store(true, Ordering::Relaxed);
    world.fund(&audit, 100_000).await;
    let signed = wait_for("a signed anchor", async || newest(&audit).await).await;
    assert!(signed.block.is_none() && world.bitcoind.mempool().await.unwrap().is_empty());
    world.indexer.switches.refuse.store(false, Ordering::Relaxed);
    let sent = world.anchor_in_mempool().await;
    assert_eq!(signed.txid, sent.compute_txid().to_byte_array()[..]);

    world.indexer.switches.lie.store(true, Ordering::Relaxed);
    world.bitcoind.mine(3).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(
        audit.entry_proof(b"entry", None).await.promise(),
        pb::Promise::Published,
        "a lie is not believed"
    );
    audit.append(b"meanwhile").await;
    audit.checkpoint_over(2).await;
    world.indexer.switches.lie.store(false, Ordering::Relaxed);
    let proof = world.mine_until_anchored(&audit, b"entry").await;
    verify_anchored(&audit, b"entry", &proof).await;
    audit.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_anchor_whose_coins_were_spent_elsewhere_is_given_up_and_made_anew() {
    let world = World::new("").await;
    world.indexer.switches.refuse.store(true, Ordering::Relaxed);
    let audit = world.home.start().await;
    audit.append(b"entry").await;
    audit.checkpoint_over(1).await;
    world.fund(&audit, 100_000).await;
    let lost = wait_for("a signed anchor", async || newest(&audit).await).await;
    // Somebody with the same seed words spends the coin.
    let lost: Transaction = encode::deserialize(&lost.raw).unwrap();
    let rival = rival_of(&world, &lost).await;
    world.bitcoind.mine_block_with(&[rival]).await.unwrap();
    world.bitcoind.mine(2).await.unwrap();
    wait_for("the anchor is given up", async || anchors(&audit).await.is_empty().then_some(())).await;

    world.indexer.switches.refuse.store(false, Ordering::Relaxed);
    world.fund(&audit, 50_000).await;
    let proof = world.mine_until_anchored(&audit, b"entry").await;
    assert_ne!(proof.anchor.as_ref().unwrap().txid, lost.compute_txid().to_byte_array()[..]);
    verify_anchored(&audit, b"entry", &proof).await;
    audit.stop().await;
}

#[tokio::test]
async fn damage_to_an_anchor_is_found_at_the_start() {
    let world = World::new("").await;
    let audit = world.home.start().await;
    audit.append(b"entry").await;
    audit.checkpoint_over(1).await;
    world.fund(&audit, 100_000).await;
    world.mine_until_anchored(&audit, b"entry").await;
    audit.stop().await;
    for statement in [
        "update anchor_transaction set raw = set_byte(raw, 60, get_byte(raw, 60) # 1)",
        "update anchor_transaction set vout = 1 - vout",
        "update anchor set headers = set_byte(headers, 40, get_byte(headers, 40) # 1)",
        "update anchor set branch_siblings = set_byte(branch_siblings, 0, get_byte(branch_siblings, 0) # 1)",
        "update anchor set branch_position = branch_position # 1",
    ] {
        // Each of them undoes itself when run twice.
        world.home.execute(statement).await;
        let error = world.home.start_refused().await;
        assert!(matches!(error, ailayer_audit::RunError::Fsck(_)), "{statement}: {error:?}");
        world.home.execute(statement).await;
    }
    let audit = world.home.start().await;
    assert_eq!(audit.entry_proof(b"entry", None).await.promise(), pb::Promise::Anchored);
    audit.stop().await;
}
