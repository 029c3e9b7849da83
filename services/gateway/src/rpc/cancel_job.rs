//! `CancelJob`: the buyer gives up, and the money goes back.

use ailayer_proto::ailayer::gateway::v1 as pb;

use super::{Answer, Gateway, convert};
use crate::domain::job::Input;
use crate::store::transitions::Facts;

pub(super) async fn cancel_job(
    gateway: &Gateway,
    request: pb::CancelJobRequest,
) -> Answer<pb::CancelJobResponse> {
    let record = gateway.open(request.key).await?;
    let changed = gateway.jobs.apply(record.job_id, Input::Cancel, None, Facts::default()).await?;
    gateway.signals.drive();
    Ok(pb::CancelJobResponse { job: Some(convert::job(&changed.record)) })
}
