//! `RepositoryIndex`.

use ailayer_platform::error::{ErrorReason, Failure};
use ailayer_proto::inference::repository_index_response::ModelIndex;
use ailayer_proto::inference::{RepositoryIndexRequest, RepositoryIndexResponse};
use tonic::Status;

use super::Rpc;
use crate::domain::control::{IndexEntry, ModelState};

pub(super) fn repository_index(
    rpc: &Rpc,
    request: RepositoryIndexRequest,
) -> Result<RepositoryIndexResponse, Status> {
    check_repository(&request.repository_name)?;
    let models = rpc.control().index(request.ready).into_iter().map(to_proto).collect();
    Ok(RepositoryIndexResponse { models })
}

/// There is one repository and it has no name; Triton refuses names with the same words.
pub(super) fn check_repository(name: &str) -> Result<(), Failure> {
    if name.is_empty() {
        return Ok(());
    }
    Err(Failure::new(ErrorReason::NotOffered, "'repository_name' specification is not supported"))
}

fn to_proto(entry: IndexEntry) -> ModelIndex {
    let IndexEntry { name, version, state, reason } = entry;
    ModelIndex { name, version, state: word(state, &reason).to_owned(), reason }
}

/// Triton's word; what was never loaded has none, and what was unloaded is UNAVAILABLE because it was.
const fn word(state: ModelState, reason: &str) -> &'static str {
    match state {
        ModelState::Unloaded if reason.is_empty() => "",
        ModelState::Unloaded => "UNAVAILABLE",
        ModelState::Loading => "LOADING",
        ModelState::Ready => "READY",
        ModelState::Unavailable => "UNAVAILABLE",
        ModelState::Unloading => "UNLOADING",
    }
}
