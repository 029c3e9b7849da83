//! A block of regtest difficulty that holds an anchoring transaction, and headers on top of it.

use ailayer_primitives::Digest;
use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version};
use bitcoin::consensus::serialize;
use bitcoin::hashes::{Hash, sha256d};
use bitcoin::script::{Builder, ScriptBuf};
use bitcoin::transaction::{Transaction, TxIn, TxOut, Version as TransactionVersion};
use bitcoin::{Amount, BlockHash, CompactTarget, OutPoint, Sequence, TxMerkleNode, Txid, Witness};

use crate::anchor::commitment_script;
use crate::bundle::{AnchorParts, CoinbaseParts};

/// What a fixture's block looks like.
#[derive(Debug, Clone)]
pub struct Block {
    /// Height that its coinbase states.
    pub height: u32,
    /// Transactions in it, the coinbase included; at least two.
    pub transactions: u32,
    /// Position of the anchoring transaction, from 1.
    pub position: u32,
    /// Headers, the block's own included; at least one.
    pub headers: u32,
    /// Compact bits of each header.
    pub bits: u32,
    /// Whether the bundle carries the coinbase and so proves the height.
    pub with_coinbase: bool,
}

impl Default for Block {
    fn default() -> Self {
        Self { height: 150, transactions: 5, position: 2, headers: 6, bits: 0x207f_ffff, with_coinbase: true }
    }
}

impl Block {
    /// Makes and mines it.
    pub(super) fn anchor(&self, commitment: &Digest) -> AnchorParts {
        let coinbase = coinbase(self.height);
        let anchor = anchor_transaction(commitment);
        let txids: Vec<[u8; 32]> = (0..self.transactions)
            .map(|position| match position {
                0 => coinbase.compute_txid(),
                position if position == self.position => anchor.compute_txid(),
                position => spend(position, Vec::new()).compute_txid(),
            })
            .map(|txid| txid.to_byte_array())
            .collect();
        let (root, siblings) = merkle_branch(&txids, self.position);
        let (_, coinbase_siblings) = merkle_branch(&txids, 0);
        let coinbase = CoinbaseParts {
            block_height: self.height,
            transaction: serialize(&coinbase),
            siblings: coinbase_siblings,
        };
        AnchorParts {
            transaction: serialize(&anchor),
            vout: 1,
            position: self.position,
            siblings,
            coinbase: self.with_coinbase.then_some(coinbase),
            headers: self.mine(root),
        }
    }

    fn mine(&self, root: [u8; 32]) -> Vec<[u8; 80]> {
        let mut before =
            BlockHash::from_byte_array(Digest::sha256(b"the block before").as_bytes().to_owned());
        let mut merkle_root = root;
        let mut headers = Vec::new();
        for offset in 0..self.headers {
            let mut header = Header {
                version: Version::from_consensus(0x2000_0000),
                prev_blockhash: before,
                merkle_root: TxMerkleNode::from_byte_array(merkle_root),
                time: 1_767_226_000_u32.saturating_add(offset.saturating_mul(600)),
                bits: CompactTarget::from_consensus(self.bits),
                nonce: 0,
            };
            while !header.target().is_met_by(header.block_hash()) && header.nonce < 1 << 20 {
                header.nonce = header.nonce.saturating_add(1);
            }
            before = header.block_hash();
            merkle_root = *Digest::sha256(&offset.to_be_bytes()).as_bytes();
            headers.push(serialize(&header).try_into().expect("80 bytes"));
        }
        headers
    }
}

fn coinbase(height: u32) -> Transaction {
    let script_sig = Builder::new().push_int(height.into()).push_slice(b"fixture").into_script();
    let mut transaction =
        spend(0, vec![TxOut { value: Amount::from_sat(2_500_000_000), script_pubkey: payee() }]);
    for input in &mut transaction.input {
        input.previous_output = OutPoint::null();
        input.script_sig = script_sig.clone();
    }
    transaction
}

fn anchor_transaction(commitment: &Digest) -> Transaction {
    let change = TxOut { value: Amount::from_sat(99_000), script_pubkey: payee() };
    let commitment = TxOut { value: Amount::ZERO, script_pubkey: commitment_script(commitment) };
    spend(1_000, vec![change, commitment])
}

/// A transaction that spends an output of its own, with a witness when it is the anchor.
fn spend(number: u32, output: Vec<TxOut>) -> Transaction {
    let txid = Txid::from_byte_array(*Digest::sha256(&number.to_be_bytes()).as_bytes());
    let witness = if number == 1_000 { Witness::from_slice(&[[0x44; 64]]) } else { Witness::new() };
    let input = TxIn {
        previous_output: OutPoint { txid, vout: 0 },
        script_sig: ScriptBuf::new(),
        sequence: Sequence::MAX,
        witness,
    };
    Transaction { version: TransactionVersion::TWO, lock_time: LockTime::ZERO, input: vec![input], output }
}

fn payee() -> ScriptBuf {
    Builder::new().push_int(0).push_slice([0x55; 20]).into_script()
}

/// Root and branch of a block's merkle tree: an odd last node is paired with itself.
pub(crate) fn merkle_branch(txids: &[[u8; 32]], position: u32) -> ([u8; 32], Vec<[u8; 32]>) {
    let mut level = txids.to_vec();
    let mut place = usize::try_from(position).expect("small");
    let mut siblings = Vec::new();
    while level.len() > 1 {
        if level.len() % 2 == 1 {
            level.extend(level.last().copied());
        }
        siblings.extend(level.get(place ^ 1));
        level = level.chunks(2).map(|pair| sha256d::Hash::hash(&pair.concat()).to_byte_array()).collect();
        place /= 2;
    }
    (level.first().copied().expect("a transaction"), siblings)
}
