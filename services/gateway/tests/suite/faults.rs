//! Faults from without: a database, a clock, a caller or a price that misbehaves under whole jobs. Which row of the fault table
//! is shown where, `docs/reference/faults.md` says.

mod caller;
mod clock;
mod database;
mod price;
mod tenant;
