//! `GetJob`: where a job stands.

use ailayer_proto::ailayer::gateway::v1 as pb;

use super::{Answer, Gateway, convert};

pub(super) async fn get_job(gateway: &Gateway, request: pb::GetJobRequest) -> Answer<pb::GetJobResponse> {
    let record = gateway.open(request.key).await?;
    Ok(pb::GetJobResponse { job: Some(convert::job(&record)) })
}
