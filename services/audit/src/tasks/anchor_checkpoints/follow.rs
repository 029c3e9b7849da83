//! Following an anchor: what the chain shows of it, and what is to be done about it.

use ailayer_platform::crash;
use ailayer_store::StoreError;
use bitcoin::Txid;

use super::{AnchorError, Anchorer};
use crate::adapters::bdk::{InputFate, Sweep};
use crate::domain::anchor::{self, Action, Anchor, AnchorState, Inclusion, Sight};
use crate::domain::spv::{self, BlockRef};
use crate::ports::{ChainError, MAX_HEADERS};
use crate::store;

/// Blocks below the tip in which a FINAL anchor is still compared with the chain. A deeper reorganisation has never
/// happened on the production network; proofs handed out are checked against the chain in any case.
const RECHECK_BLOCKS: u32 = 144;
/// Blocks after which coins whose funding vanished are given up.
const ORPHAN_PATIENCE_BLOCKS: u32 = 6;

impl Anchorer {
    /// Compares FINAL anchors with the best chain and takes up those that fell out of it.
    pub(super) async fn recheck_final(&mut self, tip: BlockRef) -> Result<(), AnchorError> {
        let lowest = tip.height.saturating_sub(RECHECK_BLOCKS);
        let anchors = store::anchor::final_from(self.store.pool(), lowest).await?;
        let Some(from) =
            anchors.iter().filter_map(|anchor| Some(anchor.inclusion.as_ref()?.block.height)).min()
        else {
            return Ok(());
        };
        let headers = self.chain.headers(from, RECHECK_BLOCKS.saturating_add(1)).await?;
        for anchor in anchors {
            let Some(inclusion) = &anchor.inclusion else { continue };
            let position = usize::try_from(inclusion.block.height.saturating_sub(from)).unwrap_or(usize::MAX);
            let on_chain = headers.get(position).map(|header| header.block_hash());
            if on_chain != Some(inclusion.block.block_hash) {
                tracing::warn!(
                    tree_size = anchor.tree_size,
                    height = inclusion.block.height,
                    "a final anchor fell out of the chain"
                );
                self.follow(anchor, tip, true).await?;
            }
        }
        Ok(())
    }

    /// Looks for an anchor's transactions and goes where the state machine says.
    pub(super) async fn follow(
        &mut self,
        mut anchor: Anchor,
        tip: BlockRef,
        moved: bool,
    ) -> Result<(), AnchorError> {
        let (sight, inclusion) = self.look(&anchor).await?;
        if inclusion.is_none() && anchor.inclusion.is_some() {
            // Out of its block: the wait for the next one begins now.
            anchor = self.enter(anchor, AnchorState::Signed, None, tip.height).await?;
        }
        let waited_blocks = tip.height.saturating_sub(anchor.waiting_height);
        let (state, action) = anchor::next(anchor.state, sight, waited_blocks, moved, self.settings.policy);
        let waiting_height = anchor.waiting_height;
        match action {
            Action::Wait => self.enter(anchor, state, inclusion, waiting_height).await.map(drop),
            Action::Broadcast => self.broadcast(anchor, waited_blocks, moved).await,
            Action::Bump => match self.bump(anchor, tip).await? {
                Some(not_raised) if moved => self.broadcast(not_raised, waited_blocks, moved).await,
                _ => Ok(()),
            },
        }
    }

    /// What the chain shows, newest attempt first; inclusion is believed only with its proofs.
    async fn look(&self, anchor: &Anchor) -> Result<(Sight, Option<Inclusion>), AnchorError> {
        let mut sight = Sight::Missing;
        for attempt in anchor.attempts.iter().rev() {
            let Some(seen) = self.chain.transaction(attempt.txid).await? else { continue };
            let Some((block, branch)) = seen.inclusion else {
                sight = Sight::Unconfirmed;
                continue;
            };
            let wanted = self.settings.policy.confirmations.min(MAX_HEADERS);
            let headers = self.chain.headers(block.height, wanted).await?;
            spv::verify_headers(block.block_hash, &headers)?;
            let first = headers.first().ok_or(AnchorError::Moved)?;
            spv::verify_branch(attempt.txid, &branch, first)?;
            let confirmations = u32::try_from(headers.len()).unwrap_or(u32::MAX);
            let headers = spv::encode_headers(&headers);
            let inclusion = Inclusion { txid: attempt.txid, block, branch, headers };
            return Ok((Sight::Mined { confirmations }, Some(inclusion)));
        }
        Ok((sight, None))
    }

    /// Stores where an anchor stands, if that is news, and returns it so.
    async fn enter(
        &self,
        before: Anchor,
        state: AnchorState,
        inclusion: Option<Inclusion>,
        waiting_height: u32,
    ) -> Result<Anchor, AnchorError> {
        let after = Anchor { state, inclusion, waiting_height, ..before.clone() };
        if after == before {
            return Ok(before);
        }
        let mut tx = self.store.begin().await?;
        self.writer.check_in_tx(&mut tx).await?;
        store::anchor::update_in_tx(&mut tx, &after).await?;
        tx.commit().await.map_err(StoreError::from)?;
        if after.state != before.state {
            self.status.entered(&after, Some(before.state));
        }
        Ok(after)
    }

    /// Hands the stored bytes to the network: the newest attempt, or an older one that the network prefers.
    pub(super) async fn broadcast(
        &mut self,
        anchor: Anchor,
        waited_blocks: u32,
        moved: bool,
    ) -> Result<(), AnchorError> {
        let waiting_height = anchor.waiting_height;
        for attempt in anchor.attempts.iter().rev() {
            match self.chain.broadcast(&attempt.transaction).await {
                Ok(()) => {
                    crash::point("audit.anchor.broadcast");
                    return self.enter(anchor, AnchorState::Broadcast, None, waiting_height).await.map(drop);
                }
                Err(ChainError::Rejected(reason)) => self.status.rejected(attempt.txid, reason),
                Err(error) => return Err(error.into()),
            }
        }
        let lost = moved && self.is_lost(&anchor, waited_blocks).await?;
        let sight = if lost { Sight::Conflicted } else { Sight::Missing };
        let (state, _) = anchor::next(anchor.state, sight, waited_blocks, moved, self.settings.policy);
        self.enter(anchor, state, None, waiting_height).await.map(drop)
    }

    /// Whether none of the anchor's transactions can ever confirm.
    async fn is_lost(&mut self, anchor: &Anchor, waited_blocks: u32) -> Result<bool, AnchorError> {
        self.sync(Sweep::Full).await?;
        let confirmations = self.settings.policy.confirmations;
        let ours: Vec<Txid> = anchor.attempts.iter().map(|attempt| attempt.txid).collect();
        let wallet = self.wallet().await?;
        let lost = |fate| match fate {
            InputFate::Spendable => false,
            InputFate::Taken => true,
            InputFate::Orphaned => waited_blocks >= ORPHAN_PATIENCE_BLOCKS,
        };
        let mut fates =
            anchor.attempts.iter().map(|made| wallet.input_fate(&made.transaction, &ours, confirmations));
        Ok(fates.all(lost))
    }
}
