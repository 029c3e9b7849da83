//! Behaviour of the platform across processes' boundaries.

mod telemetry;
