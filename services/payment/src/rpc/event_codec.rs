//! Events as bytes: the published message is also the stored one, so that what was recorded is what is read, for
//! ever, under the rules by which protobuf messages may grow.

use ailayer_proto::ailayer::payment::v1 as pb;
use ailayer_store::StoreError;
use pb::watch_events_response::Event as Wire;
use prost::Message as _;

use super::convert;
use crate::domain::event::{Event, EventKind};
use crate::store::events::Recorded;

/// The event alone: place, id and time are the log's own columns.
pub fn encode(event: &Event) -> Vec<u8> {
    let wire = match event {
        Event::HoldInvoice(kind, invoice) => hold_event(*kind, convert::hold_invoice(invoice)),
        Event::PaymentEnded(payment) => Wire::PaymentEnded(convert::payment(payment)),
        Event::ChannelReady(channel) => Wire::ChannelReady(convert::channel(channel)),
        Event::ChannelClosed(channel) => Wire::ChannelClosed(convert::channel(channel)),
        Event::ReceiptUnexpected(receipt) => Wire::ReceiptUnexpected(pb::UnexpectedReceipt {
            payment_hash: receipt.payment_hash.0.to_vec(),
            amount_msat: receipt.amount.msat(),
            note: receipt.note.clone(),
        }),
    };
    pb::WatchEventsResponse { event: Some(wire), ..Default::default() }.encode_to_vec()
}

const fn hold_event(kind: EventKind, invoice: pb::HoldInvoice) -> Wire {
    match kind {
        EventKind::HoldInvoiceAccepted => Wire::HoldInvoiceAccepted(invoice),
        EventKind::HoldInvoiceClaimed => Wire::HoldInvoiceClaimed(invoice),
        EventKind::HoldInvoiceReleased => Wire::HoldInvoiceReleased(invoice),
        EventKind::HoldInvoiceLost => Wire::HoldInvoiceLost(invoice),
        EventKind::HoldInvoiceExpired => Wire::HoldInvoiceExpired(invoice),
    }
}

/// The message a consumer gets.
pub fn decode(recorded: &Recorded) -> Result<pb::WatchEventsResponse, StoreError> {
    let stored = pb::WatchEventsResponse::decode(recorded.payload.as_slice())
        .map_err(|error| StoreError::Corrupt(format!("event {}: {error}", recorded.cursor)))?;
    Ok(pb::WatchEventsResponse {
        cursor: recorded.cursor,
        event_id: recorded.event_id.to_string(),
        recorded_unix_ms: recorded.recorded_unix_ms,
        ..stored
    })
}
