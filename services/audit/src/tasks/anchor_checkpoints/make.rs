//! Making an anchor, and making it again at a higher fee. The signed transaction, the inputs it reserves and the change
//! address it uses are one commit; only then does the network see it.

use ailayer_platform::{clock, crash};
use ailayer_primitives::Digest;
use ailayer_store::StoreError;
use ailayer_tlog::note::Note;
use bitcoin::FeeRate;

use super::{AnchorError, Anchorer};
use crate::adapters::bdk::WalletError;
use crate::domain::anchor::{self, Anchor, AnchorState, Attempt};
use crate::domain::commitment;
use crate::domain::spv::BlockRef;
use crate::store;
use crate::store::checkpoint::{self, StoredCheckpoint};

/// Blocks within which an anchor should confirm, for the fee estimate.
const TARGET_BLOCKS: u32 = 6;
/// Most transactions an anchor may have; after them it waits with the last.
const MAX_ATTEMPTS: usize = 12;

impl Anchorer {
    /// Anchors the newest checkpoint if it is time.
    pub(super) async fn anchor_when_due(&mut self, tip: BlockRef) -> Result<(), AnchorError> {
        let checkpoint = self.published.borrow().clone();
        let newest = store::anchor::newest(self.store.pool()).await?;
        let open = store::anchor::open(self.store.pool()).await?;
        let in_flight = open.iter().any(|anchor| anchor.state.is_unconfirmed());
        let now = clock::now_ms();
        let interval_ms = u64::try_from(self.settings.interval.as_millis()).unwrap_or(u64::MAX);
        if !anchor::is_due(checkpoint.tree_size, newest.as_ref(), in_flight, now.0, interval_ms) {
            return Ok(());
        }
        let fee_rate = self.fee_rate().await?;
        let digest = digest(&checkpoint)?;
        let address = self.view.borrow().address.clone();
        let signed = self.wallet().await?.sign_anchor(digest, fee_rate, tip.height, now.to_s());
        let attempt = match signed {
            Ok(attempt) => attempt,
            Err(WalletError::InsufficientFunds { .. }) => {
                self.status.funded(false, &address);
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        self.status.funded(true, &address);
        let mut anchor = Anchor {
            anchor_id: 0,
            tree_size: checkpoint.tree_size,
            state: AnchorState::Signed,
            created_unix_ms: now.0,
            waiting_height: tip.height,
            attempts: vec![attempt],
            inclusion: None,
        };
        anchor.anchor_id = self.commit_attempt(&anchor).await?;
        crash::point("audit.anchor.signed");
        self.status.entered(&anchor, None);
        self.broadcast(anchor, 0, false).await
    }

    /// Replaces an anchor that waits too long, within the highest fee rate; gives it back when that cannot be.
    pub(super) async fn bump(
        &mut self,
        mut anchor: Anchor,
        tip: BlockRef,
    ) -> Result<Option<Anchor>, AnchorError> {
        let last = anchor.attempts.last().filter(|_| anchor.attempts.len() < MAX_ATTEMPTS);
        let Some(last) = last.cloned() else { return Ok(Some(anchor)) };
        let estimate = self.fee_rate().await?;
        let Some(fee_rate) = raised(&last, estimate).filter(|rate| *rate <= self.settings.max_fee_rate)
        else {
            return Ok(Some(anchor));
        };
        let checkpoint = checkpoint::of_size(self.store.pool(), anchor.tree_size).await?;
        let digest = digest(&checkpoint.ok_or(AnchorError::Checkpoint)?)?;
        let now = clock::now_s();
        let replaced = last.txid;
        let attempt = match self.wallet().await?.sign_bump(replaced, digest, fee_rate, tip.height, now) {
            Ok(attempt) => attempt,
            Err(error @ (WalletError::InsufficientFunds { .. } | WalletError::Build(_))) => {
                self.status.rejected(replaced, error.to_string());
                return Ok(Some(anchor));
            }
            Err(error) => return Err(error.into()),
        };
        let (txid, fee_sat) = (attempt.txid, attempt.fee_sat);
        anchor.attempts.push(attempt);
        anchor.waiting_height = tip.height;
        self.commit_attempt(&anchor).await?;
        crash::point("audit.anchor.signed");
        tracing::info!(tree_size = anchor.tree_size, %txid, fee_sat, "anchor fee raised");
        self.broadcast(anchor, 0, false).await?;
        Ok(None)
    }

    /// One transaction: the newest attempt and what changed in the wallet by signing it.
    async fn commit_attempt(&mut self, anchor: &Anchor) -> Result<i64, AnchorError> {
        let change = self.wallet().await?.take_staged()?;
        // Until it is stored the memory is ahead of the database: an error drops it.
        let held = self.wallet.take();
        let mut tx = self.store.begin().await?;
        self.writer.check_in_tx(&mut tx).await?;
        let anchor_id = if anchor.attempts.len() == 1 {
            store::anchor::insert_in_tx(&mut tx, anchor).await?
        } else {
            store::anchor::add_attempt_in_tx(&mut tx, anchor).await?;
            anchor.anchor_id
        };
        if let Some(change) = change {
            store::wallet::append_in_tx(&mut tx, &change).await?;
        }
        tx.commit().await.map_err(StoreError::from)?;
        self.wallet = held;
        Ok(anchor_id)
    }

    /// What the chain source advises, never above the highest rate.
    async fn fee_rate(&self) -> Result<FeeRate, AnchorError> {
        let estimate = self.chain.fee_rate(TARGET_BLOCKS).await?;
        Ok(estimate.max(FeeRate::BROADCAST_MIN).min(self.settings.max_fee_rate))
    }
}

/// What the anchor of a checkpoint commits to.
fn digest(checkpoint: &StoredCheckpoint) -> Result<Digest, AnchorError> {
    let note = Note::parse(checkpoint.note.as_bytes()).map_err(|_| AnchorError::Checkpoint)?;
    Ok(commitment::digest(note.text()))
}

/// The rate of a replacement: the estimate, but a quarter and at least 1 sat/vB above the attempt it replaces, as
/// BIP 125 asks for.
fn raised(last: &Attempt, estimate: FeeRate) -> Option<FeeRate> {
    let weight = last.transaction.weight().to_wu().max(1);
    let paid_sat_per_kwu = last.fee_sat.checked_mul(1000)?.div_ceil(weight);
    let step = (paid_sat_per_kwu / 4).max(FeeRate::BROADCAST_MIN.to_sat_per_kwu());
    Some(estimate.max(FeeRate::from_sat_per_kwu(paid_sat_per_kwu.checked_add(step)?)))
}
