//! Describes the log.

use ailayer_proto::ailayer::audit::v1 as pb;

use super::AuditRpc;

pub(super) fn handle(rpc: &AuditRpc) -> pb::GetLogResponse {
    let wallet = rpc.wallet.borrow();
    pb::GetLogResponse {
        origin: rpc.signer.verifier().name().to_owned(),
        verification_key: rpc.signer.verifier().to_string(),
        tree_size: rpc.head.borrow().tree_size,
        wallet_address: wallet.address.clone(),
        wallet_balance_sat: wallet.balance_sat,
        anchor_confirmations: rpc.anchor_confirmations,
    }
}
