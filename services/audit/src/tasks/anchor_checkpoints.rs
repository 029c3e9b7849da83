//! Anchors checkpoints in Bitcoin and follows each anchor until it is final, and past that as far as a reorganisation
//! may reach. The state machine is drawn in [`crate::domain::anchor`].
//!
//! The chain source may be away for as long as it likes: appending does not depend on it. A turn that fails is taken
//! again at the next look.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ailayer_platform::clock;
use ailayer_platform::tasks::Shutdown;
use ailayer_primitives::Network;
use ailayer_store::{SingleWriter, Store, StoreError};
use bitcoin::FeeRate;
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::adapters::bdk::{self, AnchorWallet, Sweep, SyncError, WalletError};
use crate::domain::anchor::AnchorPolicy;
use crate::domain::spv::{BlockRef, SpvError};
use crate::ports::{ChainError, ChainView};
use crate::store::checkpoint::StoredCheckpoint;
use crate::store::{anchor, wallet};

mod follow;
mod make;
mod status;

use status::Status;

/// Time between looks at the wallet's scripts while it has coins and the chain stands still.
const SYNC_INTERVAL: Duration = Duration::from_mins(1);
/// The same while it waits for a deposit.
const UNFUNDED_SYNC_INTERVAL: Duration = Duration::from_secs(5);
/// Stored wallet changes above which they are merged into one at the start.
const MAX_STORED_CHANGES: usize = 64;

/// What others may know of wallet and chain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WalletView {
    /// The address that funds anchors.
    pub address: String,
    /// All coins, satoshi.
    pub balance_sat: u64,
    /// The newest block seen; `None` before the first look.
    pub tip: Option<BlockRef>,
}

/// Settings of anchoring.
#[derive(Debug, Clone, Copy)]
pub struct AnchorSettings {
    /// The network that anchors go to.
    pub network: Network,
    /// What decisions depend on.
    pub policy: AnchorPolicy,
    /// Least time between two anchors.
    pub interval: Duration,
    /// Time between looks at the chain.
    pub poll_interval: Duration,
    /// The highest fee rate paid.
    pub max_fee_rate: FeeRate,
}

/// Why a turn could not be finished.
#[derive(Debug, thiserror::Error)]
pub enum AnchorError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The chain source.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The wallet could not be brought up to date.
    #[error("wallet sync: {0}")]
    Sync(#[from] SyncError),
    /// The wallet.
    #[error(transparent)]
    Wallet(#[from] WalletError),
    /// The chain source follows another network than the one configured.
    #[error("the chain source follows {0}")]
    OtherNetwork(Network),
    /// The chain moved between two answers.
    #[error("the chain moved while it was looked at")]
    Moved,
    /// A stored checkpoint cannot be read.
    #[error("the checkpoint is not a note")]
    Checkpoint,
}

impl From<SpvError> for AnchorError {
    fn from(error: SpvError) -> Self {
        match error {
            SpvError::NoHeaders | SpvError::WrongBlock => Self::Moved,
            other => Self::Chain(ChainError::Invalid(other.to_string())),
        }
    }
}

impl AnchorError {
    /// True when the service must stop: damaged rows, or another writer.
    const fn is_fatal(&self) -> bool {
        match self {
            Self::Store(error) => !error.is_transient(),
            Self::Wallet(error) => matches!(error, WalletError::Open(_)),
            Self::Checkpoint => true,
            _ => false,
        }
    }
}

/// The task's state.
pub struct Anchorer {
    store: Store,
    writer: Arc<SingleWriter>,
    chain: Arc<dyn ChainView>,
    settings: AnchorSettings,
    mnemonic: Zeroizing<String>,
    published: watch::Receiver<Arc<StoredCheckpoint>>,
    view: watch::Sender<WalletView>,
    /// `None` when its memory may differ from what is stored; it is opened again then.
    wallet: Option<AnchorWallet>,
    last_tip: Option<BlockRef>,
    last_sync: Option<Instant>,
    status: Status,
}

impl Anchorer {
    /// Opens the wallet and prepares the task. Nothing is asked of the chain source yet.
    ///
    /// # Errors
    /// [`AnchorError`] when the wallet cannot be opened or stored.
    pub async fn open(
        store: Store,
        writer: Arc<SingleWriter>,
        chain: Arc<dyn ChainView>,
        settings: AnchorSettings,
        mnemonic: Zeroizing<String>,
        published: watch::Receiver<Arc<StoredCheckpoint>>,
    ) -> Result<(Self, watch::Receiver<WalletView>), AnchorError> {
        let (view, seen) = watch::channel(WalletView::default());
        let mut anchorer = Self {
            store,
            writer,
            chain,
            settings,
            mnemonic,
            published,
            view,
            wallet: None,
            last_tip: None,
            last_sync: None,
            status: Status::new(),
        };
        anchorer.wallet().await?;
        anchorer.store_wallet().await?;
        Ok((anchorer, seen))
    }

    /// Runs until the shutdown. A turn is dropped wherever it waits: whatever must be durable is so before it shows.
    ///
    /// # Errors
    /// [`AnchorError`] when the service must stop.
    pub async fn run(mut self, shutdown: Shutdown) -> Result<(), AnchorError> {
        loop {
            let outcome = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                outcome = self.turn() => outcome,
            };
            self.status.turn(&outcome);
            if let Err(error) = outcome
                && error.is_fatal()
            {
                return Err(error);
            }
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = tokio::time::sleep(self.settings.poll_interval) => {}
            }
        }
    }

    /// One look at the chain and everything that follows from it.
    async fn turn(&mut self) -> Result<(), AnchorError> {
        let tip = self.chain.tip().await?;
        if tip.network != self.settings.network {
            return Err(AnchorError::OtherNetwork(tip.network));
        }
        let tip = tip.block;
        let moved = self.last_tip != Some(tip);
        self.view.send_modify(|view| view.tip = Some(tip));
        if moved {
            self.recheck_final(tip).await?;
        }
        for open in anchor::open(self.store.pool()).await? {
            if moved || open.state.is_unconfirmed() {
                self.follow(open, tip, moved).await?;
            }
        }
        self.sync_when_due(moved).await?;
        self.anchor_when_due(tip).await?;
        self.last_tip = Some(tip);
        Ok(())
    }

    /// The wallet, opened from what is stored if need be.
    async fn wallet(&mut self) -> Result<&mut AnchorWallet, AnchorError> {
        let opened = match self.wallet.take() {
            Some(wallet) => wallet,
            None => {
                self.last_sync = None;
                let stored = wallet::read(self.store.pool()).await?;
                let merged = bdk::merge_stored(&stored)?;
                if stored.len() > MAX_STORED_CHANGES {
                    let change = serde_json::to_string(&merged)
                        .map_err(|error| WalletError::Open(error.to_string()))?;
                    let mut tx = self.store.begin().await?;
                    self.writer.check_in_tx(&mut tx).await?;
                    wallet::compact_in_tx(&mut tx, &change).await?;
                    tx.commit().await.map_err(StoreError::from)?;
                }
                AnchorWallet::open(&self.mnemonic, self.settings.network.into(), merged)?
            }
        };
        Ok(self.wallet.insert(opened))
    }

    /// Stores what changed in the wallet and shows address and balance.
    async fn store_wallet(&mut self) -> Result<(), AnchorError> {
        let wallet = self.wallet().await?;
        let (address, balance_sat) = (wallet.address(), wallet.balance_sat());
        if let Some(change) = wallet.take_staged()? {
            // Until it is stored the memory is ahead of the database: an error drops it.
            let held = self.wallet.take();
            let mut tx = self.store.begin().await?;
            self.writer.check_in_tx(&mut tx).await?;
            wallet::append_in_tx(&mut tx, &change).await?;
            tx.commit().await.map_err(StoreError::from)?;
            self.wallet = held;
        }
        self.status.balance(balance_sat);
        self.view.send_modify(|view| {
            view.address = address;
            view.balance_sat = balance_sat;
        });
        Ok(())
    }

    async fn sync_when_due(&mut self, moved: bool) -> Result<(), AnchorError> {
        let interval = if self.status.is_funded() { SYNC_INTERVAL } else { UNFUNDED_SYNC_INTERVAL };
        if moved || self.wallet.is_none() || self.last_sync.is_none_or(|last| last.elapsed() >= interval) {
            let unknown = self.wallet.is_none() || self.last_sync.is_none();
            let sweep = if unknown { Sweep::Full } else { Sweep::Live };
            self.sync(sweep).await?;
        }
        Ok(())
    }

    async fn sync(&mut self, sweep: Sweep) -> Result<(), AnchorError> {
        let open = anchor::open(self.store.pool()).await?;
        let keep: HashSet<_> =
            open.iter().flat_map(|anchor| anchor.attempts.iter().map(|attempt| attempt.txid)).collect();
        let chain = Arc::clone(&self.chain);
        self.wallet().await?.sync(chain.as_ref(), sweep, &keep, clock::now_s()).await?;
        self.store_wallet().await?;
        self.last_sync = Some(Instant::now());
        Ok(())
    }
}
