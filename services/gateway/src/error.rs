//! The service's errors as the callers see them.

use std::time::Duration;

use ailayer_client::{CallError, ErrorReason};
use ailayer_platform::error::Failure;
use ailayer_primitives::JobId;
use ailayer_receipt::tensor::{Misfit, TensorError};
use thiserror::Error;

use crate::deposits::DepositError;
use crate::domain::job::{Refused, State};
use crate::domain::ledger::page::InvalidPageToken;
use crate::domain::order::OrderError;
use crate::jobs::ChangeError;
use crate::places::Full;
use crate::prepaid::PrepaidError;
use crate::quotes::QuoteError;
use crate::store::ledger::accounts::ListError;
use crate::tasks::write_ledger::SubmitError;

/// When to come back for what frees itself as jobs end.
const OVERLOAD_RETRY: Duration = Duration::from_secs(1);
/// When to come back for what frees itself as invoices are paid or end.
const OPEN_RETRY: Duration = Duration::from_secs(30);

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
    /// Another digest than the receipt's was acknowledged.
    #[error("the receipt commits to another ciphertext")]
    OtherDigest,
    /// There is no place for another stream.
    #[error(transparent)]
    TooManyStreams(Full),
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
            JobError::OtherDigest => Self::field(ErrorReason::DigestMismatch, "sealed_digest", message),
            JobError::TooManyStreams(Full::All) => Self::new(ErrorReason::Overloaded, message),
            JobError::TooManyStreams(Full::Share) => Self::new(ErrorReason::TooManyOpen, message),
            JobError::Verification { .. } => {
                Self::new(ErrorReason::VerificationFailed, "what is stored about this job does not verify")
                    .with_source(error)
            }
            JobError::Store(error) => error.into(),
        }
    }
}

/// Why a call about an account fails.
#[derive(Debug, Error)]
pub enum AccountError {
    /// No account has that id, or it is another one's.
    #[error("there is no such account")]
    NoAccount,
    /// No key has that id.
    #[error("there is no such key")]
    NoKey,
    /// No deposit has that id, or it is another one's.
    #[error("there is no such deposit")]
    NoDeposit,
    /// Nothing has that id.
    #[error("there is no {0} of that id")]
    Nothing(&'static str),
    /// The id was used with another body.
    #[error("this request_id was used before")]
    RequestIdReused,
    /// Who proposed a correction must not approve it.
    #[error("another operator has to approve it")]
    SameOperator,
    /// The ledger refuses.
    #[error("the ledger refuses: {0}")]
    Refused(crate::domain::ledger::Refusal),
    /// A correction of what was lost with channels, beyond what there is.
    #[error("no more can be lost than was taken, and no more come back than was lost")]
    BeyondWhatWasTaken,
    /// The ledger did not answer.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// The request makes no operation.
    #[error(transparent)]
    Operation(#[from] crate::domain::ledger::OperationError),
    /// The amounts are none.
    #[error(transparent)]
    Sale(#[from] crate::domain::ledger::sale::SaleError),
    /// A page token of another list.
    #[error(transparent)]
    PageToken(#[from] InvalidPageToken),
    /// The system has no randomness.
    #[error("no random bytes")]
    Random,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] ailayer_store::StoreError),
}

impl From<ListError> for AccountError {
    fn from(error: ListError) -> Self {
        match error {
            ListError::PageToken(error) => Self::PageToken(error),
            ListError::Store(error) => Self::Store(error),
        }
    }
}

impl From<ListError> for Failure {
    fn from(error: ListError) -> Self {
        AccountError::from(error).into()
    }
}

impl From<AccountError> for Failure {
    fn from(error: AccountError) -> Self {
        use crate::domain::ledger::Refusal;
        let message = error.to_string();
        match error {
            AccountError::NoAccount | AccountError::Refused(Refusal::UnknownAccount) => {
                Self::new(ErrorReason::AccountNotFound, message)
            }
            AccountError::NoKey => Self::new(ErrorReason::KeyNotFound, message),
            AccountError::NoDeposit => Self::new(ErrorReason::DepositNotFound, message),
            AccountError::Nothing(_) => Self::new(ErrorReason::EntryNotFound, message),
            AccountError::RequestIdReused | AccountError::Refused(Refusal::RequestIdReused) => {
                Self::field(ErrorReason::RequestIdReused, "request_id", message)
            }
            AccountError::SameOperator => Self::new(ErrorReason::NotAllowed, message),
            AccountError::Refused(Refusal::InsufficientFunds) | AccountError::BeyondWhatWasTaken => {
                Self::new(ErrorReason::InsufficientFunds, message)
            }
            AccountError::Refused(Refusal::Frozen) => Self::new(ErrorReason::AccountFrozen, message),
            AccountError::Refused(_) => Self::new(ErrorReason::InvalidState, message),
            AccountError::Submit(error) => submit_failure(error),
            AccountError::PageToken(_) => Self::field(ErrorReason::InvalidCursor, "page_token", message),
            AccountError::Store(error) => error.into(),
            AccountError::Operation(_) | AccountError::Sale(_) | AccountError::Random => {
                Self::internal(error)
            }
        }
    }
}

/// A ledger that did not answer: the same request may be sent again.
fn submit_failure(error: SubmitError) -> Failure {
    let message = error.to_string();
    match error {
        SubmitError::Overloaded => {
            Failure::new(ErrorReason::Overloaded, message).with_retry_after(OVERLOAD_RETRY)
        }
        SubmitError::ShuttingDown => Failure::new(ErrorReason::ShuttingDown, message),
        SubmitError::Failed(_) | SubmitError::Unknown(_) => {
            Failure::new(ErrorReason::StorageUnavailable, message).with_source(error)
        }
    }
}

impl From<PrepaidError> for Failure {
    fn from(error: PrepaidError) -> Self {
        let message = error.to_string();
        match error {
            PrepaidError::Order(error) => error.into(),
            PrepaidError::RequestIdReused => Self::field(ErrorReason::RequestIdReused, "request_id", message),
            PrepaidError::NotForSale(_) | PrepaidError::NotLoaded(_) => {
                Self::field(ErrorReason::ModelNotFound, "model_name", message)
            }
            PrepaidError::Price(_) => Self::new(ErrorReason::InputTooLarge, message),
            PrepaidError::TooExpensive { .. } => {
                Self::field(ErrorReason::PriceTooHigh, "max_price_msat", message)
            }
            PrepaidError::InsufficientFunds(_) => Self::new(ErrorReason::InsufficientFunds, message),
            PrepaidError::Frozen => Self::new(ErrorReason::AccountFrozen, message),
            PrepaidError::SpendLimit | PrepaidError::AccountSpendLimit => {
                Self::new(ErrorReason::KeyLimitReached, message)
            }
            PrepaidError::Access(error) => error.into(),
            PrepaidError::Admission(error) => error.into(),
            PrepaidError::Brake(error) => error.into(),
            PrepaidError::Serving(error) => call_failure("model-serving", error),
            PrepaidError::Submit(error) => submit_failure(error),
            PrepaidError::Store(error) => error.into(),
            PrepaidError::Refused(_)
            | PrepaidError::Sale(_)
            | PrepaidError::Envelope(_)
            | PrepaidError::Digest(_)
            | PrepaidError::Encode(_) => Self::internal(error),
        }
    }
}

impl From<DepositError> for Failure {
    fn from(error: DepositError) -> Self {
        let message = error.to_string();
        match error {
            DepositError::RequestIdReused => Self::field(ErrorReason::RequestIdReused, "request_id", message),
            DepositError::TooManyOpen => {
                Self::new(ErrorReason::TooManyOpen, message).with_retry_after(OPEN_RETRY)
            }
            DepositError::Ended => Self::new(ErrorReason::QuoteExpired, message),
            DepositError::NotSynced => Self::new(ErrorReason::NotSynced, message),
            DepositError::Brake(error) => error.into(),
            DepositError::Payment(error) => call_failure("payment", error),
            DepositError::Store(error) => error.into(),
            DepositError::Invoice(_) => Self::internal(error),
        }
    }
}

impl From<QuoteError> for Failure {
    fn from(error: QuoteError) -> Self {
        let message = error.to_string();
        match error {
            QuoteError::Order(error) => error.into(),
            QuoteError::RequestIdReused => Self::field(ErrorReason::RequestIdReused, "request_id", message),
            QuoteError::NotForSale(_) | QuoteError::NotLoaded(_) => {
                Self::field(ErrorReason::ModelNotFound, "model_name", message)
            }
            QuoteError::Admission(error) => error.into(),
            QuoteError::NotSynced => Self::new(ErrorReason::NotSynced, message),
            QuoteError::Ended => Self::new(ErrorReason::QuoteExpired, message),
            QuoteError::Price(_) => Self::new(ErrorReason::InputTooLarge, message),
            QuoteError::Serving(error) => call_failure("model-serving", error),
            QuoteError::Payment(error) => call_failure("payment", error),
            QuoteError::Brake(error) => error.into(),
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
            ChangeError::Refused(refused @ Refused::NothingToAcknowledge(state)) => {
                Self::new(ErrorReason::ResultNotReady, refused.to_string())
                    .with_metadata("state", state.as_str())
            }
            ChangeError::Refused(refused @ Refused::NotSealed) => {
                Self::new(ErrorReason::InvalidState, refused.to_string())
            }
            ChangeError::Refused(
                refused @ (Refused::TooLateToCancel(state) | Refused::TooLateToAcknowledge(state)),
            ) => Self::new(ErrorReason::InvalidState, refused.to_string())
                .with_metadata("state", state.as_str()),
            ChangeError::Store(error) => error.into(),
            error => Self::internal(error),
        }
    }
}

const fn tensor_reason(error: &TensorError) -> ErrorReason {
    match error {
        TensorError::None => ErrorReason::InputEmpty,
        TensorError::TooMany => ErrorReason::InputTooLarge,
        TensorError::Datatype(_) => ErrorReason::DatatypeMismatch,
        TensorError::Shape(_) => ErrorReason::ShapeMismatch,
        TensorError::Contents { .. } | TensorError::Elements(_) => ErrorReason::ContentMismatch,
        TensorError::Name(_) | TensorError::Twice(_) | TensorError::Malformed => ErrorReason::InvalidField,
    }
}

const fn misfit(error: &Misfit) -> (ErrorReason, &'static str) {
    match error {
        Misfit::NoInput(_) | Misfit::Missing(_) => (ErrorReason::InvalidField, "infer.inputs"),
        Misfit::Datatype { .. } => (ErrorReason::DatatypeMismatch, "infer.inputs"),
        Misfit::Shape { .. } => (ErrorReason::ShapeMismatch, "infer.inputs"),
        Misfit::NoOutput(_) => (ErrorReason::InvalidField, "infer.outputs"),
    }
}

impl From<OrderError> for Failure {
    fn from(error: OrderError) -> Self {
        let (reason, field) = match &error {
            OrderError::RequestId => (ErrorReason::InvalidField, "request_id"),
            OrderError::Name(field) => (ErrorReason::InvalidField, *field),
            OrderError::WrongNetwork(_) => (ErrorReason::WrongNetwork, "network"),
            OrderError::NoTexts | OrderError::EmptyText(_) => (ErrorReason::InputEmpty, "embed.texts"),
            OrderError::TooManyTexts { .. }
            | OrderError::TextTooLong { .. }
            | OrderError::InputTooLong { .. } => (ErrorReason::InputTooLarge, "embed.texts"),
            OrderError::TooManyTensors { field, .. } => (ErrorReason::InputTooLarge, *field),
            OrderError::TensorsTooLong { .. } => (ErrorReason::InputTooLarge, "infer.inputs"),
            OrderError::EmptyTensor(_) => (ErrorReason::ShapeMismatch, "infer.inputs"),
            OrderError::NotDescribed => (ErrorReason::ModelNotReady, "model_name"),
            OrderError::Tensor(error) => (tensor_reason(error), "infer.inputs"),
            OrderError::Misfit(error) => misfit(error),
            OrderError::WrongTask(_) => (ErrorReason::InvalidField, "task"),
        };
        Self::field(reason, field, error.to_string())
    }
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
