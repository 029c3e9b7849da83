//! What every AILayer service stands on.
//!
//! | module | idea |
//! |---|---|
//! | [`config`] | typed configuration: defaults, then file, then environment; unknown keys refused |
//! | [`telemetry`] | traces, metrics and logs; the only module that names OpenTelemetry |
//! | [`tasks`] | named tasks, graceful shutdown with a grace period |
//! | [`health`] | readiness as the sum of named components |
//! | [`server`] | one gRPC server stack and the admin port |
//! | [`client`] | one gRPC client stack |
//! | [`error`] | the single table from error class to `google.rpc.Status` |
//! | [`crash`] | test-only points where a process kills itself |
//! | [`blocking`] | work on many bytes, beside the runtime's other tasks |

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests own what they spawn"))]

pub mod blocking;
pub mod client;
pub mod clock;
pub mod config;
pub mod convert;
pub mod crash;
pub mod crypto;
pub mod error;
pub mod health;
pub mod server;
pub mod tasks;
pub mod telemetry;
