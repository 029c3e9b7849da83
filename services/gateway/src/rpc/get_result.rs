//! `GetResult`: the answer of a settled job, or the ciphertext of a sealed one, checked against its digest once more.

use ailayer_platform::blocking;
use ailayer_primitives::Digest;
use ailayer_proto::ailayer::gateway::v1 as pb;
use ailayer_receipt::answer::{Answer as JobAnswer, Output};

use super::{Answer, Gateway, convert};
use crate::domain::job::State;
use crate::error::JobError;
use crate::store::{JobRecord, jobs};

pub(super) async fn get_result(
    gateway: &Gateway,
    request: pb::GetResultRequest,
) -> Answer<pb::GetResultResponse> {
    let record = gateway.open(request.key).await?;
    if record.sealed_to.is_some() {
        return Ok(sealed(gateway, &record).await?);
    }
    if record.job.state != State::Settled {
        return Err(JobError::ResultNotReady(record.job.state).into());
    }
    let answer = stored_answer(gateway, &record).await?;
    let output_digest = answer.digest().to_vec();
    let result = match answer.into_output() {
        Output::Rows(rows) => pb::get_result_response::Result::Embed(convert::embed_result(rows)),
        Output::Tensors(tensors) => pb::get_result_response::Result::Infer(convert::infer_result(tensors)),
    };
    Ok(pb::GetResultResponse { output_digest, result: Some(result) })
}

/// The ciphertext of a sealed job, from the moment its receipt is in the log.
async fn sealed(gateway: &Gateway, record: &JobRecord) -> Result<pb::GetResultResponse, JobError> {
    let is_logged = record.leaf_index.is_some();
    let is_there =
        matches!(record.job.state, State::Completed | State::Taking | State::Settled | State::Lost);
    let digests = record.sealed_digest.zip(record.output_digest).filter(|_| is_logged && is_there);
    let (sealed_digest, output_digest) = digests.ok_or(JobError::ResultNotReady(record.job.state))?;
    let ciphertext = jobs::output(gateway.jobs.store().pool(), record.job_id).await?;
    let ciphertext = ciphertext.ok_or(JobError::ResultErased)?;
    let bytes = u64::try_from(ciphertext.len()).unwrap_or(u64::MAX);
    if blocking::on_bytes(bytes, || Digest::sha256(&ciphertext)) != sealed_digest {
        let what = "the stored ciphertext has another digest than its receipt".to_owned();
        return Err(JobError::Verification { job_id: record.job_id, what });
    }
    Ok(pb::GetResultResponse {
        output_digest: output_digest.to_vec(),
        result: Some(pb::get_result_response::Result::Sealed(ciphertext)),
    })
}

/// The stored answer of a settled job, whose digest must be the receipt's.
pub(super) async fn stored_answer(gateway: &Gateway, record: &JobRecord) -> Result<JobAnswer, JobError> {
    let stored = jobs::output(gateway.jobs.store().pool(), record.job_id).await?;
    let stored = stored.ok_or(JobError::ResultErased)?;
    let damaged = |what: String| JobError::Verification { job_id: record.job_id, what };
    let bytes = u64::try_from(stored.len()).unwrap_or(u64::MAX);
    let read = blocking::on_bytes(bytes, || JobAnswer::from_bytes(&stored));
    let answer = read.map_err(|error| damaged(error.to_string()))?;
    if Some(answer.digest()) != record.output_digest {
        return Err(damaged("the stored answer has another digest than its receipt".to_owned()));
    }
    Ok(answer)
}
