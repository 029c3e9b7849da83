//! Amounts, ids, digests and networks every AILayer crate shares.
//!
//! Pure: no I/O, no clock, no protobuf. A value of one of these types is valid by construction.

mod amount;
mod digest;
mod id;
mod network;
mod time;

pub use amount::{AmountError, AmountMsat, AmountSat};
pub use digest::{Digest, ParseDigestError, PaymentHash, Preimage};
pub use id::{JobId, JobToken, ParseIdError, RequestId};
pub use network::{Network, UnknownNetwork};
pub use time::{UnixMs, UnixS};
