//! A server that lies is not believed, is named in the answer, and is forgiven when it stops.

use std::sync::Arc;
use std::time::Duration;

use ailayer_platform::error::{ErrorReason, reason_of};
use ailayer_proto::ailayer::indexer::v1 as pb;
use bitcoin::consensus::serialize;
use bitcoin::{ScriptBuf, Transaction};

use crate::fake_electrum::{FakeElectrum, Lie};
use crate::harness::{Indexer, Reader, eventually, new_database};

struct Scene {
    fake: Arc<FakeElectrum>,
    indexer: Indexer,
    payment: Transaction,
    script: ScriptBuf,
}

impl Scene {
    /// Six blocks; the newest holds a payment.
    async fn new() -> Self {
        Self::with("").await
    }

    async fn with(extra: &str) -> Self {
        let fake = Arc::new(FakeElectrum::new(5));
        let script = ScriptBuf::from_bytes(vec![0x51, 0x60]);
        let payment = FakeElectrum::payment(1, &script);
        let indexer = Indexer::start_on_source(&new_database().await, extra, fake.clone()).await;
        indexer.wait_for_tip(fake.tip_hash()).await;
        indexer.broadcast(serialize(&payment)).await.unwrap();
        Self { fake, indexer, payment, script }
    }

    async fn confirm(&self) {
        self.indexer.wait_for_tip(self.fake.mine()).await;
    }

    async fn lookup(&self) -> Result<pb::Transaction, Option<ErrorReason>> {
        let outcome = self.indexer.transaction(self.payment.compute_txid()).await;
        outcome.map(|(transaction, _)| transaction).map_err(|error| reason_of(&error))
    }

    async fn listing(&self) -> Result<Vec<pb::Transaction>, Option<ErrorReason>> {
        let outcome = self.indexer.script_transactions(vec![self.script.to_bytes()]).await;
        outcome.map(|answer| answer.transactions).map_err(|error| reason_of(&error))
    }
}

#[tokio::test]
async fn false_proofs_confirm_nothing() {
    let scene = Scene::new().await;
    scene.confirm().await;
    for lie in [Lie::BentProof, Lie::ProofOfAnother, Lie::NoProof, Lie::WrongTransaction] {
        scene.fake.lie(Some(lie));
        assert_eq!(scene.lookup().await.unwrap_err(), Some(ErrorReason::VerificationFailed), "{lie:?}");
        assert_eq!(scene.listing().await.unwrap_err(), Some(ErrorReason::VerificationFailed), "{lie:?}");
    }
    scene.fake.lie(None);
    assert_eq!(scene.lookup().await.unwrap().confirmations, 1);

    // What was proved stays proved for its block: nothing of it is asked again.
    scene.fake.lie(Some(Lie::BentProof));
    assert_eq!(scene.lookup().await.unwrap().confirmations, 1);
    scene.indexer.stop().await.unwrap();
}

#[tokio::test]
async fn an_unconfirmed_transaction_cannot_be_talked_into_a_block() {
    let scene = Scene::new().await;
    scene.fake.lie(Some(Lie::ConfirmedTooEarly));
    assert_eq!(scene.lookup().await.unwrap_err(), Some(ErrorReason::VerificationFailed));
    scene.fake.lie(None);
    assert_eq!(scene.lookup().await.unwrap().confirmations, 0);
    // One that left the mempool is gone, not remembered.
    scene.fake.evict();
    assert_eq!(scene.lookup().await.unwrap_err(), Some(ErrorReason::TransactionNotFound));
    scene.indexer.stop().await.unwrap();
}

#[tokio::test]
async fn histories_are_checked() {
    let scene = Scene::new().await;
    scene.confirm().await;
    assert_eq!(scene.listing().await.unwrap().len(), 1);
    for (lie, reason) in [
        (Lie::StrangerInHistory, ErrorReason::VerificationFailed),
        (Lie::PhantomInHistory, ErrorReason::VerificationFailed),
        (Lie::HistoryTooLarge, ErrorReason::InputTooLarge),
        (Lie::Silent, ErrorReason::DependencyUnavailable),
    ] {
        scene.fake.lie(Some(lie));
        assert_eq!(scene.listing().await.unwrap_err(), Some(reason), "{lie:?}");
    }
    scene.indexer.stop().await.unwrap();
}

#[tokio::test]
async fn a_block_the_indexer_does_not_have_yet_confirms_nothing() {
    let scene = Scene::new().await;
    // The tip as told stays old, so the follower cannot see the block that holds the payment.
    scene.fake.lie(Some(Lie::OldTip(1)));
    scene.fake.mine();
    assert_eq!(scene.lookup().await.unwrap().confirmations, 0);
    assert_eq!(scene.listing().await.unwrap()[0].confirmations, 0);
    scene.fake.lie(None);
    let confirmed = eventually("confirmed", async || {
        scene.lookup().await.ok().filter(|transaction| transaction.confirmations == 1)
    });
    confirmed.await;
    scene.indexer.stop().await.unwrap();
}

#[tokio::test]
async fn false_headers_are_not_followed() {
    let scene = Scene::new().await;
    let honest = scene.fake.chain();
    for lie in [Lie::NoWork, Lie::Unlinked, Lie::EasyHeader] {
        // The lie is about the newest header only; a mined one must not slip in before it.
        scene.fake.lie(Some(lie));
        scene.fake.mine();
        tokio::time::sleep(Duration::from_millis(250)).await;
        assert_eq!(scene.indexer.chain().await, honest, "{lie:?}");
        scene.fake.disconnect(1);
    }
    scene.fake.lie(None);
    let tip = scene.fake.mine();
    scene.indexer.wait_for_tip(tip).await;
    scene.indexer.stop().await.unwrap();
}

#[tokio::test]
async fn a_tip_that_goes_backwards_disconnects_nothing() {
    let scene = Scene::new().await;
    let (tip, chain) = (scene.fake.tip_hash(), scene.fake.chain());
    scene.fake.lie(Some(Lie::OldTip(3)));
    tokio::time::sleep(Duration::from_millis(250)).await;
    let (ours, _, synced) = scene.indexer.tip().await.unwrap();
    assert_eq!((ours, synced), (tip, true));
    let mut reader = Reader::default();
    reader.follow_to(&scene.indexer, tip).await;
    assert_eq!((reader.cursor, reader.chain), (chain.len() as u64, chain));
    scene.indexer.stop().await.unwrap();
}

#[tokio::test]
async fn a_reorg_deeper_than_allowed_halts_loudly_until_it_is_over() {
    let scene = Scene::with("max_reorg_depth = 3").await;
    scene.confirm().await;
    let chain = scene.fake.chain();
    scene.fake.lie(Some(Lie::OtherChain));
    eventually("halted", async || scene.indexer.tip().await.ok().filter(|(_, _, synced)| !synced)).await;
    assert_eq!(scene.indexer.chain().await, chain);
    assert_eq!(
        scene.lookup().await.unwrap_err(),
        Some(ErrorReason::NotSynced),
        "no confirmations while halted"
    );

    scene.fake.lie(None);
    scene.fake.disconnect(3);
    for _ in 0..4 {
        scene.fake.mine();
    }
    scene.indexer.wait_for_tip(scene.fake.tip_hash()).await;
    assert_eq!(scene.indexer.chain().await, scene.fake.chain(), "three is allowed");
    scene.indexer.stop().await.unwrap();
}

#[tokio::test]
async fn absurd_fees_are_refused() {
    let scene = Scene::new().await;
    let estimate = async || {
        let request = pb::EstimateFeeRequest { target_blocks: 3 };
        scene.indexer.client.clone().estimate_fee(request).await.map(tonic::Response::into_inner)
    };
    let fee = estimate().await.unwrap();
    assert_eq!((fee.fee_rate_sat_per_kvb, fee.fallback), (1_000, true));
    scene.fake.lie(Some(Lie::AbsurdFee));
    assert_eq!(reason_of(&estimate().await.unwrap_err()), Some(ErrorReason::VerificationFailed));
    scene.indexer.stop().await.unwrap();
}
