//! How a call fails.

use std::time::Duration;

use ailayer_platform::client::is_transient;
use ailayer_platform::error::{ErrorReason, reason_of, retry_after, violated_field};
use thiserror::Error;
use tonic::{Code, Status};

/// A call that did not bring a usable answer.
#[derive(Debug, Error)]
pub enum CallError {
    /// The service refused the call or could not be reached.
    #[error("{service}: {}", describe(.status))]
    Status {
        /// The service that was called.
        service: &'static str,
        /// What came back, from the service or from the way to it.
        #[source]
        status: Box<Status>,
    },
    /// The service answered something its contract does not allow.
    #[error("{service} answered {what}")]
    Malformed {
        /// The service that was called.
        service: &'static str,
        /// What is wrong with the answer.
        what: String,
    },
}

fn describe(status: &Status) -> String {
    match reason_of(status) {
        Some(_) => status.message().to_owned(),
        // Not one of our services' own words: the transport speaks.
        None => format!("{:?}: {}", status.code(), status.message()),
    }
}

impl CallError {
    pub(crate) fn malformed(service: &'static str, what: impl Into<String>) -> Self {
        Self::Malformed { service, what: what.into() }
    }

    /// The stable reason, if the service gave one.
    pub fn reason(&self) -> Option<ErrorReason> {
        match self {
            Self::Status { status, .. } => reason_of(status),
            Self::Malformed { .. } => None,
        }
    }

    /// The canonical gRPC code.
    pub fn code(&self) -> Code {
        match self {
            Self::Status { status, .. } => status.code(),
            Self::Malformed { .. } => Code::DataLoss,
        }
    }

    /// True if the same call may succeed a little later. The service may have acted nevertheless.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Status { status, .. } => is_transient(status),
            Self::Malformed { .. } => false,
        }
    }

    /// When the service wants to be asked again, if it said so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { status, .. } => retry_after(status),
            Self::Malformed { .. } => None,
        }
    }

    /// The request's field that the service refused, if it named one.
    pub fn field(&self) -> Option<String> {
        match self {
            Self::Status { status, .. } => violated_field(status),
            Self::Malformed { .. } => None,
        }
    }
}

/// For `map_err`: a status of this service.
pub(crate) fn refused(service: &'static str) -> impl Fn(Status) -> CallError {
    move |status| CallError::Status { service, status: Box::new(status) }
}

#[cfg(test)]
mod tests {
    use ailayer_platform::error::Failure;

    use super::*;

    #[test]
    fn reasons_and_fields_arrive() {
        let status = Status::from(Failure::field(ErrorReason::InputEmpty, "texts", "no texts"));
        let error = refused("gateway")(status);
        assert_eq!(error.reason(), Some(ErrorReason::InputEmpty));
        assert_eq!(error.field().as_deref(), Some("texts"));
        assert_eq!(error.to_string(), "gateway: no texts");
        assert!(!error.is_transient());
    }

    #[test]
    fn a_dead_service_is_transient() {
        let error = refused("audit")(Status::unavailable("tcp connect error"));
        assert!(error.is_transient());
        assert_eq!(error.reason(), None);
        assert_eq!(error.to_string(), "audit: Unavailable: tcp connect error");
    }
}
