//! The service over a fake node, for faults.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ailayer_devnet::Postgres;
use ailayer_payment::ports::{LightningNode, LogError, PayoutLog};
use ailayer_payment::{Config, NAME};
use ailayer_platform::config::load_from;
use ailayer_primitives::{AmountMsat, PaymentHash};
use ailayer_proto::ailayer::payment::v1::{self as pb, HoldInvoiceState as State};
use async_trait::async_trait;
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use crate::fake_node::{FakeNode, Outcome};
use crate::nodes::PRICE_MSAT;
use crate::running::{Running, until};

/// The service over a fake node and a database of its own.
pub struct Bench {
    pub node: Arc<FakeNode>,
    pub config: Config,
    /// What the service writes its payouts to from its next start on.
    pub log: Option<Arc<FakeLog>>,
    running: Option<Running>,
}

/// A log that takes entries, or does not.
#[derive(Default)]
pub struct FakeLog {
    pub is_away: AtomicBool,
    pub entries: Mutex<Vec<String>>,
}

#[async_trait]
impl PayoutLog for FakeLog {
    async fn append(&self, entry: &[u8]) -> Result<u64, LogError> {
        if self.is_away.load(Ordering::SeqCst) {
            return Err(LogError("away".into()));
        }
        let mut entries = self.entries.lock().unwrap();
        let entry = String::from_utf8(entry.to_vec()).unwrap();
        let index = entries.iter().position(|known| *known == entry).unwrap_or_else(|| {
            entries.push(entry);
            entries.len() - 1
        });
        Ok(index.try_into().unwrap())
    }
}

impl Bench {
    pub async fn new(more: &str) -> Self {
        // The fake node's channels hold nothing, whatever came and left, unless a test says so.
        let halt =
            if more.contains("halt_payouts_on_residue") { "" } else { "halt_payouts_on_residue = false" };
        let database = Postgres::shared().await.unwrap().create_database().await.unwrap();
        let text = format!(
            r#"
            [payment]
            network = "regtest"
            data_dir = "/nowhere"
            bitcoind_rpc_port = 1
            bitcoind_rpc_user = ""
            bitcoind_rpc_password = ""
            guard_interval = "50ms"
            lost_settle_time = "200ms"
            store.url = "{database}"
            {halt}
            {more}
            "#
        );
        let config: Config = load_from(NAME, Some(&text), []).unwrap();
        let node = Arc::new(FakeNode::new());
        let running = Some(Running::start(&config, Arc::clone(&node) as Arc<dyn LightningNode>).await);
        Self { node, config, log: None, running }
    }

    pub async fn restart(&mut self) {
        self.stop().await;
        self.start().await;
    }

    pub async fn stop(&mut self) {
        self.running.take().unwrap().stop().await;
    }

    pub async fn start(&mut self) {
        let node = Arc::clone(&self.node) as Arc<dyn LightningNode>;
        let log = self.log.clone().map(|log| log as Arc<dyn PayoutLog>);
        self.running = Some(Running::start_with_log(&self.config, node, log).await);
    }

    pub async fn accepted(&self) -> pb::HoldInvoice {
        let open = self.create(PRICE_MSAT).await;
        self.node.pay(&open.bolt11);
        self.wait_state(&open.invoice_id, State::Accepted).await
    }

    pub async fn database(&self) -> PgConnection {
        PgConnection::connect(self.config.store.url.expose()).await.unwrap()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.abandon();
        }
    }
}

impl std::ops::Deref for Bench {
    type Target = Running;
    fn deref(&self) -> &Running {
        self.running.as_ref().unwrap()
    }
}

pub fn hash(invoice: &pb::HoldInvoice) -> PaymentHash {
    PaymentHash::try_from(invoice.payment_hash.as_slice()).unwrap()
}

pub fn msat(amount: u64) -> AmountMsat {
    AmountMsat::try_new(amount).unwrap()
}

pub async fn wait_outcome(node: &FakeNode, hash: PaymentHash) -> Outcome {
    until("the payer's outcome", async || node.outcome(hash).ok_or_else(|| "none".to_owned())).await
}

/// An invoice of somebody else.
pub fn foreign_invoice(amount_msat: u64, expiry_s: u64) -> String {
    use bitcoin::hashes::{Hash as _, sha256};
    use bitcoin::secp256k1::{Secp256k1, SecretKey};
    use lightning_invoice::{Currency, InvoiceBuilder, PaymentSecret};
    let preimage = Uuid::new_v4();
    InvoiceBuilder::new(Currency::Regtest)
        .description("test".to_owned())
        .payment_hash(sha256::Hash::hash(preimage.as_bytes()))
        .payment_secret(PaymentSecret([6; 32]))
        .duration_since_epoch(Duration::from_secs(ailayer_platform::clock::now_s().0))
        .expiry_time(Duration::from_secs(expiry_s))
        .min_final_cltv_expiry_delta(18)
        .amount_milli_satoshis(amount_msat)
        .build_signed(|hash| {
            Secp256k1::new().sign_ecdsa_recoverable(hash, &SecretKey::from_slice(&[4; 32]).unwrap())
        })
        .unwrap()
        .to_string()
}
