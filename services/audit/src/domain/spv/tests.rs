use bitcoin::block::Version;
use bitcoin::{CompactTarget, TxMerkleNode};

use super::*;

fn txid(byte: u8) -> Txid {
    Txid::from_byte_array([byte; 32])
}

fn parent(left: [u8; 32], right: [u8; 32]) -> [u8; 32] {
    sha256d::Hash::hash(&[left, right].concat()).to_byte_array()
}

fn mine(prev_blockhash: BlockHash, merkle_root: [u8; 32]) -> Header {
    let mut header = Header {
        version: Version::TWO,
        prev_blockhash,
        merkle_root: TxMerkleNode::from_byte_array(merkle_root),
        time: 0,
        bits: CompactTarget::from_consensus(0x207f_ffff),
        nonce: 0,
    };
    while header.validate_pow(header.target()).is_err() {
        header.nonce += 1;
    }
    header
}

/// Three transactions: the third is paired with itself, as Bitcoin does on odd levels.
fn block_of_three() -> (Header, Vec<MerkleBranch>) {
    let [a, b, c] = [[1; 32], [2; 32], [3; 32]];
    let (ab, cc) = (parent(a, b), parent(c, c));
    let branches = vec![
        MerkleBranch { position: 0, siblings: vec![b, cc] },
        MerkleBranch { position: 1, siblings: vec![a, cc] },
        MerkleBranch { position: 2, siblings: vec![c, ab] },
    ];
    (mine(BlockHash::all_zeros(), parent(ab, cc)), branches)
}

#[test]
fn branches_of_an_uneven_block_verify() {
    let (header, branches) = block_of_three();
    for (branch, byte) in branches.iter().zip(1..) {
        assert_eq!(verify_branch(txid(byte), branch, &header), Ok(()));
        assert_eq!(verify_branch(txid(9), branch, &header), Err(SpvError::RootMismatch));
    }
}

#[test]
fn altered_branches_are_refused() {
    let (header, branches) = block_of_three();
    let moved = MerkleBranch { position: 3, ..branches[0].clone() };
    assert_eq!(verify_branch(txid(1), &moved, &header), Err(SpvError::RootMismatch));
    let outside = MerkleBranch { position: 4, ..branches[0].clone() };
    assert_eq!(verify_branch(txid(1), &outside, &header), Err(SpvError::PositionOutsideTree));
    let long = MerkleBranch { position: 0, siblings: vec![[0; 32]; 33] };
    assert_eq!(verify_branch(txid(1), &long, &header), Err(SpvError::BranchTooLong));
}

#[test]
fn headers_must_link_and_carry_work() {
    let first = mine(BlockHash::all_zeros(), [0; 32]);
    let second = mine(first.block_hash(), [1; 32]);
    let hash = first.block_hash();
    assert_eq!(verify_headers(hash, &[first, second]), Ok(()));
    assert_eq!(verify_headers(hash, &[]), Err(SpvError::NoHeaders));
    assert_eq!(verify_headers(hash, &[second]), Err(SpvError::WrongBlock));
    assert_eq!(verify_headers(hash, &[first, first]), Err(SpvError::BrokenLink(1)));
    let mut lazy = second;
    while lazy.validate_pow(lazy.target()).is_ok() {
        lazy.nonce += 1;
    }
    assert_eq!(verify_headers(hash, &[first, lazy]), Err(SpvError::ProofOfWork(1)));
}
