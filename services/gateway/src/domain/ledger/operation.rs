//! What can be asked of the ledger.

use std::fmt;
use std::fmt::Write as _;
use std::str::FromStr;

use ailayer_primitives::{Digest, RequestId, UnixMs};
use thiserror::Error;

use super::account::{AccountId, Holder, HouseKind, Stripe};
use super::amount::Amount;
use super::reservation::Terms;

/// The most bytes of a note.
const MAX_NOTE_BYTES: usize = 256;
/// First line of what a body digest is taken of.
const BODY: &str = "ailayer ledger operation v1";

/// Which side of the account grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// We have more, or owe less.
    Debit,
    /// We owe more, or have less.
    Credit,
}

/// One line between our own accounts: positive is a debit; never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HouseLine {
    /// Which account.
    pub kind: HouseKind,
    /// How much, debit positive.
    pub amount_units: i64,
}

/// What is to be done with an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Money came in for a customer.
    Credit {
        /// How much.
        amount: Amount,
        /// Where it came in.
        from: HouseKind,
    },
    /// A customer's money goes.
    Debit {
        /// How much.
        amount: Amount,
        /// Where it goes.
        to: HouseKind,
    },
    /// A customer's money is set aside. The reservation is named by this request's id.
    Reserve {
        /// How much at most will be captured.
        amount: Amount,
        /// What frees it.
        terms: Terms,
    },
    /// What was used of a reservation is taken, the rest is free again.
    Capture {
        /// The request that reserved.
        reservation: RequestId,
        /// What was used; at most what is reserved.
        amount: Amount,
        /// Where it goes.
        to: HouseKind,
    },
    /// A reservation is freed.
    Void {
        /// The request that reserved.
        reservation: RequestId,
    },
    /// A reservation is freed because its time ran out.
    Expire {
        /// The request that reserved.
        reservation: RequestId,
    },
    /// A deposit turns out not to be ours. What was spent of it becomes the customer's debt, and the account is frozen.
    Reverse {
        /// The request that credited.
        deposit: RequestId,
        /// Where it had come in.
        from: HouseKind,
    },
    /// A person corrects a customer's balance or debt.
    Adjust {
        /// Which side grows.
        direction: Direction,
        /// By how much.
        amount: Amount,
        /// The other side.
        against: HouseKind,
    },
    /// A transaction between our own accounts.
    Post {
        /// At least two lines that sum to zero, each of another account, one of them the operation's.
        lines: Vec<HouseLine>,
    },
    /// Nothing can be taken or set aside any more.
    Freeze,
    /// It can again.
    Unfreeze,
    /// What balance less reserved must not go below. Negative gives credit.
    SetLimit {
        /// The new limit.
        limit_units: i64,
    },
}

/// What kind of operation it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// [`Action::Credit`].
    Credit,
    /// [`Action::Debit`].
    Debit,
    /// [`Action::Reserve`].
    Reserve,
    /// [`Action::Capture`].
    Capture,
    /// [`Action::Void`].
    Void,
    /// [`Action::Expire`].
    Expire,
    /// [`Action::Reverse`].
    Reverse,
    /// [`Action::Adjust`].
    Adjust,
    /// [`Action::Post`].
    Post,
    /// [`Action::Freeze`].
    Freeze,
    /// [`Action::Unfreeze`].
    Unfreeze,
    /// [`Action::SetLimit`].
    SetLimit,
}

/// A stored kind that this version does not know.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown kind of ledger transaction {0:?}")]
pub struct UnknownKind(pub String);

impl Kind {
    const ALL: [Self; 12] = [
        Self::Credit,
        Self::Debit,
        Self::Reserve,
        Self::Capture,
        Self::Void,
        Self::Expire,
        Self::Reverse,
        Self::Adjust,
        Self::Post,
        Self::Freeze,
        Self::Unfreeze,
        Self::SetLimit,
    ];

    /// The name in rows and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Credit => "credit",
            Self::Debit => "debit",
            Self::Reserve => "reserve",
            Self::Capture => "capture",
            Self::Void => "void",
            Self::Expire => "expire",
            Self::Reverse => "reverse",
            Self::Adjust => "adjust",
            Self::Post => "post",
            Self::Freeze => "freeze",
            Self::Unfreeze => "unfreeze",
            Self::SetLimit => "set_limit",
        }
    }
}

impl FromStr for Kind {
    type Err = UnknownKind;
    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| UnknownKind(text.to_owned()))
    }
}

/// A remark kept with a transaction: at most 256 bytes, no control characters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Note(String);

impl Note {
    /// Accepts printable text of at most 256 bytes.
    pub fn try_new(text: impl Into<String>) -> Result<Self, OperationError> {
        let text = text.into();
        let sound = text.len() <= MAX_NOTE_BYTES && !text.chars().any(char::is_control);
        if sound { Ok(Self(text)) } else { Err(OperationError::Note) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An operation that can never be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum OperationError {
    /// This cannot be done with an account of that kind.
    #[error("this cannot be done with an account of that kind")]
    WrongAccount,
    /// An account cannot be kept in that asset.
    #[error("{} is not kept in that asset", .0.as_str())]
    WrongAsset(HouseKind),
    /// The lines do not make a transaction.
    #[error("a transaction needs two lines of different accounts at least, none zero, that sum to zero")]
    Unbalanced,
    /// The note is too long or not printable.
    #[error("a note has at most {MAX_NOTE_BYTES} printable bytes")]
    Note,
}

/// Something to be done with one account, whose request ids it is named by. Valid by construction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    account: AccountId,
    request_id: RequestId,
    action: Action,
    note: Note,
}

impl Operation {
    /// Refuses what no state of the ledger could allow.
    pub fn try_new(
        account: AccountId,
        request_id: RequestId,
        action: Action,
    ) -> Result<Self, OperationError> {
        let fits = match (&action, account.holder) {
            (Action::Adjust { .. }, Holder::Customer(_) | Holder::Receivable(_)) => true,
            (Action::Post { lines }, Holder::House(kind, _)) => {
                check_balanced(lines)?;
                lines.iter().any(|line| line.kind == kind)
            }
            (Action::Adjust { .. } | Action::Post { .. }, _) => false,
            (_, holder) => matches!(holder, Holder::Customer(_)),
        };
        if !fits {
            return Err(OperationError::WrongAccount);
        }
        let operation = Self { account, request_id, action, note: Note::default() };
        let elsewhere = operation.house_kinds().find(|kind| !kind.holds(account.asset));
        match elsewhere {
            Some(kind) => Err(OperationError::WrongAsset(kind)),
            None => Ok(operation),
        }
    }

    /// The same with a remark.
    #[must_use]
    pub fn with_note(self, note: Note) -> Self {
        Self { note, ..self }
    }

    /// The account.
    pub const fn account(&self) -> AccountId {
        self.account
    }

    /// The id that makes a repeat known.
    pub const fn request_id(&self) -> RequestId {
        self.request_id
    }

    /// What is to be done.
    pub const fn action(&self) -> &Action {
        &self.action
    }

    /// The remark.
    pub const fn note(&self) -> &Note {
        &self.note
    }

    /// What kind it is.
    pub const fn kind(&self) -> Kind {
        match self.action {
            Action::Credit { .. } => Kind::Credit,
            Action::Debit { .. } => Kind::Debit,
            Action::Reserve { .. } => Kind::Reserve,
            Action::Capture { .. } => Kind::Capture,
            Action::Void { .. } => Kind::Void,
            Action::Expire { .. } => Kind::Expire,
            Action::Reverse { .. } => Kind::Reverse,
            Action::Adjust { .. } => Kind::Adjust,
            Action::Post { .. } => Kind::Post,
            Action::Freeze => Kind::Freeze,
            Action::Unfreeze => Kind::Unfreeze,
            Action::SetLimit { .. } => Kind::SetLimit,
        }
    }

    /// The earlier request that this one is about: a reservation or a deposit.
    pub const fn subject(&self) -> Option<RequestId> {
        match self.action {
            Action::Capture { reservation, .. }
            | Action::Void { reservation }
            | Action::Expire { reservation } => Some(reservation),
            Action::Reverse { deposit, .. } => Some(deposit),
            _ => None,
        }
    }

    /// Our accounts on the other side.
    fn house_kinds(&self) -> impl Iterator<Item = HouseKind> {
        let (one, lines): (Option<HouseKind>, &[HouseLine]) = match &self.action {
            Action::Credit { from: kind, .. }
            | Action::Debit { to: kind, .. }
            | Action::Capture { to: kind, .. }
            | Action::Reverse { from: kind, .. }
            | Action::Adjust { against: kind, .. } => (Some(*kind), &[]),
            Action::Post { lines } => (None, lines),
            _ => (None, &[]),
        };
        one.into_iter().chain(lines.iter().map(|line| line.kind))
    }

    /// Which sub-account of `kind` this operation posts to, for a writer that posts to `stripe`.
    pub(super) const fn house(&self, kind: HouseKind, stripe: Stripe) -> AccountId {
        let stripe = match self.account.holder {
            // A request id is unique on its account, which therefore must not depend on who writes.
            Holder::House(_, own) => own,
            _ => stripe,
        };
        AccountId::house(kind, self.account.asset, stripe)
    }

    /// Every account it may touch, for a writer that posts to `stripe`.
    pub fn accounts(&self, stripe: Stripe) -> impl Iterator<Item = AccountId> {
        let receivable = match (&self.action, self.account.holder) {
            (Action::Reverse { .. }, Holder::Customer(customer)) => {
                Some(AccountId::receivable(customer, self.account.asset))
            }
            _ => None,
        };
        let house = self.house_kinds().map(move |kind| self.house(kind, stripe));
        std::iter::once(self.account).chain(house).chain(receivable)
    }

    /// What a repeat must agree in: everything but the request id, the note included. Kept for ever, so the text it is
    /// taken of never changes.
    pub fn body_digest(&self) -> Digest {
        let mut body = format!("{BODY}\n{}\n{}\n", self.account, self.kind().as_str());
        // Writing to a string cannot fail.
        let _ = match &self.action {
            Action::Credit { amount, from: kind } | Action::Debit { amount, to: kind } => {
                write!(body, "{} {}", amount.units(), kind.as_str())
            }
            Action::Reserve { amount, terms: Terms::ExpiresAt(UnixMs(at)) } => {
                write!(body, "{} until {at}", amount.units())
            }
            Action::Reserve { amount, terms: Terms::HeldBy(job_id) } => {
                write!(body, "{} job {job_id}", amount.units())
            }
            Action::Capture { reservation, amount, to } => {
                write!(body, "{reservation} {} {}", amount.units(), to.as_str())
            }
            Action::Void { reservation } | Action::Expire { reservation } => write!(body, "{reservation}"),
            Action::Reverse { deposit, from } => write!(body, "{deposit} {}", from.as_str()),
            Action::Adjust { direction, amount, against } => {
                write!(body, "{direction:?} {} {}", amount.units(), against.as_str())
            }
            Action::Post { lines } => lines
                .iter()
                .try_for_each(|line| write!(body, "{} {} ", line.kind.as_str(), line.amount_units)),
            Action::Freeze | Action::Unfreeze => Ok(()),
            Action::SetLimit { limit_units } => write!(body, "{limit_units}"),
        };
        let _ = write!(body, "\n{}", self.note.0);
        Digest::sha256(body.as_bytes())
    }
}

/// The id of a step that follows from another request: the same for ever, whoever derives it.
pub fn derived_id(request_id: RequestId, step: &str) -> RequestId {
    let digest = Digest::sha256(format!("ailayer ledger step v1\n{request_id}\n{step}").as_bytes());
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(digest.as_bytes()).for_each(|(to, from)| *to = *from);
    RequestId::new(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

fn check_balanced(lines: &[HouseLine]) -> Result<(), OperationError> {
    let sum: i128 = lines.iter().map(|line| i128::from(line.amount_units)).sum();
    let mut kinds: Vec<HouseKind> = lines.iter().map(|line| line.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let each_moves = lines.iter().all(|line| line.amount_units != 0);
    let sound = sum == 0 && each_moves && lines.len() >= 2 && kinds.len() == lines.len();
    if sound { Ok(()) } else { Err(OperationError::Unbalanced) }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} on {}", self.kind().as_str(), self.request_id, self.account)
    }
}
