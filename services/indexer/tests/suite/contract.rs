//! What the indexer relies on, asked of the real server and of the fake alike.

use std::sync::Arc;

use ailayer_indexer::adapters::electrum_client::{ElectrumClient, ElectrumOptions};
use ailayer_indexer::ports::{BroadcastOutcome, ElectrumSource};
use async_trait::async_trait;
use bitcoin::consensus::serialize;
use bitcoin::hashes::Hash as _;
use bitcoin::{ScriptBuf, Transaction, Txid};

use crate::fake_electrum::FakeElectrum;
use crate::harness::{Net, PATIENCE, eventually};
use crate::wallet::Wallet;

/// A server, and the means to make its chain grow.
#[async_trait]
trait World {
    fn source(&self) -> Arc<dyn ElectrumSource>;
    /// Mines what was broadcast and waits until the server has it.
    async fn mine(&self);
    /// A transaction that was not broadcast yet, and a script it pays to.
    async fn payment(&self) -> (Transaction, ScriptBuf);
}

async fn the_server_keeps_the_contract(world: &dyn World) {
    let source = world.source();
    source.check().await.unwrap();

    let tip = source.tip().await.unwrap();
    let all = source.headers(0, 2_016).await.unwrap();
    assert_eq!(all.len() as u32, tip.height + 1);
    assert_eq!(all.last(), Some(&tip.header));
    assert!(all.windows(2).all(|pair| pair[1].prev_blockhash == pair[0].block_hash()));
    assert_eq!(source.headers(1, 2).await.unwrap(), all[1..3]);
    assert_eq!(source.headers(tip.height, 10).await.unwrap(), [tip.header]);
    assert_eq!(source.headers(tip.height + 1, 10).await.unwrap(), []);

    let unknown = Txid::from_byte_array([0xab; 32]);
    assert_eq!(source.transaction(unknown).await.unwrap(), None);
    assert_eq!(source.merkle_branch(unknown, 1).await.unwrap(), None);

    let (payment, script) = world.payment().await;
    let txid = payment.compute_txid();
    let raw = serialize(&payment);
    assert_eq!(source.broadcast(&raw).await.unwrap(), BroadcastOutcome::Accepted);
    assert_eq!(source.broadcast(&raw).await.unwrap(), BroadcastOutcome::Accepted, "known is no error");
    assert_eq!(source.transaction(txid).await.unwrap(), Some(raw.clone()));
    let entry =
        async || source.script_history(&script).await.unwrap().into_iter().find(|entry| entry.txid == txid);
    let entry = eventually("the history shows the payment", entry).await;
    assert_eq!(entry.height, None);

    world.mine().await;
    let height = source.tip().await.unwrap().height;
    let history = source.script_history(&script).await.unwrap();
    assert!(history.iter().any(|entry| entry.txid == txid && entry.height == Some(height)));
    let branch = source.merkle_branch(txid, height).await.unwrap().unwrap();
    let header = source.headers(height, 1).await.unwrap()[0];
    assert_eq!(branch.verify(&payment, header.merkle_root), Ok(()));
    assert_eq!(source.merkle_branch(txid, height - 1).await.unwrap(), None);
    assert_eq!(source.merkle_branch(txid, height + 100).await.unwrap(), None);

    assert!(matches!(source.broadcast(&[0]).await.unwrap(), BroadcastOutcome::Rejected(_)));
    assert!(source.relay_fee().await.unwrap().sat_per_kvb() > 0);
    assert_eq!(source.estimate_fee(6).await.unwrap(), None, "a young chain has no estimate");
}

struct FakeWorld(Arc<FakeElectrum>);

#[async_trait]
impl World for FakeWorld {
    fn source(&self) -> Arc<dyn ElectrumSource> {
        Arc::clone(&self.0) as Arc<dyn ElectrumSource>
    }

    async fn mine(&self) {
        self.0.mine();
    }

    async fn payment(&self) -> (Transaction, ScriptBuf) {
        let script = ScriptBuf::from_bytes(vec![0x51, 0x52]);
        (FakeElectrum::payment(1, &script), script)
    }
}

struct RealWorld {
    net: Net,
    wallet: Wallet,
    source: Arc<dyn ElectrumSource>,
}

#[async_trait]
impl World for RealWorld {
    fn source(&self) -> Arc<dyn ElectrumSource> {
        Arc::clone(&self.source)
    }

    async fn mine(&self) {
        self.net.bitcoind.mine(1).await.unwrap();
        self.net.electrumx.wait_for_tip().await.unwrap();
    }

    async fn payment(&self) -> (Transaction, ScriptBuf) {
        let first = self.net.bitcoind.block_hash(1).await.unwrap();
        let coin = self.wallet.reward(&self.net.bitcoind, first).await;
        (self.wallet.spend(&coin, vec![]), self.wallet.script())
    }
}

#[tokio::test]
async fn the_fake_server_keeps_the_contract() {
    the_server_keeps_the_contract(&FakeWorld(Arc::new(FakeElectrum::new(5)))).await;
}

#[tokio::test]
async fn the_real_server_keeps_the_contract() {
    let net = Net::start().await;
    let wallet = Wallet::new(1);
    net.bitcoind.mine_to(101, &wallet.address()).await.unwrap();
    net.electrumx.wait_for_tip().await.unwrap();
    let options = ElectrumOptions {
        endpoint: net.electrumx.url().parse().unwrap(),
        genesis_hash: bitcoin::constants::genesis_block(bitcoin::Network::Regtest).block_hash(),
        request_timeout: PATIENCE,
        connections: 2,
    };
    let source = Arc::new(ElectrumClient::start(&options).unwrap());
    the_server_keeps_the_contract(&RealWorld { net, wallet, source }).await;
}
