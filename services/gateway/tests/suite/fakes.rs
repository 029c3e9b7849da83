//! Stand-ins for the services behind the ports. They keep the real services' rules; tests bend them where it hurts.

pub mod audit;
pub mod payments;
pub mod serving;

use ailayer_client::CallError;
use ailayer_platform::error::{ErrorReason, Failure};

pub fn refusal(service: &'static str, reason: ErrorReason) -> CallError {
    CallError::Status { service, status: Box::new(Failure::new(reason, "as the test wants it").into()) }
}
