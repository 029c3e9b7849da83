//! Keys that callers show: their text, what they may do, and what they may spend.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use ailayer_primitives::{AmountMsat, Digest, UnixMs};
use thiserror::Error;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::ledger::CustomerId;

/// What a key's text begins with: finders of lost secrets look for it.
const PREFIX: &str = "ailk_";
/// Random bytes in a key.
const SECRET_BYTES: usize = 32;
/// The longest name of a key or an account.
pub const MAX_NAME_BYTES: usize = 128;
/// The longest window of a spend limit.
pub const MAX_WINDOW: Duration = Duration::from_secs(366 * 24 * 3600);

/// The text of a key. Wiped when dropped, never printed; of a stored key only [`hash`] is kept.
pub struct KeyText(Zeroizing<String>);

impl KeyText {
    /// Writes random bytes as a key.
    pub fn new(secret: &Zeroizing<[u8; SECRET_BYTES]>) -> Self {
        let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + 2 * SECRET_BYTES));
        text.push_str(PREFIX);
        text.push_str(&Zeroizing::new(hex::encode(secret.as_slice())));
        Self(text)
    }

    /// The text, for who asked for the key.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyText(secret)")
    }
}

/// What is stored of a key, and compared: SHA-256 of its text. A key is 256 random bits, so that there is nothing to guess.
pub fn hash(text: &str) -> Digest {
    Digest::sha256(text.as_bytes())
}

/// Names a key; no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub Uuid);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a key allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Run jobs and pay them from the balance.
    Run,
    /// See the balance, the statement and jobs.
    Read,
    /// Make invoices that fund the balance.
    Fund,
}

/// A word that names no scope.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is no scope: run, read, fund")]
pub struct UnknownScope(pub String);

impl Scope {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Run, Self::Read, Self::Fund];

    /// The word in rows and calls.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Read => "read",
            Self::Fund => "fund",
        }
    }
}

impl FromStr for Scope {
    type Err = UnknownScope;
    fn from_str(word: &str) -> Result<Self, UnknownScope> {
        let found = Self::ALL.into_iter().find(|scope| scope.as_str() == word);
        found.ok_or_else(|| UnknownScope(word.to_owned()))
    }
}

/// Terms that make no sense; says which field.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TermsError {
    /// Empty, too long, or with control characters.
    #[error("terms.name must be 1 to {MAX_NAME_BYTES} bytes without control characters")]
    Name,
    /// No scope at all.
    #[error("terms.scopes must name at least one of run, read, fund")]
    NoScope,
    /// A word that is no scope.
    #[error("terms.scopes: {0}")]
    Scope(#[from] UnknownScope),
    /// A limit without its window, or the other way round, or a window beyond a year.
    #[error("terms.spend_limit_msat and terms.spend_window_s go together; the window is at most 366 days")]
    Window,
}

/// What a key may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyTerms {
    /// What it is for.
    pub name: String,
    /// What it allows; at least one, sorted, each once.
    pub scopes: Vec<Scope>,
    /// What it may spend.
    pub spend_limit: Option<SpendLimit>,
    /// Requests a minute.
    pub requests_per_minute: Option<u32>,
    /// Input tokens a minute.
    pub tokens_per_minute: Option<u64>,
    /// When it ends by itself.
    pub expires_at: Option<UnixMs>,
}

impl KeyTerms {
    /// Checks what no type says.
    pub fn check(mut self) -> Result<Self, TermsError> {
        if !is_name(&self.name) {
            return Err(TermsError::Name);
        }
        self.scopes.sort_unstable();
        self.scopes.dedup();
        if self.scopes.is_empty() {
            return Err(TermsError::NoScope);
        }
        self.spend_limit.map_or(Ok(()), SpendLimit::check)?;
        Ok(self)
    }
}

/// Whether a text can name an account or a key.
pub fn is_name(text: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// What all keys of an account together may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AccountLimits {
    /// What they may spend.
    pub spend_limit: Option<SpendLimit>,
    /// Requests a minute.
    pub requests_per_minute: Option<u32>,
    /// Input tokens a minute.
    pub tokens_per_minute: Option<u64>,
}

/// What a key or an account may spend in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpendLimit {
    /// At most so much.
    pub amount: AmountMsat,
    /// In so long.
    pub window: Duration,
}

impl SpendLimit {
    /// Checks what no type says.
    pub fn check(self) -> Result<(), TermsError> {
        let is_sound = !self.window.is_zero() && self.window <= MAX_WINDOW;
        if is_sound { Ok(()) } else { Err(TermsError::Window) }
    }
}

/// What a key or an account has spent in its present window. What is set aside counts until what was used is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent {
    /// When the window began.
    pub since: UnixMs,
    /// How much.
    pub amount: AmountMsat,
}

impl Spent {
    /// Nothing, ever.
    pub const NOTHING: Self = Self { since: UnixMs(0), amount: AmountMsat::ZERO };

    /// The window that counts now: a new one begins with the first job behind the last one's end.
    pub fn at(self, limit: &SpendLimit, now: UnixMs) -> Self {
        let window_ms = u64::try_from(limit.window.as_millis()).unwrap_or(u64::MAX);
        if now.0 >= self.since.0.saturating_add(window_ms) {
            Self { since: now, amount: AmountMsat::ZERO }
        } else {
            self
        }
    }

    /// With so much more; none if that would be above the limit.
    pub fn with(self, limit: &SpendLimit, more: AmountMsat, now: UnixMs) -> Option<Self> {
        let current = self.at(limit, now);
        let amount = current.amount.checked_add(more).ok()?;
        (amount <= limit.amount).then_some(Self { amount, ..current })
    }

    /// What may still be spent.
    pub fn left(self, limit: &SpendLimit, now: UnixMs) -> AmountMsat {
        limit.amount.checked_sub(self.at(limit, now).amount).unwrap_or(AmountMsat::ZERO)
    }
}

/// Who calls, by a key that was found and is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The key.
    pub key_id: KeyId,
    /// Whose it is.
    pub account: CustomerId,
    /// What it may do.
    pub terms: KeyTerms,
    /// What all keys of the account together may do.
    pub account_limits: AccountLimits,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn msat(amount: u64) -> AmountMsat {
        AmountMsat::try_new(amount).unwrap()
    }

    #[test]
    fn a_key_is_known_by_its_hash_and_never_printed() {
        let text = KeyText::new(&Zeroizing::new([0xab; 32]));
        assert_eq!(text.expose().len(), 5 + 64);
        assert!(text.expose().starts_with("ailk_abab"));
        assert_eq!(format!("{text:?}"), "KeyText(secret)");
        assert_ne!(hash(text.expose()), hash(KeyText::new(&Zeroizing::new([0xac; 32])).expose()));
    }

    #[test]
    fn a_window_starts_anew_when_it_is_over() {
        let limit = SpendLimit { amount: msat(100), window: Duration::from_secs(10) };
        let spent = Spent::NOTHING.with(&limit, msat(60), UnixMs(50_000)).unwrap();
        assert_eq!(spent, Spent { since: UnixMs(50_000), amount: msat(60) });
        assert_eq!(spent.with(&limit, msat(41), UnixMs(59_999)), None);
        assert_eq!(spent.left(&limit, UnixMs(59_999)), msat(40));
        let full = spent.with(&limit, msat(40), UnixMs(59_999)).unwrap();
        assert_eq!(full.left(&limit, UnixMs(59_999)), AmountMsat::ZERO);
        let anew = full.with(&limit, msat(100), UnixMs(60_000)).unwrap();
        assert_eq!(anew, Spent { since: UnixMs(60_000), amount: msat(100) });
        assert_eq!(anew.with(&limit, msat(101), UnixMs(80_000)), None, "more than one window allows");
    }

    #[test]
    fn terms_are_checked() {
        let terms = KeyTerms {
            name: "ci".to_owned(),
            scopes: vec![Scope::Read, Scope::Run, Scope::Read],
            spend_limit: None,
            requests_per_minute: None,
            tokens_per_minute: None,
            expires_at: None,
        };
        assert_eq!(terms.clone().check().unwrap().scopes, [Scope::Run, Scope::Read]);
        let refused = |change: fn(&mut KeyTerms)| {
            let mut terms = terms.clone();
            change(&mut terms);
            terms.check().unwrap_err()
        };
        assert_eq!(refused(|it| it.name.clear()), TermsError::Name);
        assert_eq!(refused(|it| it.name = "a\nb".to_owned()), TermsError::Name);
        assert_eq!(refused(|it| it.scopes.clear()), TermsError::NoScope);
        let limit = |window| Some(SpendLimit { amount: AmountMsat::ZERO, window });
        let mut zero = terms.clone();
        zero.spend_limit = limit(Duration::ZERO);
        assert_eq!(zero.check(), Err(TermsError::Window));
        let mut long = terms.clone();
        long.spend_limit = limit(MAX_WINDOW + Duration::from_secs(1));
        assert_eq!(long.check(), Err(TermsError::Window));
        for scope in Scope::ALL {
            assert_eq!(scope.as_str().parse(), Ok(scope));
        }
    }
}
