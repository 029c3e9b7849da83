//! `ListJobs`: the account's jobs, the newest first.

use ailayer_proto::ailayer::gateway::v1 as pb;

use crate::domain::api_key::Caller;
use crate::rpc::{Answer, Gateway, convert};
use crate::store;

pub(super) async fn list_jobs(
    gateway: &Gateway,
    caller: &Caller,
    request: pb::ListJobsRequest,
) -> Answer<pb::ListJobsResponse> {
    let token = convert::page_token(&request.page_token)?;
    let size = convert::page_size(request.page_size)?;
    let pool = gateway.jobs.store().pool();
    let listed = store::prepaid::of_account(pool, caller.account, size, token.as_ref()).await?;
    Ok(pb::ListJobsResponse {
        jobs: listed.items.iter().map(convert::job).collect(),
        next_page_token: convert::next_page(listed.next.as_ref()),
    })
}
