//! What the service does: the rules applied to the rows, the node told afterwards.
//!
//! The order is always the same: decide from the row, write with compare-and-set (and the event, in the same
//! commit), only then call the node. A crash between the last two is mended by repeating the call, which every
//! call of the port allows.

pub mod channels;
pub mod funds;
pub mod holds;
pub mod payments;
pub mod payouts;
pub mod sync_gate;
