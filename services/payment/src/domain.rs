//! The rules, without a wire: no database, no node, no clock, no protobuf.

pub mod channel;
pub mod event;
pub mod funds;
pub mod hold_invoice;
pub mod invoice_id;
pub mod outgoing;
pub mod payout;
pub mod preimage;
