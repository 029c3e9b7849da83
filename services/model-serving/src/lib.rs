//! Loads ONNX models and serves them over the Open Inference Protocol.
//!
//! Entry points: [`Config`] and [`run`] (or [`Service`], to learn the address). How a call travels: `rpc` translates and checks, `model`
//! says what is done, `worker` queues it for the thread that owns the engine's session, `adapters`
//! compute. `domain` holds the rules.

mod adapters;
mod app;
mod cancel;
mod catalog;
mod config;
mod domain;
mod error;
mod loading;
mod memory;
mod model;
mod ports;
pub mod raw;
mod repository;
mod rpc;
mod scheduler;
mod tasks;
mod telemetry;
pub mod trial;
mod worker;

pub use app::{Service, run};
pub use config::{Config, Switch};
pub use domain::control::ModelControl;
pub use error::RunError;
pub use ports::EngineError;
pub use repository::RepositoryError;

/// The service's name: its folder, its table in the configuration, its name in telemetry.
pub const NAME: &str = "model-serving";
