//! Bringing the wallet up to date through the [`ChainView`] port.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use ::bdk_wallet::chain::{BlockId, CheckPoint, ConfirmationBlockTime, TxUpdate};
use ::bdk_wallet::{KeychainKind, Update};
use ailayer_primitives::UnixS;
use bitcoin::block::Header;
use bitcoin::{BlockHash, ScriptBuf, Txid};

use super::AnchorWallet;
use crate::domain::spv::{self, BlockRef};
use crate::ports::{ChainError, ChainView, MAX_SCRIPTS, SeenTransaction};

/// Scripts watched beyond the last one handed out: the usual gap limit.
const LOOKAHEAD: usize = 20;
/// Blocks within which a reorganisation may still change what a script holds.
const UNSETTLED_BLOCKS: u32 = 12;
/// Most rounds of one sync; each but the last found a script beyond the revealed ones in use.
const MAX_ROUNDS: usize = 50;

/// Which scripts are asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sweep {
    /// Scripts with coins, with recent movements, or not used yet.
    Live,
    /// Every script ever handed out: at the start, and after a reorganisation.
    Full,
}

/// Why the wallet could not be brought up to date. Its state is as before.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The chain source failed.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The chain source's best chain ends below what the wallet has seen: it is catching up or in a reorganisation.
    #[error("the chain source is behind the wallet")]
    Behind,
    /// The chain moved between two answers; the next sync sees it whole.
    #[error("the chain moved during the sync")]
    Moved,
    /// The source's genesis block is another.
    #[error("the chain source follows another chain")]
    OtherChain,
}

impl AnchorWallet {
    /// Asks about the scripts, checks every claim of inclusion, and applies what was found. `keep` are transactions
    /// that stay valid although no mempool may know them: our own anchors in flight.
    ///
    /// # Errors
    /// [`SyncError`]; nothing is applied then.
    pub async fn sync(
        &mut self,
        chain: &dyn ChainView,
        sweep: Sweep,
        keep: &HashSet<Txid>,
        now: UnixS,
    ) -> Result<(), SyncError> {
        let tip = chain.tip().await?.block;
        let (base, reorganised) = self.common_block(chain, tip).await?;
        let sweep = if reorganised.is_some() { Sweep::Full } else { sweep };
        let mut blocks = BTreeMap::from([(tip.height, tip.block_hash)]);
        if let Some(height) = reorganised {
            blocks.insert(height, header_at(chain, height).await?.block_hash());
        }
        let mut found = Found { now_unix_s: now.0, ..Found::default() };
        let mut asked: HashSet<ScriptBuf> = HashSet::new();
        for _ in 0..MAX_ROUNDS {
            let scripts: Vec<_> =
                self.scripts(sweep, &found).into_iter().filter(|script| !asked.contains(script)).collect();
            if scripts.is_empty() {
                break;
            }
            for batch in scripts.chunks(MAX_SCRIPTS) {
                for seen in chain.script_transactions(batch).await? {
                    self.take_in(chain, seen, &base, &mut blocks, &mut found).await?;
                }
            }
            asked.extend(scripts);
        }
        self.mark_evicted(&asked, keep, &mut found);
        let update = Update {
            last_active_indices: found.last_active,
            tx_update: found.transactions,
            chain: Some(extend(base, blocks)?),
        };
        self.wallet.apply_update(update).map_err(|_| SyncError::Moved)
    }

    /// The newest block of the wallet's that is on the source's chain, and the height of the next one above it, which
    /// is not.
    async fn common_block(
        &self,
        chain: &dyn ChainView,
        tip: BlockRef,
    ) -> Result<(CheckPoint, Option<u32>), SyncError> {
        let mut left_chain = None;
        for checkpoint in self.wallet.latest_checkpoint().iter() {
            if checkpoint.height() > tip.height {
                return Err(SyncError::Behind);
            }
            let hash = if checkpoint.height() == tip.height {
                Some(tip.block_hash)
            } else {
                chain.headers(checkpoint.height(), 1).await?.first().map(Header::block_hash)
            };
            // A source that starts above genesis does not serve it; its network was compared with ours.
            let unserved_genesis = checkpoint.height() == 0 && hash.is_none();
            if hash == Some(checkpoint.hash()) || unserved_genesis {
                return Ok((checkpoint, left_chain));
            }
            left_chain = Some(checkpoint.height());
        }
        Err(SyncError::OtherChain)
    }

    /// The scripts to ask about, given what was found so far.
    fn scripts(&self, sweep: Sweep, found: &Found) -> BTreeSet<ScriptBuf> {
        let mut scripts = BTreeSet::new();
        for keychain in [KeychainKind::External, KeychainKind::Internal] {
            let revealed = self.wallet.derivation_index(keychain);
            let last = revealed.max(found.last_active.get(&keychain).copied());
            let used = last.map_or(0, |index| usize::try_from(index).unwrap_or(usize::MAX).saturating_add(1));
            let first = if sweep == Sweep::Full { 0 } else { used };
            let wanted = used.saturating_sub(first).saturating_add(LOOKAHEAD);
            let beyond = self.wallet.unbounded_spk_iter(keychain).skip(first).take(wanted);
            scripts.extend(beyond.map(|(_, script)| script));
            let unused = self.wallet.list_unused_addresses(keychain);
            scripts.extend(unused.map(|info| info.address.script_pubkey()));
        }
        scripts.extend(self.wallet.list_unspent().map(|coin| coin.txout.script_pubkey));
        scripts.extend(self.unsettled_scripts());
        scripts
    }

    /// Our scripts in transactions that a reorganisation may still touch.
    fn unsettled_scripts(&self) -> Vec<ScriptBuf> {
        let settled = self.wallet.latest_checkpoint().height().saturating_sub(UNSETTLED_BLOCKS);
        let graph = self.wallet.tx_graph();
        let mut scripts = Vec::new();
        for seen in self.wallet.transactions() {
            let height = seen.chain_position.confirmation_height_upper_bound();
            if height.is_some_and(|height| height <= settled) {
                continue;
            }
            let spent = seen.tx_node.input.iter().filter_map(|input| graph.get_txout(input.previous_output));
            let paid = seen.tx_node.output.iter();
            scripts.extend(spent.chain(paid).map(|output| output.script_pubkey.clone()));
        }
        scripts.retain(|script| self.wallet.is_mine(script.clone()));
        scripts
    }

    /// Checks one transaction and adds it to what was found.
    async fn take_in(
        &self,
        chain: &dyn ChainView,
        seen: SeenTransaction,
        base: &CheckPoint,
        blocks: &mut BTreeMap<u32, BlockHash>,
        found: &mut Found,
    ) -> Result<(), SyncError> {
        let txid = seen.transaction.compute_txid();
        if !found.seen.insert(txid) {
            return Ok(());
        }
        match seen.inclusion {
            None => {
                found.transactions.seen_ats.insert((txid, found.now_unix_s));
            }
            Some((block, _)) if self.is_known(txid, block, base) => {}
            Some((block, branch)) => {
                let header = header_at(chain, block.height).await?;
                if header.block_hash() != block.block_hash {
                    return Err(SyncError::Moved);
                }
                spv::verify_branch(txid, &branch, &header)
                    .map_err(|error| ChainError::Invalid(error.to_string()))?;
                let block_id = BlockId { height: block.height, hash: block.block_hash };
                let anchor = ConfirmationBlockTime { block_id, confirmation_time: u64::from(header.time) };
                found.transactions.anchors.insert((anchor, txid));
                if blocks.insert(block.height, block.block_hash).is_some_and(|hash| hash != block.block_hash)
                {
                    return Err(SyncError::Moved);
                }
            }
        }
        for output in &seen.transaction.output {
            if let Some((keychain, index)) = self.wallet.derivation_of_spk(output.script_pubkey.clone()) {
                let last = found.last_active.entry(keychain).or_insert(index);
                *last = index.max(*last);
            }
        }
        found.transactions.txs.push(Arc::new(seen.transaction));
        Ok(())
    }

    /// Whether an earlier sync checked that this block, which is still on the chain, holds the transaction.
    fn is_known(&self, txid: Txid, block: BlockRef, base: &CheckPoint) -> bool {
        let on_chain = base.get(block.height).is_some_and(|checkpoint| checkpoint.hash() == block.block_hash);
        let anchors = self.wallet.tx_graph().all_anchors().get(&txid);
        on_chain
            && anchors
                .is_some_and(|anchors| anchors.iter().any(|anchor| anchor.block_id.hash == block.block_hash))
    }

    /// Unconfirmed transactions of scripts we asked about that nobody knows any more are gone.
    fn mark_evicted(&self, asked: &HashSet<ScriptBuf>, keep: &HashSet<Txid>, found: &mut Found) {
        for known in self.wallet.transactions() {
            let txid = known.tx_node.txid;
            let paid_us = known.tx_node.output.iter().any(|output| asked.contains(&output.script_pubkey));
            if !known.chain_position.is_confirmed()
                && paid_us
                && !found.seen.contains(&txid)
                && !keep.contains(&txid)
            {
                found.transactions.evicted_ats.insert((txid, found.now_unix_s));
            }
        }
    }
}

/// What a sync has found so far.
#[derive(Default)]
struct Found {
    now_unix_s: u64,
    seen: HashSet<Txid>,
    transactions: TxUpdate<ConfirmationBlockTime>,
    last_active: BTreeMap<KeychainKind, u32>,
}

async fn header_at(chain: &dyn ChainView, height: u32) -> Result<Header, SyncError> {
    chain.headers(height, 1).await?.into_iter().next().ok_or(SyncError::Moved)
}

/// The wallet's chain up to `base` with the blocks put in: those below fill gaps, those above extend it.
fn extend(base: CheckPoint, blocks: BTreeMap<u32, BlockHash>) -> Result<CheckPoint, SyncError> {
    let mut chain = base;
    for (height, hash) in blocks {
        let taken = chain.get(height);
        if taken.as_ref().is_some_and(|checkpoint| checkpoint.hash() != hash) {
            return Err(SyncError::Moved);
        }
        if taken.is_none() {
            chain = chain.insert(BlockId { height, hash });
        }
    }
    Ok(chain)
}
