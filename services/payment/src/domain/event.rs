//! What consumers of the event log are told.

use ailayer_primitives::{AmountMsat, PaymentHash};

use super::channel::Channel;
use super::hold_invoice::HoldInvoice;
use super::outgoing::OutgoingPayment;

/// The kinds of hold invoice events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// Money was locked.
    HoldInvoiceAccepted,
    /// A claim completed.
    HoldInvoiceClaimed,
    /// The money was given back, or will be whenever it comes.
    HoldInvoiceReleased,
    /// A claim came too late.
    HoldInvoiceLost,
    /// Not paid in time.
    HoldInvoiceExpired,
}

/// Money that came although no row asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnexpectedReceipt {
    /// The hash it came under.
    pub payment_hash: PaymentHash,
    /// How much.
    pub amount: AmountMsat,
    /// Why no row takes it.
    pub note: String,
}

/// One entry of the event log, as it was when it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A hold invoice moved.
    HoldInvoice(EventKind, HoldInvoice),
    /// An outgoing payment ended.
    PaymentEnded(OutgoingPayment),
    /// A channel became usable for the first time.
    ChannelReady(Channel),
    /// A channel was closed.
    ChannelClosed(Channel),
    /// Money came that no row authorised.
    ReceiptUnexpected(UnexpectedReceipt),
}

impl Event {
    /// The name in the log's `kind` column.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::HoldInvoice(EventKind::HoldInvoiceAccepted, _) => "hold_invoice_accepted",
            Self::HoldInvoice(EventKind::HoldInvoiceClaimed, _) => "hold_invoice_claimed",
            Self::HoldInvoice(EventKind::HoldInvoiceReleased, _) => "hold_invoice_released",
            Self::HoldInvoice(EventKind::HoldInvoiceLost, _) => "hold_invoice_lost",
            Self::HoldInvoice(EventKind::HoldInvoiceExpired, _) => "hold_invoice_expired",
            Self::PaymentEnded(_) => "payment_ended",
            Self::ChannelReady(_) => "channel_ready",
            Self::ChannelClosed(_) => "channel_closed",
            Self::ReceiptUnexpected(_) => "receipt_unexpected",
        }
    }
}
