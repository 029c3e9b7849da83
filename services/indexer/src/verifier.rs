//! Transactions of the server, with proofs that lead to our own headers.
//!
//! The server says which transactions there are and where; what it says is checked: ids are recomputed, a
//! block is believed only with a merkle branch to its header's root, confirmations are counted on our chain.
//! A server can still hide a transaction, or keep quiet about its block: then less is claimed, never more.
//! Witness data is not covered by a txid and therefore not proved.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bitcoin::{ScriptBuf, Transaction, Txid};
use futures::stream::{StreamExt as _, TryStreamExt as _};
use tokio::time::Instant;

use crate::domain::block::BlockRef;
use crate::domain::merkle::MerkleBranch;
use crate::domain::relevance;
use crate::error::LookupError;
use crate::ports::ElectrumSource;
use crate::store::ChainStore;
use crate::sync::{SyncMonitor, SyncState};
use crate::telemetry::Metrics;

mod cache;
mod fetch;
mod locate;
mod prove;

use cache::ProofCache;
use prove::Round;

/// Calls to the server that one request keeps in flight.
const CALLS_IN_FLIGHT: usize = 8;
/// Transactions that a request for scripts answers at most.
const MAX_SCRIPT_TRANSACTIONS: usize = 1_000;
/// Bytes of transactions that a request for scripts answers at most; fits a gRPC message with the proofs.
const MAX_ANSWER_BYTES: usize = 3 * 1024 * 1024;
/// How long to wait for chain and server to agree, when a proof and a header do not fit.
const AGREE_TIMEOUT: Duration = Duration::from_secs(3);
const AGREE_PAUSE: Duration = Duration::from_millis(50);

/// Looks transactions up and proves them.
pub struct Verifier {
    source: Arc<dyn ElectrumSource>,
    store: ChainStore,
    sync: SyncMonitor,
    cache: ProofCache,
    metrics: Arc<Metrics>,
}

/// A transaction whose id was recomputed from its bytes.
#[derive(Debug)]
pub struct FetchedTransaction {
    /// Its id.
    pub txid: Txid,
    /// The transaction.
    pub transaction: Transaction,
    /// In consensus encoding.
    pub raw: Vec<u8>,
}

/// A transaction and where it stands.
#[derive(Debug, Clone)]
pub struct VerifiedTransaction {
    /// The transaction.
    pub fetched: Arc<FetchedTransaction>,
    /// Its block and proof; `None` while unconfirmed.
    pub proof: Option<Proof>,
}

/// A verified place in the best chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The block.
    pub block: BlockRef,
    /// The way to the block's merkle root.
    pub branch: MerkleBranch,
}

/// Transactions as of one tip.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Confirmed ones first, by height and position; then unconfirmed ones by id.
    pub transactions: Vec<VerifiedTransaction>,
    /// The tip that confirmations are counted from.
    pub tip: BlockRef,
}

/// What is asked.
enum Question {
    Transaction(Txid),
    Scripts(BTreeSet<ScriptBuf>),
}

/// A transaction and where the server says it is.
#[derive(Debug, Clone)]
struct Located {
    fetched: Arc<FetchedTransaction>,
    height: Option<u32>,
}

impl Verifier {
    /// Answers from `source`, checked against `store`.
    pub fn new(
        source: Arc<dyn ElectrumSource>,
        store: ChainStore,
        sync: SyncMonitor,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { source, store, sync, cache: ProofCache::new(), metrics }
    }

    /// One transaction.
    pub async fn transaction(&self, txid: Txid) -> Result<Answer, LookupError> {
        self.until_agreed(Question::Transaction(txid)).await
    }

    /// The transactions that pay to, or spend from, any of the scripts.
    pub async fn script_transactions(&self, scripts: BTreeSet<ScriptBuf>) -> Result<Answer, LookupError> {
        self.until_agreed(Question::Scripts(scripts)).await
    }

    /// One look at server and chain.
    async fn look(&self, question: &Question) -> Result<Round, LookupError> {
        let located = match question {
            Question::Transaction(txid) => {
                let fetched = self.fetch(*txid).await?;
                let height = self.locate(&fetched).await?;
                vec![Located { fetched, height }]
            }
            Question::Scripts(scripts) => self.locate_scripts(scripts).await?,
        };
        self.prove(located).await
    }

    async fn locate_scripts(&self, scripts: &BTreeSet<ScriptBuf>) -> Result<Vec<Located>, LookupError> {
        let histories: Vec<_> = futures::stream::iter(scripts.clone())
            .map(|script| async move { self.source.script_history(&script).await })
            .buffer_unordered(CALLS_IN_FLIGHT)
            .try_collect()
            .await?;
        let places = locate::merge(histories.into_iter().flatten());
        if places.len() > MAX_SCRIPT_TRANSACTIONS {
            return Err(LookupError::TooMany { limit: MAX_SCRIPT_TRANSACTIONS });
        }
        let located: Vec<Located> = futures::stream::iter(places)
            .map(|(txid, height)| async move { Ok(Located { fetched: self.fetch(txid).await?, height }) })
            .buffer_unordered(CALLS_IN_FLIGHT)
            .try_collect::<Vec<_>>()
            .await
            .map_err(|error: LookupError| error.within_history())?;
        let bytes = located.iter().map(|located| located.fetched.raw.len()).fold(0, usize::saturating_add);
        if bytes > MAX_ANSWER_BYTES {
            return Err(LookupError::TooManyBytes { limit: MAX_ANSWER_BYTES });
        }
        let transactions = located.iter().map(|located| &located.fetched.transaction);
        if let Some(stranger) = relevance::first_stranger(scripts, transactions) {
            self.metrics.refused("history");
            return Err(LookupError::Unrelated(stranger));
        }
        Ok(located)
    }

    /// Repeats a lookup while chain and server are at different blocks, which a new block or a reorg makes
    /// them for a moment. What does not fit in the end is refused; blocks above our tip do not count yet.
    async fn until_agreed(&self, question: Question) -> Result<Answer, LookupError> {
        if self.sync.state() != SyncState::Synced {
            return Err(LookupError::NotSynced);
        }
        let give_up = Instant::now() + AGREE_TIMEOUT;
        loop {
            let round = self.look(&question).await;
            let agreed = match &round {
                Ok(round) => round.ahead == 0 && round.unproved.is_none(),
                Err(error) => !error.may_be_a_race(),
            };
            if agreed || Instant::now() >= give_up {
                let round = round?;
                return match round.unproved {
                    None => Ok(round.answer),
                    Some(unproved) => {
                        self.metrics.refused("proof");
                        Err(unproved)
                    }
                };
            }
            tokio::time::sleep(AGREE_PAUSE).await;
            self.sync.refresh(give_up.saturating_duration_since(Instant::now())).await;
        }
    }
}
