//! Lightning nodes on both sides, and what a payer does and sees.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ailayer_devnet::{Bitcoind, FreePort};
use ailayer_payer::{Payer, PayerConfig, PaymentOutcome};
use ailayer_payment::adapters::ldk_node::{LdkNode, LdkNodeConfig};
use ailayer_payment::{Config, NAME};
use ailayer_platform::config::{Secret, load_from};
use ailayer_primitives::{AmountMsat, Network, PaymentHash};
use bitcoin::Address;

use crate::running::until;

/// What is long enough for anything here.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// The price of an ordinary invoice.
pub const PRICE_MSAT: u64 = 21_000;
const CHANNEL_SAT: u64 = 1_500_000;
const PUSH_MSAT: u64 = 300_000_000;

pub fn config(
    data_dir: &Path,
    bitcoind: &Bitcoind,
    lightning: &FreePort,
    database: &str,
    more: &str,
) -> Config {
    let text = config_text(data_dir, bitcoind, lightning, database, more);
    load_from(NAME, Some(&text), []).unwrap()
}

pub fn config_text(
    data_dir: &Path,
    bitcoind: &Bitcoind,
    lightning: &FreePort,
    database: &str,
    more: &str,
) -> String {
    format!(
        r#"
        [payment]
        network = "regtest"
        data_dir = "{}"
        bitcoind_rpc_port = {}
        bitcoind_rpc_user = "{}"
        bitcoind_rpc_password = "{}"
        listen_addresses = ["{}"]
        node_alias = "test"
        guard_interval = "200ms"
        lost_settle_time = "2s"
        store.url = "{database}"
        {more}
        "#,
        data_dir.display(),
        bitcoind.rpc_port(),
        bitcoind.rpc_user(),
        bitcoind.rpc_password(),
        lightning.address(),
    )
}

pub async fn start_node(config: &Config) -> Arc<LdkNode> {
    let node = LdkNode::start(LdkNodeConfig {
        storage_dir: config.data_dir.join("ldk"),
        network: Network::Regtest,
        rpc_host: config.bitcoind_rpc_host.clone(),
        rpc_port: config.bitcoind_rpc_port,
        rpc_user: config.bitcoind_rpc_user.clone(),
        rpc_password: config.bitcoind_rpc_password.clone(),
        listen_addresses: config.listen_addresses.clone(),
        alias: config.node_alias.clone(),
    });
    Arc::new(node.await.unwrap())
}

pub async fn start_payer(folder: &Path, bitcoind: &Bitcoind) -> Payer {
    let started = Payer::start(PayerConfig {
        data_dir: folder.to_owned(),
        network: Network::Regtest,
        rpc_host: "127.0.0.1".to_owned(),
        rpc_port: bitcoind.rpc_port(),
        rpc_user: bitcoind.rpc_user().to_owned(),
        rpc_password: Secret::new(bitcoind.rpc_password().to_owned()),
        listen: None,
    });
    started.await.unwrap()
}

/// Funds both sides and opens a channel from the payer, with some money on the other side. `own_address` is the other
/// side's wallet.
pub async fn open_channel(
    bitcoind: &Bitcoind,
    payer: &Payer,
    node_id: &[u8; 33],
    own_address: Address,
    lightning: &FreePort,
) {
    let payer_address = payer.new_address().await.unwrap();
    bitcoind.fund_many(&[(payer_address, 3_000_000), (own_address, 2_000_000)]).await.unwrap();
    bitcoind.mine(1).await.unwrap();
    payer.wait_funds(CHANNEL_SAT, PATIENCE).await.unwrap();
    let address = lightning.address().to_string();
    // The other side accepts only once it sees its own coins: it needs them as anchor reserve.
    until("a channel", async || {
        payer
            .open_channel(node_id, &address, CHANNEL_SAT, PUSH_MSAT)
            .await
            .map_err(|error| error.to_string())?;
        payer.wait_funding(Duration::from_secs(3)).await.map_err(|error| error.to_string())
    })
    .await;
    wait_mempool(bitcoind).await;
    bitcoind.mine(6).await.unwrap();
    payer.wait_channel_usable(PRICE_MSAT, PATIENCE).await.unwrap();
}

/// Waits until a transaction waits for a block.
pub async fn wait_mempool(bitcoind: &Bitcoind) {
    until("a transaction in the mempool", async || {
        let mempool = bitcoind.call("getrawmempool", Default::default()).await.unwrap();
        if mempool.as_array().is_some_and(|all| !all.is_empty()) { Ok(()) } else { Err(mempool.to_string()) }
    })
    .await;
}

pub async fn pay(payer: &Payer, bolt11: &str) -> PaymentHash {
    payer.pay(bolt11, AmountMsat::MAX).await.unwrap();
    Payer::payment_hash(bolt11).unwrap()
}

/// Waits until the payer's node says that the payment failed, and why.
pub async fn money_back(payer: &Payer, bolt11: &str) -> String {
    let hash = Payer::payment_hash(bolt11).unwrap();
    match payer.wait_payment(hash, PATIENCE).await.unwrap() {
        PaymentOutcome::Failed { reason } => reason,
        PaymentOutcome::Succeeded { .. } => panic!("the money was taken"),
    }
}

/// Waits until the payer's node has the proof of payment.
pub async fn money_taken(payer: &Payer, bolt11: &str) -> [u8; 32] {
    let hash = Payer::payment_hash(bolt11).unwrap();
    match payer.wait_payment(hash, PATIENCE).await.unwrap() {
        PaymentOutcome::Succeeded { preimage, .. } => preimage.unwrap(),
        PaymentOutcome::Failed { reason } => panic!("the payment failed: {reason}"),
    }
}
