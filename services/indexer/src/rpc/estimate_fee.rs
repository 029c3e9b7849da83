//! Estimates a fee rate.

use ailayer_platform::error::Failure;
use ailayer_proto::ailayer::indexer::v1 as pb;

use super::IndexerRpc;
use crate::domain::fee::FeeEstimate;
use crate::error::source_failure;

const MAX_TARGET_BLOCKS: u32 = 1_008;

pub(super) async fn handle(
    rpc: &IndexerRpc,
    request: pb::EstimateFeeRequest,
) -> Result<pb::EstimateFeeResponse, Failure> {
    if !(1..=MAX_TARGET_BLOCKS).contains(&request.target_blocks) {
        return Err(Failure::invalid_field("target_blocks", "must lie between 1 and 1008"));
    }
    let relay_minimum = rpc.source.relay_fee().await.map_err(source_failure)?;
    let estimate = rpc.source.estimate_fee(request.target_blocks).await.map_err(source_failure)?;
    let FeeEstimate { fee_rate, fallback } = FeeEstimate::new(estimate, relay_minimum);
    Ok(pb::EstimateFeeResponse { fee_rate_sat_per_kvb: fee_rate.sat_per_kvb(), fallback })
}
