use super::*;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, TxIn, TxOut, Witness, absolute, transaction};
use proptest::prelude::*;

fn transaction(salt: u64) -> Transaction {
    Transaction {
        version: transaction::Version::TWO,
        lock_time: absolute::LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::new(Txid::from_byte_array([1; 32]), 0),
            script_sig: ScriptBuf::from_bytes(salt.to_le_bytes().to_vec()),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        }],
        output: vec![TxOut { value: Amount::from_sat(salt), script_pubkey: ScriptBuf::new() }],
    }
}

/// Builds the tree level by level, independently of `fold`; returns the root and the branch of `position`.
fn prove(transactions: &[Transaction], position: usize) -> (TxMerkleNode, MerkleBranch) {
    let mut level: Vec<[u8; 32]> = transactions.iter().map(|tx| tx.compute_txid().to_byte_array()).collect();
    let (mut at, mut siblings) = (position, Vec::new());
    while level.len() > 1 {
        if level.len() % 2 == 1 {
            level.push(*level.last().unwrap());
        }
        siblings.push(level[at ^ 1]);
        level = level.chunks(2).map(|pair| sha256d::Hash::hash(&pair.concat()).to_byte_array()).collect();
        at /= 2;
    }
    (
        TxMerkleNode::from_byte_array(level[0]),
        MerkleBranch { position: u32::try_from(position).unwrap(), siblings },
    )
}

proptest! {
    #[test]
    fn every_transaction_of_a_block_is_proved_and_no_other(
        count in 1_usize..40, pick in any::<prop::sample::Index>(), flip in any::<prop::sample::Index>()
    ) {
        let block: Vec<Transaction> = (0..count as u64).map(transaction).collect();
        let position = pick.index(count);
        let (root, branch) = prove(&block, position);
        prop_assert_eq!(branch.verify(&block[position], root), Ok(()));
        prop_assert_eq!(branch.verify(&transaction(1_000), root), Err(MerkleError::WrongRoot));

        let hashes = bitcoin::merkle_tree::calculate_root(block.iter().map(Transaction::compute_txid));
        prop_assert_eq!(hashes.map(|hash| hash.to_byte_array()), Some(root.to_byte_array()));

        let moved = MerkleBranch { position: branch.position ^ (1 << flip.index(6)), ..branch.clone() };
        prop_assert!(moved.verify(&block[position], root).is_err());
        if !branch.siblings.is_empty() {
            let mut bent = branch.clone();
            let level = flip.index(bent.siblings.len());
            bent.siblings[level][flip.index(32)] ^= 1;
            prop_assert!(bent.verify(&block[position], root).is_err());
            let mut short = branch;
            short.siblings.pop();
            prop_assert!(short.verify(&block[position], root).is_err());
        }
    }
}

#[test]
fn the_copy_of_an_odd_last_transaction_has_no_position() {
    let block: Vec<Transaction> = (0..3).map(transaction).collect();
    let (root, branch) = prove(&block, 2);
    assert_eq!(branch.verify(&block[2], root), Ok(()));
    let phantom = MerkleBranch { position: 3, ..branch };
    assert_eq!(phantom.verify(&block[2], root), Err(MerkleError::ImpossiblePosition));
}

#[test]
fn a_branch_deeper_than_any_block_is_refused() {
    let branch = MerkleBranch { position: 0, siblings: vec![[0; 32]; MAX_DEPTH + 1] };
    let root = TxMerkleNode::from_byte_array([0; 32]);
    assert_eq!(branch.verify(&transaction(1), root), Err(MerkleError::TooDeep));
}

/// A 64-byte transaction of a real block, read as an inner node, would prove a payment that never was.
#[test]
fn a_sixty_four_byte_transaction_is_neither_leaf_nor_node() {
    let mut crafted = transaction(1);
    crafted.input[0].script_sig = ScriptBuf::new();
    crafted.output[0].script_pubkey = ScriptBuf::from_bytes(vec![0x51; 4]);
    assert_eq!(crafted.base_size(), 64);
    let other = transaction(2);
    let (root, branch) = prove(&[other, crafted.clone()], 1);
    assert_eq!(branch.verify(&crafted, root), Err(MerkleError::Ambiguous));

    // Its two halves pretend to be the ids of two more transactions, one level below.
    let bytes = bitcoin::consensus::encode::serialize(&crafted);
    let (left, right): ([u8; 32], [u8; 32]) =
        (bytes[..32].try_into().unwrap(), bytes[32..].try_into().unwrap());
    let mut siblings = vec![right];
    siblings.extend(&branch.siblings);
    let forged = MerkleBranch { position: 2, siblings };
    assert_eq!(forged.fold(Txid::from_byte_array(left)), Err(MerkleError::Ambiguous));
}
