//! The chart of accounts, and what an account holds.

use std::fmt;
use std::str::FromStr;

use ailayer_primitives::{JobId, UnixMs};
use thiserror::Error;
use uuid::Uuid;

use super::amount::Asset;

/// Who has a balance with us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CustomerId(Uuid);

impl CustomerId {
    /// Wraps a UUID that is known not to be nil.
    pub const fn new(id: Uuid) -> Self {
        Self(id)
    }

    /// The UUID.
    pub const fn uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for CustomerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which of the equal sub-accounts of a house account: what every sale touches would be one row that all wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stripe(u8);

impl Stripe {
    /// Sub-accounts of the hold rail, which posts in its jobs' own transactions.
    const JOBS: u8 = 16;
    /// Sub-accounts of coalescing writers. Two writers that meet on one wait for each other, nothing worse.
    const WRITERS: u8 = 64;

    /// Always the same for a job, so that its request id is unique there.
    pub fn of_job(job_id: JobId) -> Self {
        Self(last_byte(job_id.uuid()) % Self::JOBS)
    }

    /// One of the writers' sub-accounts.
    pub fn of_writer(writer: Uuid) -> Self {
        Self(Self::JOBS + last_byte(writer) % Self::WRITERS)
    }

    /// The number.
    pub const fn number(self) -> u8 {
        self.0
    }
}

fn last_byte(id: Uuid) -> u8 {
    let [.., last] = *id.as_bytes();
    last
}

/// The side on which an account grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// What we have and what we spent.
    Debit,
    /// What we owe and what we earned.
    Credit,
}

impl Side {
    /// What a line of `amount_units` (debit positive) adds to a balance kept on this side. None on overflow.
    pub const fn change(self, amount_units: i64) -> Option<i64> {
        match self {
            Self::Debit => Some(amount_units),
            Self::Credit => amount_units.checked_neg(),
        }
    }

    /// 1 for debit, -1 for credit: the balance is this times the sum of the lines.
    pub const fn sign(self) -> i16 {
        match self {
            Self::Debit => 1,
            Self::Credit => -1,
        }
    }
}

/// The gateway's own accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HouseKind {
    /// What is ours in Lightning channels. Bitcoin only.
    Lightning,
    /// What is ours on the base chain. Bitcoin only.
    OnChain,
    /// What is ours on Liquid. Liquid assets only.
    Liquid,
    /// What was earned.
    Revenue,
    /// What routing and chains cost us.
    Fees,
    /// What came in and is not known to be anybody's yet.
    Suspense,
    /// What channels swallowed after it was ours.
    ChannelLoss,
    /// What was served and not paid.
    WriteOff,
}

impl HouseKind {
    /// Every kind, for tables and tests.
    pub const ALL: [Self; 8] = [
        Self::Lightning,
        Self::OnChain,
        Self::Liquid,
        Self::Revenue,
        Self::Fees,
        Self::Suspense,
        Self::ChannelLoss,
        Self::WriteOff,
    ];

    /// The name in rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lightning => "asset:lightning",
            Self::OnChain => "asset:on_chain",
            Self::Liquid => "asset:liquid",
            Self::Revenue => "revenue:inference",
            Self::Fees => "expense:fees",
            Self::Suspense => "liability:suspense",
            Self::ChannelLoss => "expense:channel_loss",
            Self::WriteOff => "expense:write_off",
        }
    }

    const fn side(self) -> Side {
        match self {
            Self::Lightning
            | Self::OnChain
            | Self::Liquid
            | Self::Fees
            | Self::ChannelLoss
            | Self::WriteOff => Side::Debit,
            Self::Revenue | Self::Suspense => Side::Credit,
        }
    }

    /// Whether this account can be kept in `asset`.
    pub const fn holds(self, asset: Asset) -> bool {
        match (self, asset) {
            (Self::Lightning | Self::OnChain, asset) => matches!(asset, Asset::Btc),
            (Self::Liquid, asset) => matches!(asset, Asset::Liquid(_)),
            _ => true,
        }
    }
}

/// Whose account it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Holder {
    /// What we owe a customer: the prepaid balance.
    Customer(CustomerId),
    /// What a customer owes us: spent deposits that were reversed.
    Receivable(CustomerId),
    /// Ours.
    House(HouseKind, Stripe),
}

const CUSTOMER: &str = "liability:customer";
const RECEIVABLE: &str = "asset:receivable";

/// Names an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId {
    /// Whose it is.
    pub holder: Holder,
    /// What it is kept in.
    pub asset: Asset,
}

/// A code that names no account.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("no account is named {0:?}")]
pub struct UnknownAccount(pub String);

impl AccountId {
    /// A customer's prepaid balance.
    pub const fn customer(customer: CustomerId, asset: Asset) -> Self {
        Self { holder: Holder::Customer(customer), asset }
    }

    /// What a customer owes us.
    pub const fn receivable(customer: CustomerId, asset: Asset) -> Self {
        Self { holder: Holder::Receivable(customer), asset }
    }

    /// One of ours.
    pub const fn house(kind: HouseKind, asset: Asset, stripe: Stripe) -> Self {
        Self { holder: Holder::House(kind, stripe), asset }
    }

    /// The account's place in the chart: the first part of its code.
    pub const fn kind(self) -> &'static str {
        match self.holder {
            Holder::Customer(_) => CUSTOMER,
            Holder::Receivable(_) => RECEIVABLE,
            Holder::House(kind, _) => kind.as_str(),
        }
    }

    /// The side on which it grows.
    pub const fn side(self) -> Side {
        match self.holder {
            Holder::Customer(_) => Side::Credit,
            Holder::Receivable(_) => Side::Debit,
            Holder::House(kind, _) => kind.side(),
        }
    }

    /// Whose it is, if it is not ours.
    pub const fn customer_id(self) -> Option<CustomerId> {
        match self.holder {
            Holder::Customer(customer) | Holder::Receivable(customer) => Some(customer),
            Holder::House(..) => None,
        }
    }
}

/// The code in rows: `<kind>/<customer or stripe>/<asset>`. It never changes.
impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, asset) = (self.kind(), self.asset);
        match self.holder {
            Holder::Customer(customer) | Holder::Receivable(customer) => {
                write!(f, "{kind}/{customer}/{asset}")
            }
            Holder::House(_, stripe) => write!(f, "{kind}/{}/{asset}", stripe.number()),
        }
    }
}

impl FromStr for AccountId {
    type Err = UnknownAccount;
    fn from_str(code: &str) -> Result<Self, UnknownAccount> {
        let parse = || {
            let (kind, rest) = code.split_once('/')?;
            let (whose, asset) = rest.split_once('/')?;
            let asset = asset.parse().ok()?;
            let customer = || Uuid::try_parse(whose).ok().map(CustomerId);
            let holder = match kind {
                CUSTOMER => Holder::Customer(customer()?),
                RECEIVABLE => Holder::Receivable(customer()?),
                _ => {
                    let kind = HouseKind::ALL.into_iter().find(|it| it.as_str() == kind)?;
                    Holder::House(kind, Stripe(whose.parse().ok()?))
                }
            };
            Some(Self { holder, asset })
        };
        parse().ok_or_else(|| UnknownAccount(code.to_owned()))
    }
}

/// What an account holds. Balances are kept on the account's own side: a customer's is what we owe them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// What is posted.
    pub balance_units: i64,
    /// What of it is set aside by pending reservations.
    pub reserved_units: i64,
    /// What balance less reserved never goes below; customers only.
    pub limit_units: Option<i64>,
    /// Nothing can be taken or set aside.
    pub frozen: bool,
    /// Counts the operations that touched it.
    pub version: u64,
    /// When it was touched last; never goes back.
    pub updated_at: UnixMs,
}

impl Account {
    /// Empty, with a limit for customers' accounts.
    pub const fn new(limit_units: Option<i64>, now: UnixMs) -> Self {
        Self { balance_units: 0, reserved_units: 0, limit_units, frozen: false, version: 0, updated_at: now }
    }

    /// What can be taken or set aside: negative below the limit, without end where there is none.
    pub fn available_units(&self) -> i128 {
        let free = i128::from(self.balance_units) - i128::from(self.reserved_units);
        self.limit_units.map_or(i128::MAX, |limit| free - i128::from(limit))
    }
}
