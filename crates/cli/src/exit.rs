//! How the program ends: documented exit codes, one line that says what to do.

use std::error::Error;
use std::fmt;

use ailayer_client::{CallError, ClientError, ErrorReason};
use ailayer_devnet::DevnetError;

/// Why the program ends unsuccessfully. The numbers are documented in `ailayer --help` and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 1: a fault of ours, or of the machine.
    Internal,
    /// 3: the configuration or the environment is wrong (2 is a wrong command line).
    Configuration,
    /// 4: something that should verify does not.
    Verification,
    /// 5: the payment failed, or there is not enough money; nothing was taken.
    Payment,
    /// 6: a service does not answer, or not in time.
    Unavailable,
    /// 7: the seller refused, with a reason.
    Refused,
}

impl Exit {
    /// The process' exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Internal => 1,
            Self::Configuration => 3,
            Self::Verification => 4,
            Self::Payment => 5,
            Self::Unavailable => 6,
            Self::Refused => 7,
        }
    }
}

/// An unsuccessful end: a code and one line.
#[derive(Debug)]
pub struct Failure {
    /// The class of the failure.
    pub exit: Exit,
    /// What went wrong and, where it helps, what to do.
    pub message: String,
    /// The stable reason a service gave.
    pub reason: Option<ErrorReason>,
}

impl Failure {
    /// A failure of a class.
    pub fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self { exit, message: message.to_string(), reason: None }
    }

    /// The reason as it is written on the wire, e.g. `MODEL_NOT_FOUND`.
    pub fn reason_name(&self) -> Option<&'static str> {
        self.reason.map(|reason| {
            let name = reason.as_str_name();
            name.strip_prefix("ERROR_REASON_").unwrap_or(name)
        })
    }
}

/// An error and its causes in one line.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        source = cause.source();
    }
    line
}

/// Wraps an error as a fault of ours.
pub fn internal(error: impl Error + 'static) -> Failure {
    Failure::new(Exit::Internal, chain(&error))
}

/// Wraps an error of the configuration.
pub fn configuration(error: impl Error + 'static) -> Failure {
    Failure::new(Exit::Configuration, chain(&error))
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        configuration(error)
    }
}

impl From<DevnetError> for Failure {
    fn from(error: DevnetError) -> Self {
        let exit = match error {
            DevnetError::MissingTool { .. } | DevnetError::WrongTool { .. } => Exit::Configuration,
            DevnetError::NotReady { .. } | DevnetError::TimedOut { .. } => Exit::Unavailable,
            _ => Exit::Internal,
        };
        Self::new(exit, chain(&error))
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let reason = error.reason();
        let exit = match reason {
            _ if error.is_transient() => Exit::Unavailable,
            Some(ErrorReason::Internal | ErrorReason::ModelFailed) => Exit::Internal,
            Some(ErrorReason::VerificationFailed) => Exit::Verification,
            Some(ErrorReason::InsufficientFunds | ErrorReason::PaymentFailed) => Exit::Payment,
            Some(_) => Exit::Refused,
            None => Exit::Internal,
        };
        // A service's own words say it all; what the transport says has causes.
        let message = if reason.is_some() { error.to_string() } else { chain(&error) };
        Self { exit, message, reason }
    }
}
