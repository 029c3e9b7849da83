//! Behaviour of the platform across processes' boundaries.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

mod telemetry;
