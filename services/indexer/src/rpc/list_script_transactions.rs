//! Lists the transactions of scripts.

use std::collections::BTreeSet;

use ailayer_platform::error::{ErrorReason, Failure};
use ailayer_proto::ailayer::indexer::v1 as pb;
use bitcoin::ScriptBuf;

use super::{IndexerRpc, convert};

const MAX_SCRIPTS: usize = 200;
/// Longer scripts cannot be spent from.
const MAX_SCRIPT_BYTES: usize = 10_000;
const FIELD: &str = "script_pubkeys";

pub(super) async fn handle(
    rpc: &IndexerRpc,
    request: pb::ListScriptTransactionsRequest,
) -> Result<pb::ListScriptTransactionsResponse, Failure> {
    let scripts = request.script_pubkeys;
    if scripts.is_empty() {
        return Err(Failure::field(ErrorReason::InputEmpty, FIELD, "name at least one script"));
    }
    if scripts.len() > MAX_SCRIPTS {
        return Err(Failure::field(ErrorReason::InputTooLarge, FIELD, "name at most 200 scripts"));
    }
    if scripts.iter().any(|script| script.is_empty() || script.len() > MAX_SCRIPT_BYTES) {
        return Err(Failure::invalid_field(FIELD, "a script has 1 to 10000 bytes"));
    }
    let scripts: BTreeSet<ScriptBuf> = scripts.into_iter().map(ScriptBuf::from_bytes).collect();
    // A server keeps no history of data outputs: an empty answer would be a wrong one.
    if scripts.iter().any(|script| script.is_op_return()) {
        return Err(Failure::invalid_field(FIELD, "a data output has no history"));
    }
    let answer = rpc.verifier.script_transactions(scripts).await?;
    let transactions = answer.transactions.into_iter();
    Ok(pb::ListScriptTransactionsResponse {
        transactions: transactions.map(|verified| convert::transaction(verified, answer.tip)).collect(),
        tip: Some(convert::block_ref(answer.tip)),
    })
}
