//! Reading fields of answers: what is missing or malformed is refused, never replaced by a default.

use std::str::FromStr;

use ailayer_primitives::{AmountMsat, Network};
use ailayer_proto::ailayer::common::v1 as common;
use ailayer_receipt::tensor::TensorSpec;

use crate::CallError;

/// A block by hash and height.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockRef {
    /// The hash in internal byte order (reverse of the displayed hexadecimal).
    pub block_hash: [u8; 32],
    /// The height; genesis is 0.
    pub height: u32,
}

/// Reads the answers of one service.
#[derive(Clone, Copy)]
pub(crate) struct Reader(pub &'static str);

impl Reader {
    pub fn required<T>(self, name: &str, field: Option<T>) -> Result<T, CallError> {
        field.ok_or_else(|| CallError::malformed(self.0, format!("without {name}")))
    }

    pub fn bytes<const N: usize>(self, name: &str, bytes: &[u8]) -> Result<[u8; N], CallError> {
        bytes.try_into().map_err(|_| {
            CallError::malformed(self.0, format!("{name} of {} bytes instead of {N}", bytes.len()))
        })
    }

    pub fn parse<T: FromStr>(self, name: &str, text: &str) -> Result<T, CallError>
    where
        T::Err: std::fmt::Display,
    {
        text.parse().map_err(|error| CallError::malformed(self.0, format!("a bad {name}: {error}")))
    }

    pub fn amount(self, name: &str, msat: u64) -> Result<AmountMsat, CallError> {
        AmountMsat::try_new(msat)
            .map_err(|error| CallError::malformed(self.0, format!("a bad {name}: {error}")))
    }

    /// A protobuf enum whose number is known and not zero, which stands for "unspecified" everywhere.
    pub fn variant<E: TryFrom<i32>>(self, name: &str, number: i32) -> Result<E, CallError> {
        let unknown = || CallError::malformed(self.0, format!("an unknown {name} ({number})"));
        if number == 0 { Err(unknown()) } else { E::try_from(number).map_err(|_| unknown()) }
    }

    pub fn network(self, number: i32) -> Result<Network, CallError> {
        ailayer_platform::convert::network_from_proto(number)
            .ok_or_else(|| CallError::malformed(self.0, format!("an unknown network ({number})")))
    }

    pub fn block(self, name: &str, block: &common::BlockRef) -> Result<BlockRef, CallError> {
        Ok(BlockRef { block_hash: self.bytes(name, &block.block_hash)?, height: block.height })
    }
}

/// What a model says of a tensor; a side below zero is one of any length.
pub(crate) fn tensor_spec(name: String, datatype: String, shape: Vec<i64>) -> TensorSpec {
    TensorSpec { name, datatype, shape: shape.into_iter().map(|side| u64::try_from(side).ok()).collect() }
}
