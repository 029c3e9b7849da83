//! Why a call fails, and what the caller is told.

use std::time::Duration;

use ailayer_platform::error::{ErrorReason, Failure};
use ailayer_store::StoreError;
use thiserror::Error;

use crate::domain::hold_invoice::Refused;
use crate::domain::outgoing::InvoiceRefused;
use crate::domain::payout::PayoutRefused;
use crate::ports::{LogError, NodeError};

/// How long to wait before asking an unsynced node again.
const SYNC_RETRY: Duration = Duration::from_secs(5);
/// How long to wait for open invoices to be paid or to expire.
const OPEN_RETRY: Duration = Duration::from_secs(10);

/// Why the service did not do what it was asked.
#[derive(Debug, Error)]
pub enum ServiceError {
    /// The hold invoice's state does not allow it.
    #[error("the hold invoice does not allow it")]
    Hold(#[from] Refused),
    /// The id names something else.
    #[error("the id was used before with another body")]
    IdReused,
    /// No such hold invoice.
    #[error("no hold invoice has that name")]
    InvoiceNotFound,
    /// No such outgoing payment.
    #[error("no payment has that hash")]
    PaymentNotFound,
    /// The node's view of the chain is too old to lock money by.
    #[error("the lightning node is not in sync: {0}")]
    NotSynced(&'static str),
    /// The limits on open invoices and accepted holds.
    #[error("too many hold invoices are open")]
    TooManyOpen,
    /// The operator switched it off.
    #[error("{0} are switched off")]
    SwitchedOff(&'static str),
    /// The operator's bounds on what leaves.
    #[error(transparent)]
    Payout(#[from] PayoutRefused),
    /// The audit log did not take what is about to leave.
    #[error("nothing leaves before the audit log has it")]
    NotLogged(#[source] LogError),
    /// The invoice to pay is not acceptable.
    #[error("the invoice is not acceptable")]
    Invoice(#[from] InvoiceRefused),
    /// The hourly payout limit.
    #[error("the payout limit of the last hour is reached")]
    VelocityExceeded,
    /// The row was moved by others again and again.
    #[error("the row is contended")]
    Contended,
    /// Money and events came without a pause.
    #[error("there was no moment at which nothing moved; try again when less is going on")]
    NeverQuiet,
    /// What is to be accepted is not what is found, millisatoshi.
    #[error("the residue is {0} msat now")]
    OtherResidue(i128),
    /// What the channels hold more than the rows explain, millisatoshi.
    #[error(
        "payouts are halted: the node's channels hold {0} msat more than the rows say, or channels unknown to them; reconcile first"
    )]
    FundsDiffer(i128),
    /// The node did not do it.
    #[error("the node did not do it")]
    Node(#[from] NodeError),
    /// The rows could not be read or written.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

impl ServiceError {
    /// True when trying again cannot help: rows that cannot be understood, or another process that writes them.
    pub const fn is_fatal(&self) -> bool {
        matches!(self, Self::Store(error) if !error.is_transient())
    }
}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::Hold(refused) => refused_hold(refused),
            ServiceError::IdReused => Self::new(ErrorReason::RequestIdReused, error.to_string()),
            ServiceError::InvoiceNotFound => Self::new(ErrorReason::InvoiceNotFound, error.to_string()),
            ServiceError::PaymentNotFound => Self::new(ErrorReason::PaymentNotFound, error.to_string()),
            ServiceError::NotSynced(_) => {
                Self::new(ErrorReason::NotSynced, error.to_string()).with_retry_after(SYNC_RETRY)
            }
            ServiceError::OtherResidue(_) => Self::invalid_field("residue_msat", error.to_string()),
            ServiceError::NeverQuiet => {
                Self::new(ErrorReason::NotSynced, error.to_string()).with_retry_after(SYNC_RETRY)
            }
            ServiceError::TooManyOpen => {
                Self::new(ErrorReason::TooManyOpen, error.to_string()).with_retry_after(OPEN_RETRY)
            }
            ServiceError::SwitchedOff(_) | ServiceError::FundsDiffer(_) => {
                Self::new(ErrorReason::NotOffered, error.to_string())
            }
            ServiceError::Invoice(refused) => refused_invoice(&refused),
            ServiceError::Payout(refused) => refused_payout(&refused),
            ServiceError::NotLogged(error) => Self::unavailable("audit log", error),
            ServiceError::VelocityExceeded => Self::new(ErrorReason::Overloaded, error.to_string())
                .with_retry_after(Duration::from_secs(3600)),
            ServiceError::Contended => Self::new(ErrorReason::Overloaded, error.to_string()),
            ServiceError::Node(failed) => failed_node(failed),
            ServiceError::Store(failed) => failed.into(),
        }
    }
}

fn refused_hold(refused: Refused) -> Failure {
    let reason = match refused {
        Refused::InvalidState(_) => ErrorReason::InvalidState,
        Refused::DeadlineTooClose { .. } => ErrorReason::DeadlineTooClose,
        Refused::Unauthorised(_) => ErrorReason::Internal,
    };
    let failure = Failure::new(reason, refused.to_string());
    match refused {
        Refused::InvalidState(state) | Refused::Unauthorised(state) => {
            failure.with_metadata("state", state.as_str())
        }
        Refused::DeadlineTooClose { deadline, tip } => failure
            .with_metadata("deadline_height", deadline.to_string())
            .with_metadata("tip", tip.to_string()),
    }
}

fn refused_invoice(refused: &InvoiceRefused) -> Failure {
    let reason = match refused {
        InvoiceRefused::WrongNetwork(_) => ErrorReason::WrongNetwork,
        _ => ErrorReason::InvalidField,
    };
    Failure::field(reason, "bolt11", refused.to_string())
}

fn refused_payout(refused: &PayoutRefused) -> Failure {
    let reason = match refused {
        PayoutRefused::Off => ErrorReason::NotOffered,
        PayoutRefused::AboveLimit { .. } => ErrorReason::InvalidField,
        PayoutRefused::Payee(_) => ErrorReason::NotAllowed,
    };
    Failure::new(reason, refused.to_string())
}

fn failed_node(failed: NodeError) -> Failure {
    match failed {
        NodeError::NotRunning | NodeError::NoAnswer => Failure::unavailable("lightning node", failed),
        NodeError::InsufficientFunds => Failure::new(ErrorReason::InsufficientFunds, failed.to_string()),
        NodeError::PeerUnreachable => Failure::unavailable("peer", failed),
        NodeError::Refused(_) => Failure::new(ErrorReason::InvalidField, failed.to_string()),
        NodeError::Failed(_) => Failure::internal(failed),
    }
}
