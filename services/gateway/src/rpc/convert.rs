//! Domain to protobuf.

use ailayer_platform::error::Failure;
use ailayer_primitives::{AmountMsat, RequestId};
use ailayer_proto::ailayer::gateway::v1 as pb;
use ailayer_receipt::answer::Row;
use ailayer_receipt::tensor::{Inference, Tensor, Tensors};
use uuid::Uuid;

use crate::domain::job::State;
use crate::domain::ledger::page::PageToken;
use crate::domain::order::{EmbedInput, JobInput, OrderError};
use crate::domain::release::ReleaseReason;
use crate::error::AccountError;
use crate::store::JobRecord;
use crate::store::history::JobEvent;

pub(super) const fn state(state: State) -> pb::JobState {
    match state {
        State::Quoted => pb::JobState::Quoted,
        State::Held => pb::JobState::Held,
        State::Running => pb::JobState::Running,
        State::Completed => pb::JobState::Completed,
        State::Taking => pb::JobState::Taking,
        State::Settled => pb::JobState::Settled,
        State::Lost => pb::JobState::Lost,
        State::Releasing => pb::JobState::Releasing,
        State::Failed => pb::JobState::Failed,
        State::Canceled => pb::JobState::Canceled,
        State::Expired => pb::JobState::Expired,
    }
}

pub(super) fn job(record: &JobRecord) -> pb::Job {
    pb::Job {
        job_id: record.job_id.to_string(),
        state: state(record.job.state) as i32,
        price_msat: record.job.price.msat(),
        release_reason: reason(record.job.release_reason),
        created_unix_ms: record.created_at.0,
        updated_unix_ms: record.updated_at.0,
        expiry_unix_s: record.expiry_s().0,
        attempts: record.job.attempt,
    }
}

/// Texts to embed.
pub(super) fn embed_input(embed: pb::EmbedTask) -> JobInput {
    JobInput::Embed(EmbedInput { texts: embed.texts, truncate: embed.truncate })
}

/// Tensors for a model, each of them whole.
pub(super) fn infer_input(infer: pb::InferTask) -> Result<JobInput, OrderError> {
    let tensors = infer.inputs.into_iter().map(|it| Tensor {
        name: it.name,
        datatype: it.datatype,
        shape: it.shape,
        contents: it.contents,
    });
    let inputs = Tensors::try_new(tensors.collect())?;
    Ok(JobInput::Infer(Inference { inputs, outputs: infer.outputs }))
}

/// Embeddings as they are sent.
pub(super) fn embed_result(rows: Vec<Row>) -> pb::EmbedResult {
    let embeddings = rows.into_iter().map(|row| pb::Embedding {
        values: row.values,
        input_tokens: row.input_tokens,
        truncated: row.truncated,
    });
    pb::EmbedResult { embeddings: embeddings.collect() }
}

/// Tensors as they are sent.
pub(super) fn infer_result(tensors: Tensors) -> pb::InferResult {
    let outputs = tensors.into_vec().into_iter().map(|it| pb::Tensor {
        name: it.name,
        datatype: it.datatype,
        shape: it.shape,
        contents: it.contents,
    });
    pb::InferResult { outputs: outputs.collect() }
}

/// The most items of a page where the caller names no number.
const DEFAULT_PAGE: u32 = 100;
/// The most a caller may ask for.
const MAX_PAGE: u32 = 1000;

/// The size of a page.
pub(super) fn page_size(asked: u32) -> Result<u32, Failure> {
    match asked {
        0 => Ok(DEFAULT_PAGE),
        1..=MAX_PAGE => Ok(asked),
        _ => Err(Failure::invalid_field("page_size", format!("must be 0 to {MAX_PAGE}"))),
    }
}

/// Where a list goes on; none for its first page.
pub(super) fn page_token(text: &str) -> Result<Option<PageToken>, AccountError> {
    if text.is_empty() { Ok(None) } else { Ok(Some(text.parse()?)) }
}

/// What page of a list is asked for.
pub(super) fn page(size: u32, token: &str) -> Result<(u32, Option<PageToken>), Failure> {
    Ok((page_size(size)?, page_token(token)?))
}

/// The token of the next page; empty at the end.
pub(super) fn next_page(next: Option<&PageToken>) -> String {
    next.map(ToString::to_string).unwrap_or_default()
}

/// A random UUID that makes a repeat known.
pub(super) fn request_id(text: &str) -> Result<RequestId, Failure> {
    let id: Option<RequestId> = text.parse().ok();
    let id = id.filter(|id| id.uuid().get_version_num() == 4);
    id.ok_or_else(|| Failure::invalid_field("request_id", "must be a random UUID (version 4)"))
}

/// A UUID of ours. One that is malformed names nothing: it is looked up as one that nobody has.
pub(super) fn id(text: &str) -> Uuid {
    Uuid::try_parse(text).unwrap_or(Uuid::max())
}

/// An amount of money above zero.
pub(super) fn amount(field: &str, msat: u64) -> Result<AmountMsat, Failure> {
    let amount = AmountMsat::try_new(msat).ok().filter(|amount| *amount > AmountMsat::ZERO);
    amount.ok_or_else(|| Failure::invalid_field(field, "must be more than 0 msat and at most all bitcoin"))
}

/// The job as it was after one of its changes.
pub(super) fn job_at(record: &JobRecord, event: &JobEvent) -> pb::Job {
    pb::Job {
        state: state(event.state) as i32,
        release_reason: reason(event.release_reason),
        updated_unix_ms: event.recorded_at.0,
        attempts: event.attempt,
        ..job(record)
    }
}

fn reason(reason: Option<ReleaseReason>) -> String {
    reason.map(|reason| reason.to_string()).unwrap_or_default()
}
