//! Lists anchors, newest first. A page token is the id of the last anchor shown.

use ailayer_proto::ailayer::audit::v1 as pb;

use super::{AuditRpc, convert};
use crate::error::CallError;
use crate::store::{anchor, checkpoint};

/// Anchors on a page when the caller does not say.
const DEFAULT_PAGE: u32 = 20;
/// Most anchors on a page.
const MAX_PAGE: u32 = 100;

pub(super) async fn handle(
    rpc: &AuditRpc,
    request: pb::ListAnchorsRequest,
) -> Result<pb::ListAnchorsResponse, CallError> {
    let limit = match request.page_size {
        0 => DEFAULT_PAGE,
        size @ 1..=MAX_PAGE => size,
        _ => return Err(CallError::Field { field: "page_size", rule: "must be 0 to 100" }),
    };
    let below = parse_token(&request.page_token)?;
    let pool = rpc.store.pool();
    // One more than shown tells whether there is another page.
    let mut found = anchor::page(pool, below, limit.saturating_add(1)).await?;
    let shown = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = found.len() > shown;
    found.truncate(shown);
    let next_page_token =
        found.last().filter(|_| more).map_or_else(String::new, |last| last.anchor_id.to_string());
    let tip = rpc.wallet.borrow().tip;
    let mut anchors = Vec::with_capacity(found.len());
    for anchor in &found {
        let note = checkpoint::of_size(pool, anchor.tree_size).await?.map_or_else(String::new, |it| it.note);
        anchors.extend(convert::anchor(anchor, note, tip));
    }
    Ok(pb::ListAnchorsResponse { anchors, next_page_token })
}

fn parse_token(token: &str) -> Result<Option<i64>, CallError> {
    if token.is_empty() {
        return Ok(None);
    }
    let id = token.parse().ok().filter(|id: &i64| *id > 0 && id.to_string() == token);
    id.map(Some).ok_or(CallError::OutsideLog { field: "page_token", rule: "is not one that was given out" })
}
