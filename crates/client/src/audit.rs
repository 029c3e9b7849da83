//! The audit log.

use ailayer_platform::client::{ClientConfig, ClientError, GrpcChannel, channel};
use ailayer_primitives::UnixMs;
use ailayer_proto::ailayer::audit::v1 as pb;
use ailayer_tlog::NodeHash;
use pb::audit_service_client::AuditServiceClient;

pub use pb::{Anchor, GetLogResponse as Log, Promise};

use crate::error::refused;
use crate::wire::Reader;
use crate::{CallError, MAX_ANSWER_BYTES};

const SERVICE: &str = "audit";
const READ: Reader = Reader(SERVICE);

/// Where an entry was sequenced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// Its index, from 0, for ever.
    pub leaf_index: u64,
    /// Its leaf hash; checked against the bytes that were sent.
    pub leaf_hash: NodeHash,
    /// When it was sequenced.
    pub sequenced_at: UnixMs,
    /// True if the same bytes were already there.
    pub duplicate: bool,
    /// The log's signature over origin, index, leaf hash and time.
    pub index_signature: Vec<u8>,
}

/// How far an entry has come, with everything needed to prove it offline.
#[derive(Debug, Clone, PartialEq)]
pub struct EntryProof {
    /// How far it has come; never unspecified.
    pub promise: Promise,
    /// Its index.
    pub leaf_index: u64,
    /// The checkpoint that the proofs lead to; empty before PUBLISHED.
    pub checkpoint: String,
    /// That checkpoint's tree size.
    pub tree_size: u64,
    /// The inclusion proof.
    pub inclusion: Vec<NodeHash>,
    /// The second entry, when it was asked for and is covered.
    pub with: Option<CoveredEntry>,
    /// The anchor; none before ANCHORED.
    pub anchor: Option<Anchor>,
    /// Headers from the anchoring block up to the tip; empty before ANCHORED.
    pub headers: Vec<[u8; 80]>,
}

/// A second entry under the same checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoveredEntry {
    /// Its index.
    pub leaf_index: u64,
    /// Its inclusion proof.
    pub inclusion: Vec<NodeHash>,
}

/// Calls the audit service.
#[derive(Clone, Debug)]
pub struct AuditClient {
    unary: AuditServiceClient<GrpcChannel>,
}

impl AuditClient {
    /// Prepares the client; the connection comes up at the first call.
    pub fn new(config: &ClientConfig) -> Result<Self, ClientError> {
        let unary = AuditServiceClient::new(channel(config)?).max_decoding_message_size(MAX_ANSWER_BYTES);
        Ok(Self { unary })
    }

    /// Describes the log.
    pub async fn log(&self) -> Result<Log, CallError> {
        let answer = self.unary.clone().get_log(pb::GetLogRequest {}).await;
        Ok(answer.map_err(refused(SERVICE))?.into_inner())
    }

    /// Appends an entry; answers once it is sequenced durably. Idempotent by content.
    pub async fn append(&self, entry: &[u8]) -> Result<Appended, CallError> {
        let request = pb::AppendEntryRequest { entry: entry.to_vec().into() };
        let answer = self.unary.clone().append_entry(request).await.map_err(refused(SERVICE))?.into_inner();
        let leaf_hash = NodeHash::new(READ.bytes("leaf_hash", &answer.leaf_hash)?);
        if leaf_hash != ailayer_tlog::leaf_hash(entry) {
            return Err(CallError::malformed(SERVICE, "the leaf hash of other bytes"));
        }
        Ok(Appended {
            leaf_index: answer.leaf_index,
            leaf_hash,
            sequenced_at: UnixMs(answer.sequenced_unix_ms),
            duplicate: answer.duplicate,
            index_signature: answer.index_signature,
        })
    }

    /// Fetches an entry's exact bytes by its leaf hash.
    pub async fn entry(&self, leaf_hash: NodeHash) -> Result<Vec<u8>, CallError> {
        let name = pb::get_entry_request::Name::LeafHash(leaf_hash.as_bytes().to_vec());
        let answer = self.unary.clone().get_entry(pb::GetEntryRequest { name: Some(name) }).await;
        Ok(answer.map_err(refused(SERVICE))?.into_inner().entry)
    }

    /// Fetches the newest signed checkpoint.
    pub async fn checkpoint(&self) -> Result<String, CallError> {
        let answer = self.unary.clone().get_checkpoint(pb::GetCheckpointRequest {}).await;
        Ok(answer.map_err(refused(SERVICE))?.into_inner().checkpoint)
    }

    /// Proves that a tree is a prefix of a larger one.
    pub async fn consistency_proof(&self, old_size: u64, new_size: u64) -> Result<Vec<NodeHash>, CallError> {
        let request = pb::GetConsistencyProofRequest { old_size, new_size };
        let answer = self.unary.clone().get_consistency_proof(request).await.map_err(refused(SERVICE))?;
        hashes(&answer.into_inner().hashes)
    }

    /// Tells how far an entry has come; `with` names a second one to be proved under the same checkpoint if it can be.
    pub async fn entry_proof(
        &self,
        leaf_hash: NodeHash,
        with: Option<NodeHash>,
    ) -> Result<EntryProof, CallError> {
        let request = pb::GetEntryProofRequest {
            leaf_hash: leaf_hash.as_bytes().to_vec(),
            with_leaf_hash: with.map(|hash| hash.as_bytes().to_vec()).unwrap_or_default(),
        };
        let answer = self.unary.clone().get_entry_proof(request).await.map_err(refused(SERVICE))?;
        EntryProof::read(answer.into_inner())
    }

    /// Lists anchors, newest first.
    pub async fn list_anchors(&self, page_size: u32) -> Result<Vec<Anchor>, CallError> {
        let request = pb::ListAnchorsRequest { page_size, page_token: String::new() };
        let answer = self.unary.clone().list_anchors(request).await.map_err(refused(SERVICE))?;
        Ok(answer.into_inner().anchors)
    }
}

impl EntryProof {
    fn read(proof: pb::GetEntryProofResponse) -> Result<Self, CallError> {
        let with_inclusion = hashes(&proof.with_inclusion_hashes)?;
        let with =
            proof.with_leaf_index.map(|leaf_index| CoveredEntry { leaf_index, inclusion: with_inclusion });
        let headers = proof.headers.iter().map(|header| READ.bytes("header", header));
        Ok(Self {
            promise: READ.variant("promise", proof.promise)?,
            leaf_index: proof.leaf_index,
            checkpoint: proof.checkpoint,
            tree_size: proof.tree_size,
            inclusion: hashes(&proof.inclusion_hashes)?,
            with,
            anchor: proof.anchor,
            headers: headers.collect::<Result<_, _>>()?,
        })
    }
}

fn hashes(hashes: &[Vec<u8>]) -> Result<Vec<NodeHash>, CallError> {
    hashes.iter().map(|hash| READ.bytes("hash", hash).map(NodeHash::new)).collect()
}
