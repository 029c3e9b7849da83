//! What the payment service answers.

use ailayer_primitives::{AmountMsat, Digest, Network, PaymentHash, Preimage, UnixMs, UnixS};
use ailayer_proto::ailayer::payment::v1 as pb;
use uuid::Uuid;

use super::{Channel, HoldInvoiceState, PaymentState, READ};
use crate::CallError;
pub use crate::wire::BlockRef;

/// The Lightning node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The node's public key.
    pub node_id: [u8; 33],
    /// The network it runs on.
    pub network: Network,
    /// Where peers reach it, host:port; may be empty.
    pub listening_addresses: Vec<String>,
    /// The newest block it knows; none before its first sync.
    pub tip: Option<BlockRef>,
    /// True when it runs and has synced since its start.
    pub synced: bool,
    /// Channels that can carry a payment now.
    pub usable_channels: u32,
    /// What they can receive now.
    pub inbound_capacity: AmountMsat,
    /// Holds that are accepted and neither taken nor given back yet.
    pub accepted_holds: u64,
    /// Holds that may be accepted at once.
    pub max_accepted_holds: u64,
}

impl Node {
    pub(super) fn read(node: pb::GetNodeResponse) -> Result<Self, CallError> {
        Ok(Self {
            node_id: READ.bytes("node_id", &node.node_id)?,
            network: READ.network(node.network)?,
            listening_addresses: node.listening_addresses,
            tip: node.tip.as_ref().map(|tip| READ.block("tip", tip)).transpose()?,
            synced: node.synced,
            usable_channels: node.usable_channels,
            inbound_capacity: READ.amount("inbound_capacity_msat", node.inbound_capacity_msat)?,
            accepted_holds: node.accepted_holds,
            max_accepted_holds: node.max_accepted_holds,
        })
    }
}

/// A hold invoice as the payment service stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldInvoice {
    /// The caller's id.
    pub invoice_id: Uuid,
    /// The payment hash; none for an id that was released before an invoice was made.
    pub payment_hash: Option<PaymentHash>,
    /// The BOLT 11 text; empty while INTENT.
    pub bolt11: String,
    /// The price.
    pub amount: AmountMsat,
    /// Where it stands; never unspecified.
    pub state: HoldInvoiceState,
    /// What arrived; zero before ACCEPTED.
    pub accepted_amount: AmountMsat,
    /// The height at which the payer's money goes back by itself; 0 before ACCEPTED.
    pub claim_deadline_height: u32,
    /// When it stops being payable.
    pub expiry: UnixS,
    /// Why it was released; empty otherwise.
    pub release_reason: String,
    /// When money was accepted; 0 before.
    pub accepted_at: UnixMs,
}

impl HoldInvoice {
    pub(super) fn required(invoice: Option<pb::HoldInvoice>) -> Result<Self, CallError> {
        Self::read(READ.required("invoice", invoice)?)
    }

    pub(super) fn read(invoice: pb::HoldInvoice) -> Result<Self, CallError> {
        let payment_hash = match invoice.payment_hash.as_slice() {
            [] => None,
            bytes => Some(READ.bytes("payment_hash", bytes)?),
        };
        Ok(Self {
            invoice_id: READ.parse("invoice_id", &invoice.invoice_id)?,
            payment_hash: payment_hash.map(|bytes| PaymentHash(ailayer_primitives::Digest::new(bytes))),
            bolt11: invoice.bolt11,
            amount: READ.amount("amount_msat", invoice.amount_msat)?,
            state: READ.variant("hold invoice state", invoice.state)?,
            accepted_amount: READ.amount("accepted_amount_msat", invoice.accepted_amount_msat)?,
            claim_deadline_height: invoice.claim_deadline_height,
            expiry: UnixS(invoice.expiry_unix_s),
            release_reason: invoice.release_reason,
            accepted_at: UnixMs(invoice.accepted_unix_ms),
        })
    }
}

/// An outgoing payment.
#[derive(Debug, Clone)]
pub struct Payment {
    /// The payment hash.
    pub payment_hash: PaymentHash,
    /// What the recipient asks.
    pub amount: AmountMsat,
    /// The routing fee; zero until SUCCEEDED.
    pub fee: AmountMsat,
    /// Where it stands; never unspecified.
    pub state: PaymentState,
    /// Why it failed; empty otherwise.
    pub failure_reason: String,
    /// The proof of payment, checked against the payment hash; none until SUCCEEDED.
    pub preimage: Option<Preimage>,
}

impl Payment {
    pub(super) fn required(payment: Option<pb::Payment>) -> Result<Self, CallError> {
        Self::read(READ.required("payment", payment)?)
    }

    fn read(payment: pb::Payment) -> Result<Self, CallError> {
        let hash: [u8; 32] = READ.bytes("payment_hash", &payment.payment_hash)?;
        let payment_hash = PaymentHash(ailayer_primitives::Digest::new(hash));
        let preimage = match payment.preimage.as_slice() {
            [] => None,
            bytes => Some(Preimage::new(READ.bytes("preimage", bytes)?)),
        };
        if preimage.is_some_and(|preimage| preimage.payment_hash() != payment_hash) {
            return Err(CallError::malformed(super::SERVICE, "a preimage of another payment hash"));
        }
        Ok(Self {
            payment_hash,
            amount: READ.amount("amount_msat", payment.amount_msat)?,
            fee: READ.amount("fee_msat", payment.fee_msat)?,
            state: READ.variant("payment state", payment.state)?,
            failure_reason: payment.failure_reason,
            preimage,
        })
    }
}

/// One event of the payment service's log.
#[derive(Debug, Clone)]
pub struct PaymentEvent {
    /// Its place in the log, from 1.
    pub cursor: u64,
    /// Its unique id: repeats are dropped by it.
    pub event_id: Uuid,
    /// When it was recorded.
    pub recorded_at: UnixMs,
    /// What happened.
    pub kind: EventKind,
}

/// What an event says.
#[derive(Debug, Clone)]
pub enum EventKind {
    /// Money was locked to a hold invoice.
    HoldInvoiceAccepted(HoldInvoice),
    /// A claim completed.
    HoldInvoiceClaimed(HoldInvoice),
    /// A hold invoice was released, by request or by the deadline guard.
    HoldInvoiceReleased(HoldInvoice),
    /// A claim came too late.
    HoldInvoiceLost(HoldInvoice),
    /// A hold invoice ran past its expiry unpaid.
    HoldInvoiceExpired(HoldInvoice),
    /// An outgoing payment ended.
    PaymentEnded(Payment),
    /// A channel became usable for the first time.
    ChannelReady(Channel),
    /// A channel was closed.
    ChannelClosed(Channel),
    /// Money came that no row of the service authorised.
    ReceiptUnexpected(UnexpectedReceipt),
    /// An event that a newer service knows and this client does not.
    Unknown,
}

/// Money that came although nobody asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnexpectedReceipt {
    /// The hash it came under.
    pub payment_hash: PaymentHash,
    /// How much.
    pub amount: AmountMsat,
    /// Why no row takes it.
    pub note: String,
}

impl PaymentEvent {
    pub(super) fn read(event: pb::WatchEventsResponse) -> Result<Self, CallError> {
        use pb::watch_events_response::Event;

        let kind = match event.event {
            None => EventKind::Unknown,
            Some(Event::HoldInvoiceAccepted(it)) => EventKind::HoldInvoiceAccepted(HoldInvoice::read(it)?),
            Some(Event::HoldInvoiceClaimed(it)) => EventKind::HoldInvoiceClaimed(HoldInvoice::read(it)?),
            Some(Event::HoldInvoiceReleased(it)) => EventKind::HoldInvoiceReleased(HoldInvoice::read(it)?),
            Some(Event::HoldInvoiceLost(it)) => EventKind::HoldInvoiceLost(HoldInvoice::read(it)?),
            Some(Event::HoldInvoiceExpired(it)) => EventKind::HoldInvoiceExpired(HoldInvoice::read(it)?),
            Some(Event::PaymentEnded(it)) => EventKind::PaymentEnded(Payment::read(it)?),
            Some(Event::ChannelReady(it)) => EventKind::ChannelReady(it),
            Some(Event::ChannelClosed(it)) => EventKind::ChannelClosed(it),
            Some(Event::ReceiptUnexpected(it)) => EventKind::ReceiptUnexpected(UnexpectedReceipt {
                payment_hash: PaymentHash(Digest::new(READ.bytes("payment_hash", &it.payment_hash)?)),
                amount: READ.amount("amount_msat", it.amount_msat)?,
                note: it.note,
            }),
        };
        Ok(Self {
            cursor: event.cursor,
            event_id: READ.parse("event_id", &event.event_id)?,
            recorded_at: UnixMs(event.recorded_unix_ms),
            kind,
        })
    }
}
