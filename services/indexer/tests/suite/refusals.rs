//! Requests that break the contract, and calls before there is anything to say.

use std::sync::Arc;

use ailayer_platform::error::{ErrorReason, reason_of};
use ailayer_proto::ailayer::indexer::v1 as pb;
use bitcoin::hashes::Hash as _;
use tonic::{Response, Status};

use crate::fake_electrum::{FakeElectrum, Lie};
use crate::harness::{Indexer, eventually, new_database};

fn reason<T>(outcome: Result<T, Status>) -> Option<ErrorReason> {
    reason_of(&outcome.err()?)
}

#[tokio::test]
async fn bad_requests_have_typed_errors() {
    let fake = Arc::new(FakeElectrum::new(2));
    let indexer = Indexer::start_on_source(&new_database().await, "", fake.clone()).await;
    indexer.wait_for_tip(fake.tip_hash()).await;
    let mut client = indexer.client.clone();

    let invalid = Some(ErrorReason::InvalidField);
    for txid in [vec![], vec![0; 31], vec![0; 33]] {
        assert_eq!(reason(client.get_transaction(pb::GetTransactionRequest { txid }).await), invalid);
    }
    assert_eq!(reason(indexer.headers(0, 2_017).await), invalid);
    assert_eq!(reason(indexer.headers(u32::MAX, 0).await), Some(ErrorReason::BlockNotFound));
    for raw in [vec![], vec![1, 2, 3]] {
        assert_eq!(reason(indexer.broadcast(raw).await), invalid);
    }
    for target_blocks in [0, 1_009] {
        assert_eq!(reason(client.estimate_fee(pb::EstimateFeeRequest { target_blocks }).await), invalid);
    }
    for (scripts, expected) in [
        (vec![], ErrorReason::InputEmpty),
        (vec![vec![0x51]; 201], ErrorReason::InputTooLarge),
        (vec![vec![]], ErrorReason::InvalidField),
        (vec![vec![0x51; 10_001]], ErrorReason::InvalidField),
        (vec![vec![0x6a, 1, 1]], ErrorReason::InvalidField),
    ] {
        assert_eq!(reason(indexer.script_transactions(scripts).await), Some(expected));
    }
    indexer.stop().await.unwrap();
}

#[tokio::test]
async fn before_the_first_catch_up_nothing_is_confirmed() {
    let fake = Arc::new(FakeElectrum::new(2));
    let known = bitcoin::constants::genesis_block(bitcoin::Network::Regtest);
    fake.lie(Some(Lie::Silent));
    let indexer = Indexer::start_on_source(&new_database().await, "", fake.clone()).await;
    // Genesis needs no server; it is stored at once, and the tip says that it is not the last word.
    let (tip, height, synced) = eventually("genesis", async || indexer.tip().await.ok()).await;
    assert_eq!((tip, height, synced), (known.block_hash(), 0, false));

    let not_synced = Some(ErrorReason::NotSynced);
    let txid = bitcoin::Txid::from_byte_array([1; 32]);
    assert_eq!(reason(indexer.transaction(txid).await), not_synced);
    assert_eq!(reason(indexer.script_transactions(vec![vec![0x51]]).await), not_synced);
    let fee = indexer.client.clone().estimate_fee(pb::EstimateFeeRequest { target_blocks: 1 }).await;
    assert_eq!(reason(fee.map(Response::into_inner)), Some(ErrorReason::DependencyUnavailable));

    fake.lie(None);
    indexer.wait_for_tip(fake.tip_hash()).await;
    assert_eq!(reason(indexer.transaction(txid).await), Some(ErrorReason::TransactionNotFound));
    indexer.stop().await.unwrap();
}
