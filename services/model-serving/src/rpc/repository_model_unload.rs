//! `RepositoryModelUnload`. No model depends on another, so `unload_dependents` has no effect.

use ailayer_proto::inference::{RepositoryModelUnloadRequest, RepositoryModelUnloadResponse};
use tonic::Status;

use super::Rpc;
use super::repository_index::check_repository;

pub(super) async fn repository_model_unload(
    rpc: &Rpc,
    request: RepositoryModelUnloadRequest,
) -> Result<RepositoryModelUnloadResponse, Status> {
    check_repository(&request.repository_name)?;
    rpc.control().unload(request.model_name).await?;
    Ok(RepositoryModelUnloadResponse {})
}
