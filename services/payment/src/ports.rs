//! What this service needs: a Lightning node, and a log of what leaves.
//!
//! The node acts; it is not asked what happened. Every call is safe to repeat, and its `Ok` means that the
//! node took the order, nothing more. What happened arrives as events, at least once each, in order.

use ailayer_primitives::{AmountMsat, AmountSat, Digest, PaymentHash, Preimage, UnixS};
use async_trait::async_trait;
use bitcoin::BlockHash;
use bitcoin::secp256k1::PublicKey;
use lightning_invoice::Bolt11Invoice;
use thiserror::Error;

use crate::domain::channel::{Channel, ChannelOrder, UserChannelId};
use crate::domain::funds::NodeFunds;

/// A node that could not do what it was told.
#[derive(Debug, Error)]
pub enum NodeError {
    /// It did not answer in time; whether it did what it was told is not known.
    #[error("the lightning node does not answer")]
    NoAnswer,
    /// It is not running (starting, or stopped).
    #[error("the lightning node is not running")]
    NotRunning,
    /// The wallet does not cover the order and the anchor reserve.
    #[error("the on-chain wallet does not cover the channel and its reserve")]
    InsufficientFunds,
    /// The peer cannot be reached.
    #[error("the peer cannot be reached")]
    PeerUnreachable,
    /// The order itself is wrong; the sentence says how.
    #[error("the lightning node refused: {0}")]
    Refused(String),
    /// Anything else; the cause is inside.
    #[error("the lightning node failed")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// How an order to pay ended. Only the first two say where the money is.
#[derive(Debug, Error)]
pub enum SendError {
    /// The node has this payment hash already: in flight, or done.
    #[error("the payment hash is known to the node")]
    Duplicate,
    /// This attempt moved nothing: no route, no capacity, expired.
    #[error("the payment was not sent: {0}")]
    NotSent(String),
    /// It may have been sent or not.
    #[error("the outcome is unknown")]
    Unknown(#[source] NodeError),
}

/// The log did not take an entry, or did not say so.
#[derive(Debug, Error)]
#[error("the audit log does not take the payout")]
pub struct LogError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// The audit log, as far as payouts need it.
#[async_trait]
pub trait PayoutLog: Send + Sync {
    /// Appends an entry and answers with its index, once it is sequenced durably. The same bytes have one index.
    async fn append(&self, entry: &[u8]) -> Result<u64, LogError>;
}

/// A block the node knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tip {
    /// Its hash.
    pub block_hash: BlockHash,
    /// Its height.
    pub height: u32,
}

/// The node now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeStatus {
    /// Running.
    pub running: bool,
    /// The newest block the node acts upon.
    pub tip: Tip,
    /// When the node last confirmed its view with the chain source; `None` if not since its start.
    pub synced_at: Option<UnixS>,
}

/// What the node owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NodeBalances {
    /// Confirmed and unconfirmed.
    pub onchain_total: AmountSat,
    /// May be spent now.
    pub onchain_spendable: AmountSat,
    /// Kept to bump force-closes.
    pub anchor_reserve: AmountSat,
    /// What would come back from channels if all closed now.
    pub lightning: AmountSat,
}

/// An invoice the node made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedInvoice {
    /// The text.
    pub bolt11: String,
    /// When it stops being payable.
    pub expiry: UnixS,
}

/// What the node's own list says of a payment hash. A missing entry proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeRecord {
    /// The node is trying.
    InFlight,
    /// Done: paid out, or received.
    Succeeded,
    /// The node gave up.
    Failed,
}

/// What happened at the node. At least once, in order; the same until it is marked handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeEvent {
    /// Money is locked to a payment hash of ours.
    PaymentClaimable {
        /// The node's own id of the payment; upstream will key by it.
        payment_id: [u8; 32],
        /// The hash.
        payment_hash: PaymentHash,
        /// What arrived.
        amount: AmountMsat,
        /// When the node gives it back by itself.
        claim_deadline_height: Option<u32>,
    },
    /// The preimage of an incoming payment is durable in the channel monitor.
    PaymentReceived {
        /// The hash.
        payment_hash: PaymentHash,
        /// What was taken.
        amount: AmountMsat,
    },
    /// The recipient took an outgoing payment.
    PaymentSent {
        /// The hash.
        payment_hash: PaymentHash,
        /// The proof.
        preimage: [u8; 32],
        /// What routing cost.
        fee: AmountMsat,
    },
    /// An outgoing payment moved nothing and never will.
    PaymentFailed {
        /// The hash.
        payment_hash: PaymentHash,
        /// A short machine word.
        reason: String,
    },
    /// A payment of others went through this node.
    PaymentForwarded {
        /// What it earned. What the node cannot say yet, because a channel was closed meanwhile, counts as nothing.
        fee: AmountMsat,
        /// Digest of all that the event says; the same payment has the same one, another may, too.
        fingerprint: Digest,
    },
    /// A channel's funding is agreed upon; it cannot be used yet.
    ChannelPending {
        /// The channel.
        user_channel_id: UserChannelId,
    },
    /// A channel can be used.
    ChannelReady {
        /// The channel.
        user_channel_id: UserChannelId,
    },
    /// A channel is closed.
    ChannelClosed {
        /// The channel.
        user_channel_id: UserChannelId,
        /// Why, for the log.
        reason: String,
    },
    /// Something this service does not act upon, named for the log.
    Other(String),
}

impl NodeEvent {
    /// The event's name for logs, which must not show what else is in it: a proof of payment, say.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::PaymentClaimable { .. } => "payment_claimable",
            Self::PaymentReceived { .. } => "payment_received",
            Self::PaymentSent { .. } => "payment_sent",
            Self::PaymentFailed { .. } => "payment_failed",
            Self::PaymentForwarded { .. } => "payment_forwarded",
            Self::ChannelPending { .. } => "channel_pending",
            Self::ChannelReady { .. } => "channel_ready",
            Self::ChannelClosed { .. } => "channel_closed",
            Self::Other(_) => "other",
        }
    }
}

/// A Lightning node. One live copy a set of channels: two lose funds.
#[async_trait]
pub trait LightningNode: Send + Sync + 'static {
    /// The node's public key.
    fn node_id(&self) -> PublicKey;
    /// The addresses peers can reach it at.
    fn listening_addresses(&self) -> Vec<String>;
    /// Tip and sync. Cheap.
    fn status(&self) -> NodeStatus;
    /// What it owns.
    async fn balances(&self) -> Result<NodeBalances, NodeError>;
    /// What its channels hold, and what is on its way out of closed ones, at one time.
    async fn funds(&self) -> Result<NodeFunds, NodeError>;
    /// A fresh on-chain address.
    async fn new_address(&self) -> Result<String, NodeError>;
    /// All channels that are not closed.
    async fn channels(&self) -> Result<Vec<Channel>, NodeError>;
    /// Begins to open a channel.
    async fn open_channel(&self, order: &ChannelOrder) -> Result<UserChannelId, NodeError>;

    /// Makes an invoice whose money is locked, not taken. Resets the node's record of the hash: only for
    /// hashes whose text nobody has.
    async fn receive_for_hash(
        &self,
        payment_hash: PaymentHash,
        amount: AmountMsat,
        description_hash: Digest,
        expiry_s: u32,
    ) -> Result<IssuedInvoice, NodeError>;
    /// Tells the node to take locked money. `Ok` proves nothing; `PaymentReceived` does.
    async fn claim(&self, amount: AmountMsat, preimage: &Preimage) -> Result<(), NodeError>;
    /// Tells the node to give locked money back. There is no event for it.
    async fn fail_back(&self, payment_hash: PaymentHash) -> Result<(), NodeError>;

    /// Pays an invoice; the payment hash is the idempotency key.
    async fn send(&self, invoice: &Bolt11Invoice, fee_limit: AmountMsat) -> Result<(), SendError>;
    /// The node's own record of a payment hash; `None` when it lists none. An error says nothing about the payment.
    async fn record(&self, payment_hash: PaymentHash) -> Result<Option<NodeRecord>, NodeError>;

    /// What the recipient of an outgoing payment gets, by the node's own record; `None` when it does not say.
    async fn amount_sent(&self, payment_hash: PaymentHash) -> Result<Option<AmountMsat>, NodeError>;

    /// Waits for the head of the event queue; the same event until [`Self::event_handled`].
    async fn next_event(&self) -> NodeEvent;
    /// True when an event waits.
    fn has_event(&self) -> bool;
    /// Drops the head of the event queue, durably. Only after what it says is durable here.
    async fn event_handled(&self) -> Result<(), NodeError>;

    /// Stops the node. Idempotent.
    async fn stop(&self);
}
