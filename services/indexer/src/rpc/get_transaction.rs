//! Fetches a transaction with its proof.

use ailayer_platform::error::Failure;
use ailayer_proto::ailayer::indexer::v1 as pb;
use bitcoin::Txid;
use bitcoin::hashes::Hash as _;

use super::{IndexerRpc, convert};

pub(super) async fn handle(
    rpc: &IndexerRpc,
    request: pb::GetTransactionRequest,
) -> Result<pb::GetTransactionResponse, Failure> {
    let txid =
        Txid::from_slice(&request.txid).map_err(|_| Failure::invalid_field("txid", "must be 32 bytes"))?;
    let answer = rpc.verifier.transaction(txid).await?;
    let transaction = answer.transactions.into_iter().next();
    Ok(pb::GetTransactionResponse {
        transaction: transaction.map(|verified| convert::transaction(verified, answer.tip)),
        tip: Some(convert::block_ref(answer.tip)),
    })
}
