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

use crate::domain::api_key::{AccountLimits, Caller, KeyId, Scope, hash};
use crate::domain::ledger::CustomerId;
use crate::domain::rate::Bucket;
use crate::known;
use crate::store::{account_limits, api_keys};

/// How long a key that was found is believed: a revocation counts everywhere within that.
const FRESH: Duration = Duration::from_secs(1);
/// Keys that are remembered; beyond them the stale ones go.
const MAX_REMEMBERED: usize = 10_000;
/// Keys that are read in one statement.
const READ_TOGETHER: usize = 1_000;
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
    /// By the hash of the key.
    found: HashMap<Digest, Found>,
    /// How often something was forgotten: what was being read meanwhile is not remembered.
    forgotten: u64,
    /// Of keys and accounts, by id.
    buckets: HashMap<Uuid, Buckets>,
}

/// A key as [`known::Known`] would remember it, one of many that are read again together.
struct Found {
    /// Before it was read.
    at: Instant,
    caller: Caller,
    used: bool,
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
        self.shared.lock().forget(|caller| caller.key_id == id);
    }

    /// Forgets what was remembered of an account, so that other limits count here at once.
    pub fn forget_account(&self, id: CustomerId) {
        self.shared.lock().forget(|caller| caller.account == id);
    }

    /// Reads ahead of need what is remembered of those who called lately.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let is_due = |found: &Found| found.used && known::is_due(found.at, FRESH);
        let due: Vec<Digest> = {
            let shared = self.shared.lock();
            shared.found.iter().filter(|(_, found)| is_due(found)).map(|(hash, _)| *hash).collect()
        };
        for hashes in due.chunks(READ_TOGETHER) {
            let (at, forgotten) = (Instant::now(), self.shared.lock().forgotten);
            let mut callers = self.read(hashes).await?;
            let mut shared = self.shared.lock();
            if shared.forgotten != forgotten {
                continue;
            }
            for hash in hashes {
                match callers.remove(hash) {
                    Some(caller) => shared.remember(*hash, Found { at, caller, used: false }),
                    None => drop(shared.found.remove(hash)),
                }
            }
        }
        Ok(())
    }

    async fn look_up(&self, text: &str) -> Result<Caller, AccessError> {
        let key_hash = hash(text);
        let (at, forgotten) = {
            let mut shared = self.shared.lock();
            if let Some(found) = shared.found.get_mut(&key_hash).filter(|found| found.at.elapsed() < FRESH) {
                found.used = true;
                return Ok(found.caller.clone());
            }
            (Instant::now(), shared.forgotten)
        };
        let caller = self.read(&[key_hash]).await?.remove(&key_hash).ok_or(AccessError::Invalid)?;
        let mut shared = self.shared.lock();
        if shared.forgotten == forgotten {
            shared.remember(key_hash, Found { at, caller: caller.clone(), used: true });
        }
        Ok(caller)
    }

    /// The callers behind those of the keys that are good, with their accounts' limits.
    async fn read(&self, hashes: &[Digest]) -> Result<HashMap<Digest, Caller>, StoreError> {
        let pool = self.store.pool();
        let mut keys = api_keys::by_hashes(pool, hashes).await?;
        keys.retain(|(_, key)| key.is_good());
        let accounts: Vec<CustomerId> = keys.iter().map(|(_, key)| key.caller.account).collect();
        let limits = account_limits::of_all(pool, &accounts).await?;
        let limits: HashMap<CustomerId, AccountLimits> =
            limits.into_iter().map(|record| (record.account, record.limits)).collect();
        let with_limits = |(hash, key): (Digest, api_keys::KeyRecord)| {
            let account_limits = limits.get(&key.caller.account).copied().unwrap_or_default();
            (hash, Caller { account_limits, ..key.caller })
        };
        Ok(keys.into_iter().map(with_limits).collect())
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

impl Shared {
    fn remember(&mut self, hash: Digest, found: Found) {
        if self.found.len() >= MAX_REMEMBERED {
            self.found.retain(|_, found| found.at.elapsed() < FRESH);
        }
        if self.found.len() < MAX_REMEMBERED {
            self.found.insert(hash, found);
        }
    }

    fn forget(&mut self, is_it: impl Fn(&Caller) -> bool) {
        self.found.retain(|_, found| !is_it(&found.caller));
        self.forgotten = self.forgotten.wrapping_add(1);
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
