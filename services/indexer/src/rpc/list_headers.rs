//! Lists headers of the best chain.

use ailayer_platform::error::{ErrorReason, Failure};
use ailayer_proto::ailayer::indexer::v1 as pb;
use bitcoin::consensus::serialize;

use super::IndexerRpc;

const MAX_PAGE_SIZE: u32 = 2_016;

pub(super) async fn handle(
    rpc: &IndexerRpc,
    request: pb::ListHeadersRequest,
) -> Result<pb::ListHeadersResponse, Failure> {
    let page_size = match request.page_size {
        0 => MAX_PAGE_SIZE,
        size @ 1..=MAX_PAGE_SIZE => size,
        _ => return Err(Failure::invalid_field("page_size", "must lie between 0 and 2016")),
    };
    // One more than asked for tells whether there is a next page, as of the same moment.
    let mut headers = rpc.store.headers(request.start_height, page_size.saturating_add(1)).await?;
    let first_height = headers.first().map(|header| header.height);
    if first_height != Some(request.start_height) {
        return Err(Failure::field(
            ErrorReason::BlockNotFound,
            "start_height",
            "there is no block at that height on the chain held here",
        ));
    }
    let page = usize::try_from(page_size).unwrap_or(usize::MAX);
    let next_start_height = headers.get(page).map_or(0, |next| next.height);
    headers.truncate(page);
    let headers = headers.iter().map(|header| serialize(&header.header)).collect();
    Ok(pb::ListHeadersResponse { headers, next_start_height })
}
