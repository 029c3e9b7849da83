//! What runs as long as the service does.

pub mod guard_deadlines;
pub mod handle_node_events;
pub mod keep_writer;
pub mod look_at_funds;
pub mod send_payments;
