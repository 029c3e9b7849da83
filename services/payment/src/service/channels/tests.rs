use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ailayer_devnet::Postgres;
use ailayer_primitives::{AmountMsat, AmountSat, Digest, PaymentHash, Preimage};
use ailayer_store::StoreConfig;
use async_trait::async_trait;
use bitcoin::secp256k1::{PublicKey, Secp256k1, SecretKey};
use lightning_invoice::Bolt11Invoice;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::*;
use crate::domain::funds::NodeFunds;
use crate::ports::{IssuedInvoice, NodeBalances, NodeEvent, NodeRecord, NodeStatus, SendError};

/// A node that begins to open at once and takes its time to answer.
struct SlowNode {
    opened: AtomicU32,
    answers: Arc<Semaphore>,
}

#[async_trait]
impl LightningNode for SlowNode {
    async fn open_channel(&self, _order: &ChannelOrder) -> Result<UserChannelId, NodeError> {
        let nth = self.opened.fetch_add(1, Ordering::SeqCst) + 1;
        self.answers.acquire().await.unwrap().forget();
        Ok(UserChannelId(nth.into()))
    }
    /// Lists nothing: the node names a channel only once it has connected to the peer.
    async fn channels(&self) -> Result<Vec<Channel>, NodeError> {
        Ok(Vec::new())
    }
    fn node_id(&self) -> PublicKey {
        panic!("not asked here")
    }
    fn listening_addresses(&self) -> Vec<String> {
        panic!("not asked here")
    }
    fn status(&self) -> NodeStatus {
        panic!("not asked here")
    }
    async fn balances(&self) -> Result<NodeBalances, NodeError> {
        panic!("not asked here")
    }
    async fn funds(&self) -> Result<NodeFunds, NodeError> {
        panic!("not asked here")
    }
    async fn amount_sent(&self, _: PaymentHash) -> Result<Option<AmountMsat>, NodeError> {
        panic!("not asked here")
    }
    async fn new_address(&self) -> Result<String, NodeError> {
        panic!("not asked here")
    }
    async fn receive_for_hash(
        &self,
        _: PaymentHash,
        _: AmountMsat,
        _: Digest,
        _: u32,
    ) -> Result<IssuedInvoice, NodeError> {
        panic!("not asked here")
    }
    async fn claim(&self, _: AmountMsat, _: &Preimage) -> Result<(), NodeError> {
        panic!("not asked here")
    }
    async fn fail_back(&self, _: PaymentHash) -> Result<(), NodeError> {
        panic!("not asked here")
    }
    async fn send(&self, _: &Bolt11Invoice, _: AmountMsat) -> Result<(), SendError> {
        panic!("not asked here")
    }
    async fn record(&self, _: PaymentHash) -> Result<Option<NodeRecord>, NodeError> {
        panic!("not asked here")
    }
    async fn next_event(&self) -> NodeEvent {
        panic!("not asked here")
    }
    fn has_event(&self) -> bool {
        panic!("not asked here")
    }
    async fn event_handled(&self) -> Result<(), NodeError> {
        panic!("not asked here")
    }
    async fn stop(&self) {}
}

fn payouts() -> Arc<Payouts> {
    let max = AmountMsat::try_new(10_000_000).unwrap();
    let limits = PayoutLimits {
        enabled: true,
        max_payment: max,
        max_per_hour: max,
        max_fee_base: AmountMsat::ZERO,
        max_fee_ppm: 0,
        payees: None,
    };
    let node_id = PublicKey::from_secret_key(&Secp256k1::new(), &SecretKey::from_slice(&[5; 32]).unwrap());
    Arc::new(Payouts::new(limits, node_id, ailayer_primitives::Network::Regtest, None, None))
}

/// The caller's deadline passes while the node still connects to the peer; the same request comes again.
#[tokio::test]
async fn a_call_that_is_dropped_while_the_node_opens_does_not_open_twice() {
    let url = Postgres::shared().await.unwrap().create_database().await.unwrap();
    let rows = Rows::connect(&StoreConfig::new(&url)).await.unwrap();
    let answers = Arc::new(Semaphore::new(0));
    let node = Arc::new(SlowNode { opened: AtomicU32::new(0), answers: Arc::clone(&answers) });
    let channels = Channels::new(rows, Arc::clone(&node) as Arc<dyn LightningNode>, Signal::new(), payouts());
    let peer = PublicKey::from_secret_key(&Secp256k1::new(), &SecretKey::from_slice(&[4; 32]).unwrap());
    let order = ChannelOrder {
        peer_node_id: peer,
        peer_address: "127.0.0.1:9735".to_owned(),
        amount: AmountSat::try_new(50_000).unwrap(),
        push: AmountMsat::try_new(1_000_000).unwrap(),
        announce: false,
    };
    let id: RequestId = Uuid::new_v4().to_string().parse().unwrap();

    let dropped = async {
        tokio::select! {
            _ = channels.open(id, &order) => panic!("the node has not answered"),
            () = async {
                while node.opened.load(Ordering::SeqCst) == 0 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            } => {}
        }
    };
    dropped.await;
    answers.add_permits(2);
    assert_eq!(channels.open(id, &order).await.unwrap(), UserChannelId(1));
    assert_eq!(node.opened.load(Ordering::SeqCst), 1, "funded, and pushed, once");
}
