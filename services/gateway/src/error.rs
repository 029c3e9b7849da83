//! The service's errors as the callers see them.

use ailayer_client::{CallError, ErrorReason};
use ailayer_platform::error::Failure;
use ailayer_primitives::JobId;
use thiserror::Error;

use crate::domain::job::{Refused, State};
use crate::domain::order::OrderError;
use crate::jobs::ChangeError;
use crate::quotes::QuoteError;

/// Why a call about an existing job fails.
#[derive(Debug, Error)]
pub enum JobError {
    /// No job has that id and token.
    #[error("no job has that id and token")]
    NotFound,
    /// The answer is not there yet, or never will be.
    #[error("the job is {0}: there is no result")]
    ResultNotReady(State),
    /// The receipt does not exist yet, or never will.
    #[error("the job is {0}: there is no receipt")]
    ReceiptNotReady(State),
    /// The answer was erased.
    #[error("the result's retention has ended and it was erased")]
    ResultErased,
    /// Too many buyers watch their jobs.
    #[error("too many jobs are watched at once; ask for the job instead")]
    TooManyWatchers,
    /// What is stored does not verify.
    #[error("job {job_id}: {what}")]
    Verification {
        /// Which job.
        job_id: JobId,
        /// What does not verify.
        what: String,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] ailayer_store::StoreError),
}

impl From<JobError> for Failure {
    fn from(error: JobError) -> Self {
        let message = error.to_string();
        match error {
            JobError::NotFound => Self::new(ErrorReason::JobNotFound, message),
            JobError::ResultNotReady(state) | JobError::ReceiptNotReady(state) => {
                Self::new(ErrorReason::ResultNotReady, message).with_metadata("state", state.as_str())
            }
            JobError::ResultErased => Self::new(ErrorReason::ResultErased, message),
            JobError::TooManyWatchers => Self::new(ErrorReason::Overloaded, message),
            JobError::Verification { .. } => {
                Self::new(ErrorReason::VerificationFailed, "what is stored about this job does not verify")
                    .with_source(error)
            }
            JobError::Store(error) => error.into(),
        }
    }
}

impl From<QuoteError> for Failure {
    fn from(error: QuoteError) -> Self {
        let message = error.to_string();
        match error {
            QuoteError::Order(error) => order_failure(&error),
            QuoteError::RequestIdReused => Self::field(ErrorReason::RequestIdReused, "request_id", message),
            QuoteError::NotForSale(_) => Self::field(ErrorReason::ModelNotFound, "model_name", message),
            QuoteError::TooManyOpen => Self::new(ErrorReason::TooManyOpen, message),
            QuoteError::NotSynced => Self::new(ErrorReason::NotSynced, message),
            QuoteError::Ended => Self::new(ErrorReason::QuoteExpired, message),
            QuoteError::Price(_) => Self::new(ErrorReason::InputTooLarge, message),
            QuoteError::Serving(error) => call_failure("model-serving", error),
            QuoteError::Payment(error) => call_failure("payment", error),
            QuoteError::Store(error) => error.into(),
            QuoteError::Invoice(_)
            | QuoteError::Envelope(_)
            | QuoteError::Digest(_)
            | QuoteError::Encode(_) => Self::internal(error),
        }
    }
}

impl From<ChangeError> for Failure {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Unknown(_) => JobError::NotFound.into(),
            ChangeError::Refused(refused @ Refused::TooLateToCancel(state)) => {
                Self::new(ErrorReason::InvalidState, refused.to_string())
                    .with_metadata("state", state.as_str())
            }
            ChangeError::Store(error) => error.into(),
            error => Self::internal(error),
        }
    }
}

fn order_failure(error: &OrderError) -> Failure {
    let message = error.to_string();
    let (reason, field) = match error {
        OrderError::RequestId => (ErrorReason::InvalidField, "request_id"),
        OrderError::Name(field) => (ErrorReason::InvalidField, *field),
        OrderError::WrongNetwork(_) => (ErrorReason::WrongNetwork, "network"),
        OrderError::NoTexts | OrderError::EmptyText(_) => (ErrorReason::InputEmpty, "embed.texts"),
        OrderError::TooManyTexts { .. }
        | OrderError::TextTooLong { .. }
        | OrderError::InputTooLong { .. } => (ErrorReason::InputTooLarge, "embed.texts"),
    };
    Failure::field(reason, field, message)
}

/// Passes on what the caller can do something about; anything else of a dependency is our affair.
pub(crate) fn call_failure(dependency: &'static str, error: CallError) -> Failure {
    use ErrorReason as R;
    match error.reason() {
        Some(
            reason @ (R::ModelNotFound
            | R::ModelNotReady
            | R::InputEmpty
            | R::InputTooLarge
            | R::Overloaded
            | R::TooManyOpen
            | R::NotSynced
            | R::NotOffered),
        ) => {
            let message = match &error {
                CallError::Status { status, .. } => status.message().to_owned(),
                CallError::Malformed { .. } => error.to_string(),
            };
            let failure = Failure::new(reason, message);
            match error.retry_after() {
                Some(delay) => failure.with_retry_after(delay),
                None => failure,
            }
        }
        _ if error.is_transient() => Failure::unavailable(dependency, error),
        _ => Failure::internal(error),
    }
}
