//! The audit log over gRPC.

use ailayer_client::audit::AuditClient;
use async_trait::async_trait;

use crate::ports::{LogError, PayoutLog};

#[async_trait]
impl PayoutLog for AuditClient {
    async fn append(&self, entry: &[u8]) -> Result<u64, LogError> {
        match AuditClient::append(self, entry).await {
            Ok(appended) => Ok(appended.leaf_index),
            Err(error) => Err(LogError(Box::new(error))),
        }
    }
}
