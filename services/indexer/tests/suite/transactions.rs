//! Lookups, broadcast and fees on a real node.

use ailayer_devnet::Bitcoind;
use ailayer_platform::error::{ErrorReason, reason_of};
use ailayer_proto::ailayer::indexer::v1 as pb;
use bitcoin::consensus::{deserialize, serialize};
use bitcoin::hashes::{Hash as _, sha256d};
use bitcoin::{Amount, BlockHash, ScriptBuf, Transaction, TxOut, Txid};

use crate::harness::{Indexer, Net, eventually, new_database};
use crate::wallet::{Coin, Wallet};

/// Checks an answer against the node's own block, with nothing of the indexer's code.
async fn check_proof(bitcoind: &Bitcoind, transaction: &pb::Transaction, tip_height: u32) {
    let block_ref = transaction.block.clone().unwrap();
    let branch = transaction.merkle_branch.clone().unwrap();
    let hash = BlockHash::from_slice(&block_ref.block_hash).unwrap();
    assert_eq!(bitcoind.block_hash(block_ref.height).await.unwrap(), hash);
    assert_eq!(transaction.confirmations, tip_height - block_ref.height + 1);
    let block = bitcoind.block(hash).await.unwrap();
    let decoded: Transaction = deserialize(&transaction.raw).unwrap();
    assert_eq!(block.txdata[branch.position as usize], decoded, "the position is true");
    assert_eq!(decoded.compute_txid().to_byte_array().as_slice(), transaction.txid);
    let mut node: [u8; 32] = transaction.txid.clone().try_into().unwrap();
    for (level, sibling) in branch.siblings.iter().enumerate() {
        let pair = if branch.position >> level & 1 == 1 {
            [sibling.as_slice(), &node].concat()
        } else {
            [&node, sibling.as_slice()].concat()
        };
        node = sha256d::Hash::hash(&pair).to_byte_array();
    }
    assert_eq!(node, block.header.merkle_root.to_byte_array());
}

#[tokio::test]
async fn transactions_are_found_proved_and_broadcast() {
    let net = Net::start().await;
    let (wallet, other) = (Wallet::new(1), Wallet::new(2));
    let rewards = net.bitcoind.mine_to(110, &wallet.address()).await.unwrap();
    net.electrumx.wait_for_tip().await.unwrap();
    let indexer = Indexer::start(net.config(&new_database().await)).await;
    indexer.wait_for_tip(*rewards.last().unwrap()).await;

    // Five payments of one block, so that the branch has levels; one has a data output first, one only data.
    let mut coins: Vec<Coin> = Vec::new();
    for reward in &rewards[..5] {
        coins.push(wallet.reward(&net.bitcoind, *reward).await);
    }
    let pay = |sat| TxOut { value: Amount::from_sat(sat), script_pubkey: other.script() };
    let data = TxOut { value: Amount::ZERO, script_pubkey: ScriptBuf::new_op_return([7; 20]) };
    let mut payments: Vec<Transaction> =
        coins[..4].iter().map(|coin| wallet.spend(coin, vec![pay(5_000)])).collect();
    let small = TxOut { value: Amount::from_sat(2_000), script_pubkey: wallet.script() };
    payments.push(wallet.spend(&coins[4], vec![data.clone(), pay(6_000), small]));
    // All of a small coin to the miner.
    payments.push(wallet.sign(&Wallet::coin(&payments[4], 2), vec![data]));
    for payment in &payments {
        assert_eq!(indexer.broadcast(serialize(payment)).await.unwrap(), payment.compute_txid());
        assert_eq!(indexer.broadcast(serialize(payment)).await.unwrap(), payment.compute_txid(), "twice");
    }
    for payment in &payments {
        let (transaction, _) = indexer.transaction(payment.compute_txid()).await.unwrap();
        assert_eq!((transaction.confirmations, &transaction.block), (0, &None));
        assert_eq!(transaction.raw, serialize(payment));
    }

    net.bitcoind.mine(1).await.unwrap();
    for (confirmations, blocks) in [(1, 0), (4, 3)] {
        if blocks > 0 {
            net.bitcoind.mine(blocks).await.unwrap();
        }
        let tip = net.electrumx.wait_for_tip().await.unwrap();
        indexer.wait_for_tip(tip.hash).await;
        for payment in &payments {
            let (transaction, tip_height) = indexer.transaction(payment.compute_txid()).await.unwrap();
            assert_eq!(transaction.confirmations, confirmations);
            check_proof(&net.bitcoind, &transaction, tip_height).await;
        }
    }
    let coinbase = net.bitcoind.block(rewards[9]).await.unwrap().txdata[0].compute_txid();
    let (transaction, tip_height) = indexer.transaction(coinbase).await.unwrap();
    check_proof(&net.bitcoind, &transaction, tip_height).await;

    // Confirmed, and its output spent: known all the same.
    let spent = other.spend(&Wallet::coin(&payments[0], 0), vec![]);
    indexer.broadcast(serialize(&spent)).await.unwrap();
    assert_eq!(indexer.broadcast(serialize(&payments[0])).await.unwrap(), payments[0].compute_txid());

    // A second spend of a confirmed coin is refused, with the node's words.
    let double = wallet.spend(&coins[0], vec![pay(7_777)]);
    let error = indexer.broadcast(serialize(&double)).await.unwrap_err();
    assert_eq!(reason_of(&error), Some(ErrorReason::BroadcastRejected));
    assert!(error.message().contains("missingorspent"), "{}", error.message());

    by_script(&net, &indexer, &other, &payments, &spent).await;

    let error = indexer.transaction(Txid::from_byte_array([0xcd; 32])).await.unwrap_err();
    assert_eq!(reason_of(&error), Some(ErrorReason::TransactionNotFound));
    let unsigned = Transaction { input: vec![], ..payments[0].clone() };
    let error = indexer.broadcast(serialize(&unsigned)).await.unwrap_err();
    assert!(matches!(reason_of(&error), Some(ErrorReason::BroadcastRejected | ErrorReason::InvalidField)));

    let fee = indexer.client.clone().estimate_fee(pb::EstimateFeeRequest { target_blocks: 6 }).await.unwrap();
    let info = net.bitcoind.call("getmempoolinfo", serde_json::json!([])).await.unwrap();
    let relay = Amount::from_btc(info["mempoolminfee"].as_f64().unwrap()).unwrap().to_sat();
    let fee = fee.into_inner();
    assert_eq!((fee.fee_rate_sat_per_kvb, fee.fallback), (relay, true), "regtest has no estimate");
    indexer.stop().await.unwrap();
}

/// Payments to a script and the spend from it, each once, confirmed ones first.
async fn by_script(
    net: &Net,
    indexer: &Indexer,
    other: &Wallet,
    payments: &[Transaction],
    spent: &Transaction,
) {
    let scripts = vec![other.script().into_bytes(), other.script().into_bytes()];
    let answer = eventually("the server shows the spend", async || {
        let answer = indexer.script_transactions(scripts.clone()).await.unwrap();
        (answer.transactions.len() == 6).then_some(answer)
    })
    .await;
    let tip_height = answer.tip.unwrap().height;
    let mut expected: Vec<Txid> = payments[..5].iter().map(Transaction::compute_txid).collect();
    let (confirmed, unconfirmed) = answer.transactions.split_at(5);
    assert_eq!(unconfirmed[0].txid, spent.compute_txid().to_byte_array());
    assert_eq!(unconfirmed[0].confirmations, 0);
    assert!(confirmed.is_sorted_by_key(|transaction| transaction.merkle_branch.as_ref().unwrap().position));
    let mut found = Vec::new();
    for transaction in confirmed {
        check_proof(&net.bitcoind, transaction, tip_height).await;
        found.push(Txid::from_slice(&transaction.txid).unwrap());
    }
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);

    let unused = Wallet::new(77).script().into_bytes();
    assert!(indexer.script_transactions(vec![unused]).await.unwrap().transactions.is_empty());
}
