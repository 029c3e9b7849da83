//! What runs in the background, one file a task.

pub mod claim_deposits;
pub mod drive_jobs;
pub mod erase_results;
pub mod expire_reservations;
pub mod follow_payments;
pub mod refresh_known;
pub mod relay_closings;
pub mod watch_dependencies;
pub mod write_ledger;
