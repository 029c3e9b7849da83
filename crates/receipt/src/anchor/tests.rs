use ailayer_primitives::Network;
use bitcoin::consensus::serialize;
use bitcoin::hashes::{Hash, sha256d};

use super::merkle::{Depth, MerkleError, check_branch};
use super::*;
use crate::testing::{Block, Fixture, merkle_branch};

fn txids(count: u8) -> Vec<[u8; 32]> {
    (0..count).map(|number| *Digest::sha256(&[number]).as_bytes()).collect()
}

/// The first header of the production network: difficulty 1.
const GENESIS: &str = "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c";

#[test]
fn commitment_is_op_return_with_32_bytes() {
    let script = commitment_script(&commitment("body\n"));
    let expected = format!("6a20{}", Digest::sha256(b"body\n"));
    assert_eq!(script.to_hex_string(), expected);
}

#[test]
fn every_position_of_every_small_block_verifies_there_only() {
    for count in 1..=17_u8 {
        let txids = txids(count);
        for position in 0..u32::from(count) {
            let (root, siblings) = merkle_branch(&txids, position);
            let txid = txids[position as usize];
            let depth = Depth::Known(siblings.len());
            for depth in [depth, Depth::Unknown] {
                assert_eq!(check_branch(txid, position, &siblings, depth, root), Ok(()));
            }
            for other in (0..64).filter(|other| *other != position) {
                assert!(check_branch(txid, other, &siblings, depth, root).is_err(), "{other} for {position}");
            }
        }
    }
}

#[test]
fn a_repeated_last_transaction_has_one_position() {
    let txids = txids(3);
    let (root, siblings) = merkle_branch(&txids, 2);
    let repeated = check_branch(txids[2], 3, &siblings, Depth::Known(2), root);
    assert_eq!(repeated, Err(MerkleError::Repeated));
}

#[test]
fn a_transaction_below_a_64_byte_transaction_is_refused() {
    // A miner grinds a 64-byte transaction whose last 32 bytes are the id of a transaction that is in no block; as a
    // merkle node it stands above that id. The grinding is left out: any 64 bytes that read as a transaction will do.
    let mut crafted = vec![1, 0, 0, 0, 1];
    crafted.extend([7; 32]);
    crafted.extend([
        0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0,
    ]);
    assert_eq!(crafted.len(), 64);
    let crafted_txid = sha256d::Hash::hash(&crafted).to_byte_array();
    let (left, right) = crafted.split_at(32);
    let (left, right): ([u8; 32], [u8; 32]) = (left.try_into().unwrap(), right.try_into().unwrap());
    let (root, above) = merkle_branch(&[txids(1)[0], crafted_txid], 1);
    let siblings = [vec![left], above].concat();
    assert_eq!(check_branch(right, 3, &siblings, Depth::Unknown, root), Err(MerkleError::Ambiguous));
    let depth = MerkleError::Depth { branch: 2, coinbase: 1 };
    assert_eq!(check_branch(right, 3, &siblings, Depth::Known(1), root), Err(depth));
    assert_eq!(decode(&hex::encode(&crafted)).unwrap_err(), TransactionError::Ambiguous);
}

#[test]
fn transactions_have_one_spelling() {
    let anchor = Fixture::new().bundle().anchor;
    let with_witness = Fixture::new().parts().anchor.transaction;
    assert_eq!(decode(&hex::encode(with_witness)).unwrap_err(), TransactionError::Witness);
    let good = decode(&anchor.transaction).unwrap();
    assert_eq!(hex::encode(serialize(&good)), anchor.transaction);
    for bad in [anchor.transaction.to_uppercase(), format!("{}00", anchor.transaction), String::new()] {
        assert_eq!(decode(&bad).unwrap_err(), TransactionError::Malformed);
    }
    let commitment = Digest::sha256(b"another body");
    assert_eq!(check_commitment(&good, 1, &commitment), Err(TransactionError::Commitment));
    assert_eq!(check_commitment(&good, 2, &commitment), Err(TransactionError::NoSuchOutput(2)));
    assert_eq!(check_height(&good, 150), Err(TransactionError::NotCoinbase));
}

#[test]
fn heights_are_stated_as_bip_34_writes_them() {
    for height in [0, 1, 16, 17, 127, 128, 255, 256, 32_768, 900_000, 8_388_608] {
        let fixture = Fixture { block: Block { height, ..Block::default() }, ..Fixture::new() };
        let coinbase = decode(&fixture.bundle().anchor.coinbase.unwrap().transaction).unwrap();
        assert_eq!(check_height(&coinbase, height), Ok(()));
        for other in [height + 1, height + 256, height * 256 + 1] {
            assert_eq!(check_height(&coinbase, other), Err(TransactionError::Height(other)));
        }
    }
}

#[test]
fn an_easy_chain_is_refused_on_the_production_network() {
    let genesis = decode_headers(&[GENESIS.to_owned()]).unwrap();
    assert_eq!(check_work(&genesis, Network::Bitcoin), Err(HeadersError::TooEasy(0, Network::Bitcoin)));
    assert_eq!(check_work(&genesis, Network::Testnet4), Ok(()));
    assert_eq!(check_work(&genesis, Network::Signet), Ok(()));
    let regtest = decode_headers(&Fixture::new().bundle().anchor.headers).unwrap();
    for network in [Network::Bitcoin, Network::Testnet4, Network::Signet] {
        assert_eq!(check_work(&regtest, network), Err(HeadersError::TooEasy(0, network)));
    }
    assert_eq!(check_work(&[], Network::Regtest), Err(HeadersError::Empty));
}

#[test]
fn the_floor_is_a_difficulty_of_ten_to_the_thirteenth() {
    let bits = bitcoin::CompactTarget::from_consensus(MIN_BITCOIN_DIFFICULTY_BITS);
    let difficulty = bitcoin::Target::from_compact(bits).difficulty(bitcoin::Network::Bitcoin);
    assert!((9_990_000_000_000..10_100_000_000_000).contains(&difficulty), "{difficulty}");
}

#[test]
fn work_and_linkage_are_checked_header_by_header() {
    let headers = decode_headers(&Fixture::new().bundle().anchor.headers).unwrap();
    assert_eq!(check_work(&headers, Network::Regtest), Ok(()));
    let mut unlinked = headers.clone();
    unlinked.remove(3);
    assert_eq!(check_work(&unlinked, Network::Regtest), Err(HeadersError::Unlinked(3)));
    let mut lazy = headers.clone();
    while lazy[5].target().is_met_by(lazy[5].block_hash()) {
        lazy[5].nonce += 1;
    }
    assert_eq!(check_work(&lazy, Network::Regtest), Err(HeadersError::NoWork(5)));
    for bits in [0x2100_ffff, 0xff7f_ffff, 0x2080_0001, 0x0000_0000] {
        let mut odd = headers.clone();
        odd[5].bits = bitcoin::CompactTarget::from_consensus(bits);
        assert!(check_work(&odd, Network::Regtest).is_err(), "{bits:08x}");
    }
}
