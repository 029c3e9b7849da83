//! A transparency log in memory that anchors in a block of its own making.

use std::sync::{Arc, Mutex};

use ailayer_client::audit::{Anchor, Appended, CoveredEntry, EntryProof, Log, Promise};
use ailayer_client::{CallError, ErrorReason};
use ailayer_gateway::ports::AuditLog;
use ailayer_primitives::UnixMs;
use ailayer_proto::ailayer::common::v1::MerkleBranch;
use ailayer_receipt::anchor::{commitment, commitment_script};
use ailayer_tlog::note::Signer;
use ailayer_tlog::proof::{inclusion_proof, root_at};
use ailayer_tlog::{Checkpoint, CompleteNode, Frontier, IndexPromise, NodeHash, leaf_hash};
use async_trait::async_trait;
use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version};
use bitcoin::consensus::serialize;
use bitcoin::hashes::Hash as _;
use bitcoin::transaction::{Transaction, TxIn, TxOut};
use bitcoin::{Amount, BlockHash, CompactTarget, TxMerkleNode};

use super::refusal;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Works,
    /// Fails so often, then works.
    FailsTimes(u32),
    Unavailable,
    Hangs,
    Refuses,
    /// Promises another index than it signs.
    Lies,
    /// Promises, and keeps nothing.
    Forgets,
}

pub struct FakeAudit {
    pub mood: Mutex<Mood>,
    entries: Mutex<Vec<Vec<u8>>>,
    anchored: Mutex<bool>,
    signer: Signer,
}

impl FakeAudit {
    pub fn new() -> Arc<Self> {
        let signer = Signer::try_new("log.test/ailayer", &[0x22; 32]).unwrap();
        let (mood, entries, anchored) = (Mutex::new(Mood::Works), Mutex::default(), Mutex::new(false));
        Arc::new(Self { mood, entries, anchored, signer })
    }

    pub fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    pub fn anchor(&self) {
        *self.anchored.lock().unwrap() = true;
    }

    pub fn key(&self) -> String {
        self.signer.verifier().to_string()
    }

    pub fn entries(&self) -> Vec<String> {
        let entries = self.entries.lock().unwrap();
        entries.iter().map(|entry| String::from_utf8(entry.clone()).unwrap()).collect()
    }

    pub fn lose_everything(&self) {
        self.entries.lock().unwrap().clear();
    }

    fn mood(&self) -> Mood {
        let mut mood = self.mood.lock().unwrap();
        let now = *mood;
        if let Mood::FailsTimes(times) = now {
            *mood = if times > 1 { Mood::FailsTimes(times - 1) } else { Mood::Works };
        }
        now
    }
}

#[async_trait]
impl AuditLog for FakeAudit {
    async fn log(&self) -> Result<Log, CallError> {
        Ok(Log { verification_key: self.key(), ..Log::default() })
    }

    async fn append(&self, entry: &[u8]) -> Result<Appended, CallError> {
        match self.mood() {
            Mood::Works | Mood::Lies | Mood::Forgets => {}
            Mood::FailsTimes(_) | Mood::Unavailable => {
                return Err(refusal("audit", ErrorReason::StorageUnavailable));
            }
            Mood::Hangs => std::future::pending().await,
            Mood::Refuses => return Err(refusal("audit", ErrorReason::InputTooLarge)),
        }
        let mut entries = self.entries.lock().unwrap();
        let found = entries.iter().position(|known| known == entry);
        let index = found.unwrap_or(entries.len());
        if found.is_none() && *self.mood.lock().unwrap() != Mood::Forgets {
            entries.push(entry.to_vec());
        }
        let promise = IndexPromise {
            leaf_index: index as u64,
            leaf_hash: leaf_hash(entry),
            sequenced_unix_ms: 1_800_000_000_000,
        };
        let lie = u64::from(*self.mood.lock().unwrap() == Mood::Lies);
        Ok(Appended {
            leaf_index: promise.leaf_index + lie,
            leaf_hash: promise.leaf_hash,
            sequenced_at: UnixMs(promise.sequenced_unix_ms),
            duplicate: found.is_some(),
            index_signature: promise.sign(&self.signer),
        })
    }

    async fn entry_proof(&self, wanted: NodeHash, with: Option<NodeHash>) -> Result<EntryProof, CallError> {
        if self.mood() == Mood::Unavailable {
            return Err(refusal("audit", ErrorReason::StorageUnavailable));
        }
        let leaves: Vec<NodeHash> =
            self.entries.lock().unwrap().iter().map(|entry| leaf_hash(entry)).collect();
        let place = |hash: NodeHash| leaves.iter().position(|leaf| *leaf == hash).map(|index| index as u64);
        let leaf_index = place(wanted).ok_or_else(|| refusal("audit", ErrorReason::EntryNotFound))?;
        let mut proof = EntryProof {
            promise: Promise::Sequenced,
            leaf_index,
            checkpoint: String::new(),
            tree_size: 0,
            inclusion: vec![],
            with: None,
            anchor: None,
            headers: vec![],
        };
        if *self.anchored.lock().unwrap() {
            self.prove(&leaves, &mut proof, with.and_then(place));
        }
        Ok(proof)
    }
}

impl FakeAudit {
    fn prove(&self, leaves: &[NodeHash], proof: &mut EntryProof, with: Option<u64>) {
        let mut frontier = Frontier::new();
        let nodes: Vec<CompleteNode> =
            leaves.iter().flat_map(|leaf| frontier.append(*leaf).unwrap()).collect();
        let read = |level: u8, index: u64| {
            nodes.iter().find(|node| (node.id.level, node.id.index) == (level, index)).map(|node| node.hash)
        };
        let tree_size = leaves.len() as u64;
        let origin = self.signer.verifier().name().to_owned();
        let checkpoint = Checkpoint { origin, tree_size, root_hash: root_at(&read, tree_size).unwrap() };
        proof.promise = Promise::Anchored;
        proof.tree_size = tree_size;
        proof.inclusion = inclusion_proof(&read, proof.leaf_index, tree_size).unwrap();
        proof.with = with.map(|leaf_index| CoveredEntry {
            leaf_index,
            inclusion: inclusion_proof(&read, leaf_index, tree_size).unwrap(),
        });
        proof.checkpoint = checkpoint.sign(&self.signer).unwrap().to_string();
        let (anchor, header) = anchor(&checkpoint);
        proof.anchor = Some(Anchor { checkpoint: proof.checkpoint.clone(), tree_size, ..anchor });
        proof.headers = vec![header];
    }
}

/// A block with one transaction, whose only output is the commitment.
fn anchor(checkpoint: &Checkpoint) -> (Anchor, [u8; 80]) {
    let script_pubkey = commitment_script(&commitment(&checkpoint.body()));
    let transaction = Transaction {
        version: bitcoin::transaction::Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn::default()],
        output: vec![TxOut { value: Amount::ZERO, script_pubkey }],
    };
    let mut header = Header {
        version: Version::from_consensus(0x2000_0000),
        prev_blockhash: BlockHash::all_zeros(),
        merkle_root: TxMerkleNode::from_byte_array(transaction.compute_txid().to_byte_array()),
        time: 1_800_000_000,
        bits: CompactTarget::from_consensus(0x207f_ffff),
        nonce: 0,
    };
    while !header.target().is_met_by(header.block_hash()) {
        header.nonce += 1;
    }
    let anchor = Anchor {
        raw: serialize(&transaction),
        vout: 0,
        merkle_branch: Some(MerkleBranch { position: 0, siblings: vec![] }),
        ..Anchor::default()
    };
    (anchor, serialize(&header).try_into().unwrap())
}
