//! Who calls: the key of a call's header, looked up and held against its own limits and its account's.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ailayer_platform::error::{ErrorReason, Failure};
use ailayer_primitives::Digest;
use ailayer_store::{Store, StoreError};
use parking_lot::Mutex;
use thiserror::Error;
use tonic::metadata::MetadataMap;
use uuid::Uuid;

use crate::domain::api_key::{Caller, KeyId, Scope, hash};
use crate::domain::ledger::CustomerId;
use crate::domain::rate::Bucket;
use crate::store::{account_limits, api_keys};

/// How long a key that was found is believed: a revocation counts everywhere within that.
const FRESH: Duration = Duration::from_secs(1);
/// Keys that are remembered; beyond them the stale ones go.
const MAX_REMEMBERED: usize = 10_000;
/// The longest header that is looked at.
const MAX_HEADER_BYTES: usize = 256;
const SCHEME: &str = "Bearer ";

/// Why a call is not let in.
#[derive(Debug, Error)]
pub enum AccessError {
    /// No key, or one that opens nothing. Which of the two is not told.
    #[error("send a valid API key: `authorization: Bearer ailk_…`")]
    Invalid,
    /// The key is good, and does not allow this.
    #[error("the key lacks the scope `{}`", .0.as_str())]
    Scope(Scope),
    /// The key has had its requests or tokens for now.
    #[error("the {whose} has reached its limit of {what} a minute")]
    Rate {
        /// The key's or the account's.
        whose: &'static str,
        /// Requests or tokens.
        what: &'static str,
        /// When there is room again.
        retry_after: Duration,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<AccessError> for Failure {
    fn from(error: AccessError) -> Self {
        let message = error.to_string();
        match error {
            AccessError::Invalid => Self::new(ErrorReason::KeyInvalid, message),
            AccessError::Scope(_) => Self::new(ErrorReason::NotAllowed, message),
            AccessError::Rate { retry_after, .. } => {
                Self::new(ErrorReason::KeyLimitReached, message).with_retry_after(retry_after)
            }
            AccessError::Store(error) => error.into(),
        }
    }
}

/// Lets callers in. Cloned freely.
#[derive(Clone)]
pub struct Access {
    store: Store,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    found: HashMap<Digest, (Instant, Caller)>,
    /// Of keys and accounts, by id.
    buckets: HashMap<Uuid, Buckets>,
}

/// Requests and tokens a minute; none for no limit.
type Rates = (Option<u32>, Option<u64>);

struct Buckets {
    rates: Rates,
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
}

impl Access {
    /// Looks keys up in `store`.
    pub fn new(store: Store) -> Self {
        Self { store, shared: Arc::default() }
    }

    /// The caller, if the key of the header is good, allows this and has a request left in this minute.
    pub async fn caller(&self, headers: &MetadataMap, scope: Scope) -> Result<Caller, AccessError> {
        let caller = self.look_up(bearer(headers).ok_or(AccessError::Invalid)?).await?;
        if !caller.terms.scopes.contains(&scope) {
            return Err(AccessError::Scope(scope));
        }
        self.spend(&caller, "requests", 1)?;
        Ok(caller)
    }

    /// Counts the tokens of a job against the key's minute.
    pub fn tokens(&self, caller: &Caller, tokens: u64) -> Result<(), AccessError> {
        self.spend(caller, "tokens", tokens)
    }

    /// Forgets what was remembered of a key, so that a revocation counts here at once.
    pub fn forget(&self, id: KeyId) {
        self.shared.lock().found.retain(|_, (_, caller)| caller.key_id != id);
    }

    /// Forgets what was remembered of an account, so that other limits count here at once.
    pub fn forget_account(&self, id: CustomerId) {
        self.shared.lock().found.retain(|_, (_, caller)| caller.account != id);
    }

    async fn look_up(&self, text: &str) -> Result<Caller, AccessError> {
        let key_hash = hash(text);
        if let Some((at, caller)) = self.shared.lock().found.get(&key_hash)
            && at.elapsed() < FRESH
        {
            return Ok(caller.clone());
        }
        let found = api_keys::by_hash(self.store.pool(), &key_hash).await?;
        let mut caller = found.filter(api_keys::KeyRecord::is_good).ok_or(AccessError::Invalid)?.caller;
        let limits = account_limits::of(self.store.pool(), caller.account).await?;
        caller.account_limits = limits.map(|record| record.limits).unwrap_or_default();
        let mut shared = self.shared.lock();
        if shared.found.len() >= MAX_REMEMBERED {
            shared.found.retain(|_, (at, _)| at.elapsed() < FRESH);
        }
        if shared.found.len() < MAX_REMEMBERED {
            shared.found.insert(key_hash, (Instant::now(), caller.clone()));
        }
        Ok(caller)
    }

    fn spend(&self, caller: &Caller, what: &'static str, count: u64) -> Result<(), AccessError> {
        let (key, account) = (&caller.terms, &caller.account_limits);
        let rates = (key.requests_per_minute, key.tokens_per_minute);
        self.take("key", caller.key_id.0, rates, what, count)?;
        let rates = (account.requests_per_minute, account.tokens_per_minute);
        self.take("account", caller.account.uuid(), rates, what, count)
    }

    fn take(
        &self,
        whose: &'static str,
        id: Uuid,
        rates: Rates,
        what: &'static str,
        count: u64,
    ) -> Result<(), AccessError> {
        if rates == (None, None) {
            return Ok(());
        }
        let now = Instant::now();
        let mut shared = self.shared.lock();
        if shared.buckets.len() >= MAX_REMEMBERED {
            // A bucket that is full again says nothing.
            shared.buckets.retain(|_, buckets| !buckets.are_full(now));
        }
        let buckets = shared.buckets.entry(id).or_insert_with(|| Buckets::new(rates, now));
        if buckets.rates != rates {
            *buckets = Buckets::new(rates, now);
        }
        let bucket = if what == "tokens" { &mut buckets.tokens } else { &mut buckets.requests };
        let spent = bucket.as_mut().map_or(Ok(()), |bucket| bucket.take(count, now));
        spent.map_err(|retry_after| AccessError::Rate { whose, what, retry_after })
    }
}

impl Buckets {
    fn new(rates: Rates, now: Instant) -> Self {
        let (requests, tokens) = rates;
        Self {
            rates,
            requests: requests.map(|limit| Bucket::new(limit.into(), now)),
            tokens: tokens.map(|limit| Bucket::new(limit, now)),
        }
    }

    fn are_full(&self, now: Instant) -> bool {
        let full = |bucket: &Option<Bucket>| bucket.as_ref().is_none_or(|bucket| bucket.is_full(now));
        full(&self.requests) && full(&self.tokens)
    }
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Access")
    }
}

/// The token of `authorization: Bearer <token>`.
pub fn bearer(headers: &MetadataMap) -> Option<&str> {
    let value = headers.get("authorization")?.to_str().ok()?;
    if value.len() > MAX_HEADER_BYTES {
        return None;
    }
    value.strip_prefix(SCHEME).map(str::trim).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_token_is_read_and_nothing_else() {
        let read = |value: &str| {
            let mut headers = MetadataMap::new();
            headers.insert("authorization", value.parse().unwrap());
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(read("Bearer ailk_1").as_deref(), Some("ailk_1"));
        for other in ["", "Bearer ", "bearer ailk_1", "Basic ailk_1", "ailk_1"] {
            assert_eq!(read(other), None, "{other}");
        }
        assert_eq!(read(&format!("Bearer {}", "a".repeat(MAX_HEADER_BYTES))), None);
        assert_eq!(bearer(&MetadataMap::new()), None);
    }
}
