//! The single table from error class to `google.rpc.Status`.
//!
//! A [`Failure`] has two audiences: a safe sentence with a stable reason for the caller, and the
//! cause, which is logged once, here, with the trace it belongs to. Every status carries exactly
//! one `ErrorInfo` (AIP-193) with `domain = "ailayer"`.

use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;

use thiserror::Error;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

pub use ailayer_proto::ailayer::common::v1::ErrorReason;

/// The `domain` of every `ErrorInfo`.
pub const DOMAIN: &str = "ailayer";
/// The prefix that reasons drop on the wire.
const PREFIX: &str = "ERROR_REASON_";
/// How long a caller waits before it tries again, where nothing better is known.
const DEFAULT_RETRY: Duration = Duration::from_secs(1);

type Cause = Box<dyn Error + Send + Sync>;

/// A failed call, ready to be told to the caller. One pointer large, since every call may return it.
#[derive(Debug, Error)]
#[error(transparent)]
pub struct Failure(Box<Details>);

#[derive(Debug, Error)]
#[error("{message}")]
struct Details {
    reason: ErrorReason,
    message: String,
    violated_field: Option<String>,
    retry_after: Option<Duration>,
    metadata: HashMap<String, String>,
    #[source]
    cause: Option<Cause>,
}

impl Failure {
    /// A failure with a sentence that is safe to show: it names no secret and no inner part.
    pub fn new(reason: ErrorReason, message: impl Into<String>) -> Self {
        Self(Box::new(Details {
            reason,
            message: message.into(),
            violated_field: None,
            retry_after: default_retry(reason),
            metadata: HashMap::new(),
            cause: None,
        }))
    }

    /// A failure that one field of the request caused.
    pub fn field(reason: ErrorReason, field: &str, message: impl Into<String>) -> Self {
        let mut failure = Self::new(reason, message);
        failure.0.violated_field = Some(field.to_owned());
        failure
    }

    /// INVALID_FIELD for one field of the request.
    pub fn invalid_field(field: &str, message: impl Into<String>) -> Self {
        Self::field(ErrorReason::InvalidField, field, message)
    }

    /// A fault of ours. The caller learns nothing but that.
    pub fn internal(cause: impl Into<Cause>) -> Self {
        Self::new(ErrorReason::Internal, "internal error").with_source(cause)
    }

    /// A service that this one needs does not answer.
    pub fn unavailable(dependency: &str, cause: impl Into<Cause>) -> Self {
        Self::new(ErrorReason::DependencyUnavailable, format!("{dependency} does not answer"))
            .with_metadata("dependency", dependency)
            .with_source(cause)
    }

    /// Keeps the cause for the log.
    #[must_use]
    pub fn with_source(mut self, cause: impl Into<Cause>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn with_retry_after(mut self, delay: Duration) -> Self {
        self.0.retry_after = Some(delay);
        self
    }

    /// Adds a machine-readable detail to the `ErrorInfo`.
    #[must_use]
    pub fn with_metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.metadata.insert(key.into(), value.into());
        self
    }

    /// The stable reason.
    pub fn reason(&self) -> ErrorReason {
        self.0.reason
    }

    /// The canonical code that goes with the reason.
    pub fn code(&self) -> Code {
        code(self.0.reason)
    }

    fn log(&self) {
        let Details { reason, message, cause, .. } = self.0.as_ref();
        let reason = reason.as_str_name();
        let cause = cause.as_ref().map(|cause| crate::tasks::chain(cause.as_ref()));
        match self.code() {
            Code::Internal | Code::DataLoss | Code::Unknown => {
                tracing::error!(reason, %message, cause, "call failed");
            }
            Code::Unavailable => tracing::warn!(reason, %message, cause, "call failed"),
            _ => tracing::debug!(reason, %message, cause, "call refused"),
        }
    }
}

/// The table. Every reason has one code; the comment of the reason in `errors.proto` says the same.
const fn code(reason: ErrorReason) -> Code {
    use ErrorReason as R;
    match reason {
        R::InvalidField
        | R::InputTooLarge
        | R::InputEmpty
        | R::ShapeMismatch
        | R::DatatypeMismatch
        | R::ContentMismatch
        | R::InvalidCursor
        | R::WrongNetwork => Code::InvalidArgument,
        R::RequestIdReused => Code::AlreadyExists,
        R::ModelNotFound
        | R::JobNotFound
        | R::InvoiceNotFound
        | R::TransactionNotFound
        | R::EntryNotFound
        | R::BlockNotFound
        | R::PaymentNotFound
        | R::ResultErased
        | R::AccountNotFound
        | R::KeyNotFound
        | R::DepositNotFound => Code::NotFound,
        R::InvalidState
        | R::QuoteExpired
        | R::InsufficientFunds
        | R::DeadlineTooClose
        | R::ResultNotReady
        | R::MainnetNotAllowed
        | R::PaymentFailed
        | R::BroadcastRejected
        | R::ModelNotLoadable
        | R::AccountFrozen
        | R::PriceTooHigh => Code::FailedPrecondition,
        R::Overloaded | R::TooManyOpen | R::MessageTooLarge | R::MemoryBudget | R::KeyLimitReached => {
            Code::ResourceExhausted
        }
        R::KeyInvalid => Code::Unauthenticated,
        R::NotAllowed => Code::PermissionDenied,
        R::DependencyUnavailable
        | R::NotSynced
        | R::ShuttingDown
        | R::StorageUnavailable
        | R::ModelNotReady
        | R::Paused
        | R::NoInboundCapacity => Code::Unavailable,
        R::DeadlineExceeded => Code::DeadlineExceeded,
        R::VerificationFailed => Code::DataLoss,
        R::NotOffered => Code::Unimplemented,
        R::Unspecified | R::ModelFailed | R::Internal => Code::Internal,
    }
}

/// Only failures that time may mend carry a `RetryInfo`.
const fn default_retry(reason: ErrorReason) -> Option<Duration> {
    match reason {
        ErrorReason::MessageTooLarge | ErrorReason::MemoryBudget => None,
        _ => match code(reason) {
            Code::ResourceExhausted | Code::Unavailable => Some(DEFAULT_RETRY),
            _ => None,
        },
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        failure.log();
        let Details { reason, message, violated_field, retry_after, metadata, .. } = *failure.0;
        let name = reason.as_str_name();
        let mut details =
            ErrorDetails::with_error_info(name.strip_prefix(PREFIX).unwrap_or(name), DOMAIN, metadata);
        if let Some(field) = violated_field {
            details.add_bad_request_violation(field, message.clone());
        }
        if retry_after.is_some() {
            details.set_retry_info(retry_after);
        }
        Self::with_error_details(code(reason), message, details)
    }
}

/// The reason a service of ours gave, if the status carries one.
pub fn reason_of(status: &Status) -> Option<ErrorReason> {
    let info = status.get_details_error_info()?;
    if info.domain != DOMAIN {
        return None;
    }
    ErrorReason::from_str_name(&format!("{PREFIX}{}", info.reason))
}

/// When the service wants to be asked again, if it said so.
pub fn retry_after(status: &Status) -> Option<Duration> {
    status.get_details_retry_info()?.retry_delay
}

/// The field of the request that the service refused, if it named one.
pub fn violated_field(status: &Status) -> Option<String> {
    let violations = status.get_details_bad_request()?.field_violations;
    violations.into_iter().next().map(|violation| violation.field)
}

#[cfg(test)]
mod tests;
