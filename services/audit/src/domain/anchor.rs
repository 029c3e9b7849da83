//! An anchor's life: pure decisions, taken from what the chain shows.
//!
//! ```text
//!        (due: a newer checkpoint, the interval is over, nothing unconfirmed)
//!                   │ sign: transaction and reserved inputs are committed
//!                   ▼
//!  ┌──────────▶ SIGNED ◀──────────────┬──────────────────────┐
//!  │ dropped       │ broadcast        │ disconnected         │ disconnected
//!  │               ▼                  │                      │
//!  └────────── BROADCAST ──mined──▶ CONFIRMED ──depth──▶ FINAL
//!                  │ ▲                ▲
//!                  │ └─ bump: one more signed transaction over the same inputs
//!                  │
//!  SIGNED, BROADCAST ──inputs taken by another transaction──▶ CONFLICTED (ends; the checkpoint is due again)
//! ```
//!
//! Whatever is on the network was committed before: a crash behind any arrow repeats the arrow with the same bytes.

use bitcoin::{Transaction, Txid};

use super::spv::{BlockRef, MerkleBranch};

/// How far an anchor has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AnchorState {
    /// The signed transaction is stored; the network may or may not know it.
    Signed,
    /// The chain source has accepted the transaction into its mempool.
    Broadcast,
    /// A block holds the transaction, with fewer confirmations than an anchor needs.
    Confirmed,
    /// A block holds the transaction, with enough confirmations.
    Final,
    /// Another transaction took the inputs; this anchor will never confirm.
    Conflicted,
}

impl AnchorState {
    /// The name in the database, logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Signed => "signed",
            Self::Broadcast => "broadcast",
            Self::Confirmed => "confirmed",
            Self::Final => "final",
            Self::Conflicted => "conflicted",
        }
    }

    /// Reads a stored name.
    pub fn parse(name: &str) -> Option<Self> {
        let all = [Self::Signed, Self::Broadcast, Self::Confirmed, Self::Final, Self::Conflicted];
        all.into_iter().find(|state| state.as_str() == name)
    }

    /// True while no block holds the transaction and one still may.
    pub const fn is_unconfirmed(self) -> bool {
        matches!(self, Self::Signed | Self::Broadcast)
    }
}

/// One signed transaction of an anchor; later attempts replace earlier ones at a higher fee.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Its id.
    pub txid: Txid,
    /// The exact transaction, rebroadcast as it is.
    pub transaction: Transaction,
    /// The committing output.
    pub vout: u32,
    /// Fee, satoshi.
    pub fee_sat: u64,
}

/// The block that holds an anchor, and the proofs of that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inclusion {
    /// Which of the attempts was mined.
    pub txid: Txid,
    /// The block.
    pub block: BlockRef,
    /// The verified merkle branch.
    pub branch: MerkleBranch,
    /// Verified headers from the block upwards, 80 bytes each; as many as were needed for the state.
    pub headers: Vec<[u8; 80]>,
}

/// A checkpoint's anchor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// Row id; later anchors have larger ones.
    pub anchor_id: i64,
    /// Tree size of the anchored checkpoint.
    pub tree_size: u64,
    /// How far it has come.
    pub state: AnchorState,
    /// When it was signed first, Unix milliseconds.
    pub created_unix_ms: u64,
    /// Tip height when the newest attempt was signed or a block with one of them was disconnected: how long it has
    /// waited is counted from here.
    pub waiting_height: u32,
    /// Signed transactions, oldest first; never empty.
    pub attempts: Vec<Attempt>,
    /// Present while CONFIRMED or FINAL.
    pub inclusion: Option<Inclusion>,
}

/// What the chain shows of an anchor's transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// None of them is known.
    Missing,
    /// One is known and in no block. That is no proof that a mempool holds it: a node with a transaction index also
    /// knows what a reorganisation threw out.
    Unconfirmed,
    /// One is in a block of the best chain; confirmations are proved by headers and count its own block.
    Mined {
        /// Blocks on top, including its own.
        confirmations: u32,
    },
    /// None can ever confirm: an input is spent by another confirmed transaction, or its funding is gone for good.
    Conflicted,
}

/// What is to be done besides storing the new state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    Wait,
    /// Hand the newest attempt's bytes to the network.
    Broadcast,
    /// Sign one more attempt at a higher fee.
    Bump,
}

/// The settings decisions depend on.
#[derive(Debug, Clone, Copy)]
pub struct AnchorPolicy {
    /// Confirmations that make an anchor final, at least 1.
    pub confirmations: u32,
    /// Blocks that an attempt may wait unconfirmed before its fee is raised, at least 1.
    pub bump_after_blocks: u32,
}

/// Decides where an anchor in `state` goes. `waited_blocks` counts from its `waiting_height`; `moved` tells whether the
/// tip is another than at the last look.
///
/// Only an accepted broadcast or a block leads out of SIGNED, and every new block without it is a reason to broadcast
/// again: mempools forget, and broadcasting what is known changes nothing.
pub const fn next(
    state: AnchorState,
    sight: Sight,
    waited_blocks: u32,
    moved: bool,
    policy: AnchorPolicy,
) -> (AnchorState, Action) {
    let is_broadcast = matches!(state, AnchorState::Broadcast);
    match sight {
        Sight::Missing => (AnchorState::Signed, Action::Broadcast),
        Sight::Unconfirmed if !is_broadcast => (AnchorState::Signed, Action::Broadcast),
        Sight::Unconfirmed if waited_blocks >= policy.bump_after_blocks => {
            (AnchorState::Broadcast, Action::Bump)
        }
        Sight::Unconfirmed if moved => (AnchorState::Broadcast, Action::Broadcast),
        Sight::Unconfirmed => (AnchorState::Broadcast, Action::Wait),
        Sight::Mined { confirmations } if confirmations >= policy.confirmations => {
            (AnchorState::Final, Action::Wait)
        }
        Sight::Mined { .. } => (AnchorState::Confirmed, Action::Wait),
        Sight::Conflicted => (AnchorState::Conflicted, Action::Wait),
    }
}

/// Whether a checkpoint of this size is to be anchored now. `newest` is the newest anchor that is not CONFLICTED,
/// `in_flight` tells whether any anchor is unconfirmed.
pub fn is_due(
    tree_size: u64,
    newest: Option<&Anchor>,
    in_flight: bool,
    now_unix_ms: u64,
    interval_ms: u64,
) -> bool {
    if in_flight {
        return false;
    }
    let Some(newest) = newest else { return tree_size > 0 };
    let waited_ms = now_unix_ms.saturating_sub(newest.created_unix_ms);
    tree_size > newest.tree_size && waited_ms >= interval_ms
}

#[cfg(test)]
mod tests;
