//! `GetResult`: the answer of a settled job, checked against its digest once more.

use ailayer_primitives::Digest;
use ailayer_proto::ailayer::gateway::v1 as pb;

use super::{Answer, Gateway};
use crate::domain::answer::Answer as JobAnswer;
use crate::domain::job::State;
use crate::error::JobError;
use crate::store::{JobRecord, jobs};

pub(super) async fn get_result(
    gateway: &Gateway,
    request: pb::GetResultRequest,
) -> Answer<pb::GetResultResponse> {
    let record = gateway.open(request.key).await?;
    if record.job.state != State::Settled {
        return Err(JobError::ResultNotReady(record.job.state).into());
    }
    let (embed, output_digest) = stored_answer(gateway, &record).await?;
    Ok(pb::GetResultResponse {
        output_digest: output_digest.to_vec(),
        result: Some(pb::get_result_response::Result::Embed(embed)),
    })
}

/// The stored answer of a settled job with its digest, which must be the receipt's.
pub(super) async fn stored_answer(
    gateway: &Gateway,
    record: &JobRecord,
) -> Result<(pb::EmbedResult, Digest), JobError> {
    let stored = jobs::output(gateway.jobs.store().pool(), record.job_id).await?;
    let stored = stored.ok_or(JobError::ResultErased)?;
    let damaged = |what: String| JobError::Verification { job_id: record.job_id, what };
    let answer = JobAnswer::from_bytes(&stored).map_err(|error| damaged(error.to_string()))?;
    if Some(answer.digest()) != record.output_digest {
        return Err(damaged("the stored answer has another digest than its receipt".to_owned()));
    }
    Ok((embed_result(&answer), answer.digest()))
}

/// An answer as it is sent.
pub(super) fn embed_result(answer: &JobAnswer) -> pb::EmbedResult {
    let embeddings = answer.rows().iter().map(|row| pb::Embedding {
        values: row.values.clone(),
        input_tokens: row.input_tokens,
        truncated: row.truncated,
    });
    pb::EmbedResult { embeddings: embeddings.collect() }
}
