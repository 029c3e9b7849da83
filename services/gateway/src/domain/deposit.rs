//! A deposit: a Lightning invoice that funds a balance. Pure.

use std::fmt;
use std::str::FromStr;

use ailayer_primitives::AmountMsat;
use thiserror::Error;

/// A stored state that this version does not know.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown deposit state {0:?}")]
pub struct UnknownState(pub String);

/// Where a deposit stands.
///
/// ```text
///          money locked      claimed: credited in the same commit
///   OPEN ---------> TAKING ---------> CREDITED
///     |  ^            |
///     |  | late       +--> RETURNED   the claim came to nothing: the payer has the money
///     v  |
///   EXPIRED               OPEN --> RETURNED   given back by the payment service
/// ```
///
/// Money that was locked in time and is told of late is taken nevertheless: the invoice says whose it is. What is paid after
/// the expiry the payment service gives back by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DepositState {
    /// The invoice waits for its payer.
    Open,
    /// Money is locked, and is being taken.
    Taking,
    /// The balance has it.
    Credited,
    /// Nobody paid in time.
    Expired,
    /// The money went back.
    Returned,
}

impl DepositState {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Open, Self::Taking, Self::Credited, Self::Expired, Self::Returned];

    /// The name in rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "OPEN",
            Self::Taking => "TAKING",
            Self::Credited => "CREDITED",
            Self::Expired => "EXPIRED",
            Self::Returned => "RETURNED",
        }
    }
}

impl fmt::Display for DepositState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for DepositState {
    type Err = UnknownState;
    fn from_str(text: &str) -> Result<Self, UnknownState> {
        let found = Self::ALL.into_iter().find(|state| state.as_str() == text);
        found.ok_or_else(|| UnknownState(text.to_owned()))
    }
}

/// What the payment service tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DepositEvent {
    /// Money is locked.
    Accepted,
    /// It was taken.
    Claimed {
        /// How much.
        taken: AmountMsat,
    },
    /// It was given back, or the claim came to nothing.
    Returned,
    /// The invoice ran out unpaid.
    Expired,
}

/// What is to be done about an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DepositStep {
    /// Nothing: it was done before.
    Nothing,
    /// The state moves.
    Move(DepositState),
    /// The state becomes CREDITED, and the books get what was taken.
    Credit {
        /// What the balance gets: what was asked for.
        credited: AmountMsat,
        /// What was taken beyond it; for a person to look at.
        suspense: AmountMsat,
    },
    /// Money was taken although nothing here asked for it. It is in the books, and waits for a person.
    Suspense {
        /// All of it.
        amount: AmountMsat,
    },
    /// Money came to a deposit that has ended: it must go back.
    GiveBack,
}

/// Decides what an event does to a deposit of `asked`.
pub fn decide(state: DepositState, asked: AmountMsat, event: DepositEvent) -> DepositStep {
    use DepositState as S;
    match (event, state) {
        (DepositEvent::Accepted, S::Open | S::Expired) => DepositStep::Move(S::Taking),
        (DepositEvent::Accepted, S::Taking) => DepositStep::Nothing,
        (DepositEvent::Accepted, S::Credited | S::Returned) => DepositStep::GiveBack,
        (DepositEvent::Claimed { taken }, S::Taking) => {
            let credited = taken.min(asked);
            DepositStep::Credit {
                credited,
                suspense: taken.checked_sub(credited).unwrap_or(AmountMsat::ZERO),
            }
        }
        (DepositEvent::Claimed { .. }, S::Credited) => DepositStep::Nothing,
        (DepositEvent::Claimed { taken }, S::Open | S::Expired | S::Returned) => {
            DepositStep::Suspense { amount: taken }
        }
        (DepositEvent::Returned, S::Open | S::Taking) => DepositStep::Move(S::Returned),
        (DepositEvent::Returned, S::Credited | S::Expired | S::Returned) => DepositStep::Nothing,
        (DepositEvent::Expired, S::Open) => DepositStep::Move(S::Expired),
        (DepositEvent::Expired, _) => DepositStep::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn msat(amount: u64) -> AmountMsat {
        AmountMsat::try_new(amount).unwrap()
    }

    #[test]
    fn what_is_beyond_the_invoice_is_not_credited_and_not_lost() {
        let step =
            |taken| decide(DepositState::Taking, msat(1000), DepositEvent::Claimed { taken: msat(taken) });
        let credit =
            |credited, suspense| DepositStep::Credit { credited: msat(credited), suspense: msat(suspense) };
        assert_eq!(step(1000), credit(1000, 0));
        assert_eq!(step(1700), credit(1000, 700));
        let late = decide(DepositState::Returned, msat(1000), DepositEvent::Claimed { taken: msat(1000) });
        assert_eq!(late, DepositStep::Suspense { amount: msat(1000) });
    }

    #[test]
    fn late_money_is_taken_and_money_after_the_end_goes_back() {
        let accepted = |state| decide(state, msat(1), DepositEvent::Accepted);
        assert_eq!(accepted(DepositState::Expired), DepositStep::Move(DepositState::Taking));
        assert_eq!(accepted(DepositState::Credited), DepositStep::GiveBack);
        assert_eq!(accepted(DepositState::Returned), DepositStep::GiveBack);
    }

    proptest! {
        /// Whatever comes in whatever order: what was taken once is in the books once, and a credit is never more than asked.
        #[test]
        fn money_is_booked_once(events in prop::collection::vec(0..4usize, 0..30)) {
            let (mut state, mut credited) = (DepositState::Open, 0);
            for event in events {
                let event = [
                    DepositEvent::Accepted,
                    DepositEvent::Claimed { taken: msat(1200) },
                    DepositEvent::Returned,
                    DepositEvent::Expired,
                ][event];
                match decide(state, msat(1000), event) {
                    DepositStep::Move(to) => {
                        prop_assert!(state != DepositState::Credited);
                        state = to;
                    }
                    DepositStep::Credit { credited: amount, suspense } => {
                        prop_assert_eq!((amount, suspense), (msat(1000), msat(200)));
                        state = DepositState::Credited;
                        credited += 1;
                    }
                    DepositStep::Suspense { .. } => prop_assert!(state != DepositState::Credited),
                    DepositStep::Nothing | DepositStep::GiveBack => {}
                }
            }
            prop_assert!(credited <= 1);
            prop_assert_eq!(credited == 1, state == DepositState::Credited);
        }
    }
}
