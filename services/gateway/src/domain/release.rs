//! Why money was given back, and what the job is called afterwards.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::job::State;

/// A stored release reason that this version does not know.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown release reason {0:?}")]
pub struct UnknownReleaseReason(pub String);

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $word:literal => $end:ident,)+) => {
        /// Why a job gave its money back. Written with RELEASING and never changed afterwards.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ReleaseReason {
            $($(#[$doc])* $name,)+
        }

        impl ReleaseReason {
            /// Every reason, for tables and tests.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The machine word that buyers, rows and the payment service see.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }

            /// The terminal state a release for this reason ends in.
            pub const fn terminal_state(self) -> State {
                match self { $(Self::$name => State::$end,)+ }
            }
        }

        impl FromStr for ReleaseReason {
            type Err = UnknownReleaseReason;
            fn from_str(word: &str) -> Result<Self, UnknownReleaseReason> {
                match word {
                    $($word => Ok(Self::$name),)+
                    _ => Err(UnknownReleaseReason(word.to_owned())),
                }
            }
        }
    };
}

reasons! {
    /// The buyer gave up.
    Canceled = "canceled" => Canceled,
    /// Nobody paid before the quote ended.
    QuoteExpired = "quote_expired" => Expired,
    /// The answer was not there within the run limit.
    RunLimit = "run_limit" => Expired,
    /// The model failed on this input.
    ModelFailed = "model_failed" => Failed,
    /// The model that is loaded now is not the one that was quoted, or is gone.
    ModelChanged = "model_changed" => Failed,
    /// Model serving refused the input it had counted for the quote.
    InputRefused = "input_refused" => Failed,
    /// The receipt could not be logged in time.
    AuditUnavailable = "audit_unavailable" => Failed,
    /// The buyer did not say in time that the sealed answer is there.
    NotAcknowledged = "not_acknowledged" => Expired,
    /// Too few blocks were left to claim safely.
    DeadlineTooClose = "deadline_too_close" => Failed,
    /// Less than the price was locked.
    Underpaid = "underpaid" => Failed,
    /// The payment service gave the money back by itself (its deadline guard, or an operator).
    HoldReleased = "hold_released" => Failed,
    /// The gateway could not make a valid receipt, or not seal the answer.
    ReceiptFailed = "receipt_failed" => Failed,
}

impl fmt::Display for ReleaseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip_and_are_short() {
        for reason in ReleaseReason::ALL {
            assert_eq!(reason.as_str().parse(), Ok(*reason));
            assert!(reason.as_str().len() <= 64, "the payment service takes 64 characters");
            assert!(reason.terminal_state().is_terminal());
        }
        assert!("".parse::<ReleaseReason>().is_err());
    }
}
