//! Hands a transaction to the network.

use ailayer_platform::error::{ErrorReason, Failure};
use ailayer_proto::ailayer::indexer::v1 as pb;
use bitcoin::consensus::deserialize;
use bitcoin::hashes::Hash as _;
use bitcoin::{Transaction, Txid};

use super::IndexerRpc;
use crate::error::source_failure;
use crate::ports::BroadcastOutcome;

/// After UNAVAILABLE or DEADLINE_EXCEEDED the transaction may be out: send the same bytes again.
pub(super) async fn handle(
    rpc: &IndexerRpc,
    request: pb::BroadcastRequest,
) -> Result<pb::BroadcastResponse, Failure> {
    let transaction: Transaction = deserialize(&request.raw)
        .map_err(|_| Failure::invalid_field("raw", "must be one transaction in consensus encoding"))?;
    let txid = transaction.compute_txid();
    let outcome = rpc.source.broadcast(&request.raw).await.map_err(source_failure)?;
    match outcome {
        BroadcastOutcome::Accepted => {}
        // Nodes have many words for "I have it", and none once its outputs are spent: ask for it.
        BroadcastOutcome::Rejected(_) if is_known(rpc, txid).await? => {}
        BroadcastOutcome::Rejected(reason) => {
            tracing::warn!(%txid, reason, "broadcast rejected");
            let message = format!("the network refused the transaction: {reason}");
            return Err(Failure::new(ErrorReason::BroadcastRejected, message).with_metadata("reason", reason));
        }
    }
    Ok(pb::BroadcastResponse { txid: txid.to_byte_array().to_vec() })
}

async fn is_known(rpc: &IndexerRpc, txid: Txid) -> Result<bool, Failure> {
    let known = rpc.source.transaction(txid).await.map_err(source_failure)?;
    let known = known.and_then(|raw| deserialize::<Transaction>(&raw).ok());
    Ok(known.is_some_and(|transaction| transaction.compute_txid() == txid))
}
