//! The receipt of a paid inference and the bundle that proves it offline.
//!
//! - [`statement`]: what the gateway signs: [`Quote`], [`Receipt`], [`Closing`].
//! - [`envelope`]: how it signs them: DSSE envelopes whose exact bytes are the log entries.
//! - [`digest`]: canonical digests of requests and outputs.
//! - [`tensor`]: tensors that are checked, and their byte form.
//! - [`answer`]: the byte form of an answer, which is what a sealed result opens to.
//! - [`bundle`]: everything a stranger needs, in one JSON file.
//! - [`anchor`]: the commitment to a checkpoint in a Bitcoin transaction, and the proof that a block holds it.
//! - [`verify`]: checks a bundle with no network and no clock.
//!
//! The format is described for auditors in this crate's README.

pub mod anchor;
pub mod answer;
pub mod bundle;
pub mod digest;
pub mod envelope;
pub mod keys;
pub mod promise;
pub mod statement;
pub mod tensor;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod verify;

mod strict_hex;

pub use bundle::{Bundle, BundleError};
pub use envelope::{Envelope, EnvelopeError};
pub use keys::{GatewayKey, GatewaySigner};
pub use promise::Promise;
pub use statement::{Closing, Outcome, Quote, Receipt};
pub use verify::{Report, Trust, VerifyError, verify, verify_json};
