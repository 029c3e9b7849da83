use super::*;
use serde_json::json;

fn genesis_hex() -> String {
    hex::encode(bitcoin::consensus::serialize(
        &bitcoin::constants::genesis_block(bitcoin::Network::Regtest).header,
    ))
}

#[test]
fn headers_come_as_a_list_or_as_one_run() {
    let one = genesis_hex();
    let new = headers(&json!({"count": 2, "max": 2016, "headers": [one, one]}), 2).unwrap();
    let old = headers(&json!({"count": 2, "max": 2016, "hex": format!("{one}{one}")}), 2).unwrap();
    assert_eq!(new, old);
    assert_eq!(headers(&json!({"count": 0, "hex": ""}), 2), Ok(vec![]));
}

#[test]
fn headers_that_lie_about_themselves_are_refused() {
    let one = genesis_hex();
    for value in [
        json!({"count": 9, "hex": &one[..100]}),
        json!({"headers": [one, one, one]}),
        json!({"headers": ["zz"]}),
        json!({"headers": "00"}),
        json!({"count": 1}),
        json!([1]),
        json!(null),
    ] {
        assert!(matches!(headers(&value, 2), Err(SourceError::Malformed(_))), "{value}");
    }
}

#[test]
fn history_heights_of_zero_and_minus_one_are_unconfirmed() {
    let txid = "aa".repeat(32);
    let entry =
        |height: i64| history(&json!([{"tx_hash": txid, "height": height}])).map(|list| list[0].height);
    assert_eq!((entry(0), entry(-1), entry(7)), (Ok(None), Ok(None), Ok(Some(7))));
    assert!(entry(-2).is_err());
    assert!(entry(1 << 40).is_err());
    assert!(history(&json!([{"tx_hash": "aa", "height": 1}])).is_err());
}

#[test]
fn proof_hashes_are_turned_into_internal_order() {
    let mut shown = "00".repeat(31);
    shown.push_str("ff");
    let branch = merkle_branch(&json!({"block_height": 5, "pos": 1, "merkle": [shown]}), 5).unwrap();
    assert_eq!((branch.position, branch.siblings[0][0]), (1, 0xff));
    assert!(merkle_branch(&json!({"block_height": 6, "pos": 1, "merkle": []}), 5).is_err());
    assert!(merkle_branch(&json!({"block_height": 5, "pos": -1, "merkle": []}), 5).is_err());
    assert!(merkle_branch(&json!({"block_height": 5, "pos": 0, "merkle": ["00"]}), 5).is_err());
}

#[test]
fn fees_are_read_exactly_and_minus_one_is_no_estimate() {
    let sat = |value: Value| fee_estimate(&value).map(|rate| rate.map(FeeRate::sat_per_kvb));
    assert_eq!(sat(json!(-1)), Ok(None));
    assert_eq!(sat(json!(null)), Ok(None));
    assert_eq!(sat(json!(0.00001)), Ok(Some(1_000)));
    assert_eq!(sat(json!(1e-5)), Ok(Some(1_000)));
    assert_eq!(sat(json!(0.00012345)), Ok(Some(12_345)));
    assert!(sat(json!(1.0)).is_err());
    assert!(sat(json!("0.1")).is_err());
    let minimum = mempool_minimum(&json!({"mempoolminfee": 0.00002, "minrelaytxfee": 0.00001})).unwrap();
    assert_eq!(minimum.sat_per_kvb(), 2_000);
}

#[test]
fn refusals_are_told_apart_by_core_s_words() {
    assert!(means_unknown_transaction(
        "daemon error: DaemonError({'code': -5, 'message': 'No such mempool or blockchain transaction.'})"
    ));
    assert!(means_already_known(
        "the transaction was rejected by network rules.\n\ntxn-already-in-mempool\n[00]"
    ));
    assert!(means_already_known("Transaction outputs already in utxo set"));
    assert!(!means_already_known("bad-txns-inputs-missingorspent"));
    assert!(means_too_large("history too large"));
    assert_eq!(reason(&json!({"code": 1, "message": "rejected.\n\ndust\n[0200]"})), "rejected. dust");
    assert_eq!(reason(&json!("x".repeat(5_000))).chars().count(), MAX_REASON_CHARS);
}
