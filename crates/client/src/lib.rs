//! Typed clients of the AILayer services, and what a paying client checks before and after it pays.
//!
//! | module | idea |
//! |---|---|
//! | [`gateway`] [`payment`] [`serving`] [`audit`] [`indexer`] | one thin client a service: requests and answers as domain types, malformed answers refused |
//! | [`account`] [`admin`] | the gateway for customers with a key, and for operators |
//! | [`invoice`] | what a BOLT 11 invoice commits to |
//! | [`purchase`] | the buyer's checks: the quote before paying, the answer and its receipt after |
//!
//! Clients connect lazily, reconnect by themselves and can be cloned freely. Deadlines, trace context and limits
//! come from [`ailayer_platform::client`].

pub mod account;
pub mod admin;
pub mod audit;
mod bearer;
pub mod error;
pub mod gateway;
pub mod indexer;
pub mod invoice;
pub mod payment;
pub mod purchase;
pub mod serving;
mod wire;

pub use account::AccountClient;
pub use admin::AdminClient;
pub use ailayer_platform::client::{ClientConfig, ClientError};
pub use ailayer_platform::error::ErrorReason;
pub use audit::AuditClient;
pub use error::CallError;
pub use gateway::GatewayClient;
pub use indexer::IndexerClient;
pub use payment::PaymentClient;
pub use serving::ServingClient;

/// The largest answer a client takes.
const MAX_ANSWER_BYTES: usize = 64 << 20;
