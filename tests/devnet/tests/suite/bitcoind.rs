//! Coins, transactions and restarts of the node.

use ailayer_devnet::{Bitcoind, DataDir, DevnetError, Toolbox};
use bitcoin::{Address, Network, ScriptBuf};
use serde_json::json;

fn somebody(tag: u8) -> Address {
    Address::p2wsh(&ScriptBuf::from_bytes(vec![0x51, tag]), Network::Regtest)
}

#[tokio::test]
async fn funds_an_address_that_then_has_confirmed_coins() {
    let bitcoind = Bitcoind::start().await.unwrap();
    let (first, second) = (somebody(1), somebody(2));
    let txid = bitcoind.fund(&first, 150_000_000).await.unwrap();
    assert_eq!(bitcoind.mempool().await.unwrap(), [txid]);
    assert_eq!(bitcoind.confirmations(txid).await.unwrap(), 0);

    // More than one coin's worth, while the first payment is still unconfirmed.
    let payments = [(first.clone(), 6_000_000_000), (second.clone(), 20_000)];
    bitcoind.mine(10).await.unwrap();
    let both = bitcoind.fund_many(&payments).await.unwrap();
    bitcoind.mine(1).await.unwrap();
    assert_eq!(bitcoind.confirmations(txid).await.unwrap(), 11);
    assert_eq!(bitcoind.confirmations(both).await.unwrap(), 1);

    let transaction = bitcoind.transaction(both).await.unwrap();
    assert_eq!(transaction.output[0].value.to_sat(), 6_000_000_000);
    assert_eq!(transaction.output[0].script_pubkey, first.script_pubkey());
    assert_eq!(transaction.output[1].script_pubkey, second.script_pubkey());
    let tip = bitcoind.tip().await.unwrap();
    let block = bitcoind.block(tip.hash).await.unwrap();
    assert!(block.txdata.iter().any(|tx| tx.compute_txid() == both));
}

#[tokio::test]
async fn simultaneous_payments_spend_different_coins() {
    let bitcoind = Bitcoind::start().await.unwrap();
    bitcoind.mine(120).await.unwrap();
    let (a, b, c) = (somebody(1), somebody(2), somebody(3));
    let results = tokio::join!(
        bitcoind.fund(&a, 1_000_000),
        bitcoind.fund(&b, 1_000_000),
        bitcoind.fund(&c, 1_000_000)
    );
    results.0.unwrap();
    results.1.unwrap();
    results.2.unwrap();
    assert_eq!(bitcoind.mempool().await.unwrap().len(), 3);
}

#[tokio::test]
async fn comes_back_after_a_kill_with_the_same_address_and_chain() {
    let bitcoind = Bitcoind::start().await.unwrap();
    bitcoind.mine(5).await.unwrap();
    bitcoind.stop().await.unwrap();
    bitcoind.restart().await.unwrap();
    let (tip, port) = (bitcoind.tip().await.unwrap(), bitcoind.rpc_port());
    assert_eq!(tip.height, 5);

    bitcoind.kill9().await.unwrap();
    let error = bitcoind.tip().await.unwrap_err();
    assert!(matches!(error, DevnetError::Unreachable { .. }), "{error}");
    bitcoind.restart().await.unwrap();
    assert_eq!((bitcoind.tip().await.unwrap(), bitcoind.rpc_port()), (tip, port));
}

/// Same parent, same reward, same second: without care the new block is the one just invalidated.
#[tokio::test]
async fn a_block_can_be_replaced_at_once_and_again() {
    let bitcoind = Bitcoind::start().await.unwrap();
    let fork = *bitcoind.mine(20).await.unwrap().last().unwrap();
    let mut seen = vec![];
    for _ in 0..5 {
        let mined = bitcoind.mine_to(2, &somebody(1)).await.unwrap();
        assert!(!seen.contains(&mined[0]));
        let tip = bitcoind.tip().await.unwrap();
        assert_eq!((tip.height, tip.hash), (22, mined[1]));
        bitcoind.invalidate_block(mined[0]).await.unwrap();
        assert_eq!(bitcoind.tip().await.unwrap().hash, fork);
        seen.push(mined[0]);
    }
}

#[tokio::test]
async fn a_machine_without_bitcoind_is_told_what_to_do() {
    let data_dir = DataDir::temporary().unwrap();
    let cache = data_dir.path().to_str().unwrap().to_owned();
    let toolbox = Toolbox::with_environment([("AILAYER_CACHE".to_owned(), cache)]);
    let text = Bitcoind::start_in(&data_dir, &toolbox).await.unwrap_err().to_string();
    assert!(text.starts_with("Bitcoin Core is missing: BITCOIND_EXE is not set"), "{text}");
    assert!(text.ends_with("`make setup` (deploy/dev/setup) provides it"), "{text}");
}

#[tokio::test]
async fn an_error_of_the_node_keeps_its_code_and_words() {
    let bitcoind = Bitcoind::start().await.unwrap();
    let error = bitcoind.call("getblockhash", json!([1000])).await.unwrap_err();
    assert!(matches!(error, DevnetError::Rpc { code: -8, .. }), "{error}");
    assert_eq!(
        error.to_string(),
        "bitcoind answered getblockhash with an error: Block height out of range (code -8)"
    );
}
