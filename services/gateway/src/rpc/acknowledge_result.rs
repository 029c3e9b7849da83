//! `AcknowledgeResult`: the buyer has the ciphertext, and the money may be taken.

use ailayer_platform::error::Failure;
use ailayer_primitives::Digest;
use ailayer_proto::ailayer::gateway::v1 as pb;

use super::{Answer, Gateway, convert};
use crate::domain::job::{Input, Refused};
use crate::error::JobError;
use crate::jobs::ChangeError;
use crate::store::JobRecord;
use crate::store::transitions::Facts;

pub(super) async fn acknowledge_result(
    gateway: &Gateway,
    request: pb::AcknowledgeResultRequest,
) -> Answer<pb::AcknowledgeResultResponse> {
    let record = gateway.open(request.key).await?;
    let digest = Digest::try_from(request.sealed_digest.as_slice())
        .map_err(|error| Failure::invalid_field("sealed_digest", error.to_string()))?;
    if sealed_digest(&record)? != digest {
        return Err(JobError::OtherDigest.into());
    }
    let changed = gateway.jobs.apply(record.job_id, Input::Acknowledged, None, Facts::default()).await?;
    gateway.signals.drive();
    Ok(pb::AcknowledgeResultResponse { job: Some(convert::job(&changed.record)) })
}

/// The digest of the stored ciphertext. It never changes once it is there, so what was compared is what is acknowledged.
fn sealed_digest(record: &JobRecord) -> Result<Digest, ChangeError> {
    record.sealed_digest.ok_or_else(|| match record.sealed_to {
        None => Refused::NotSealed.into(),
        Some(_) => Refused::NothingToAcknowledge(record.job.state).into(),
    })
}
