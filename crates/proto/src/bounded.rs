//! The codec of the Open Inference Protocol: prost's, but for messages of too many fields.
//!
//! An empty input takes two bytes on the wire and some hundred in memory, so a message well within its size limit
//! could fill the machine while it is decoded. The fields are counted before anything is.

use std::marker::PhantomData;

use bytes::Buf as _;
use prost::Message;
use prost::encoding::{DecodeContext, WireType, decode_key, skip_field};
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder};
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};

/// The most fields a message may have on its first level, every element of a repeated one counted.
pub const MAX_FIELDS: usize = 65_536;

/// [`ProstCodec`] with a bound on the number of fields of what it decodes.
#[derive(Debug, Clone)]
pub struct BoundedCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for BoundedCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for BoundedCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = BoundedDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::default().encoder()
    }

    fn decoder(&mut self) -> Self::Decoder {
        BoundedDecoder(ProstDecoder::default())
    }
}

/// Counts, then decodes.
#[derive(Debug, Clone)]
pub struct BoundedDecoder<U>(ProstDecoder<U>);

impl<U: Message + Default> Decoder for BoundedDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let message = buf.chunk();
        if message.len() > MAX_FIELDS && has_too_many_fields(message) {
            // The code of a message over the size limit, so that it is told alike.
            return Err(Status::out_of_range(format!("the message has more than {MAX_FIELDS} fields")));
        }
        self.0.decode(buf)
    }
}

/// False for what is no message: prost says what is wrong with it.
fn has_too_many_fields(mut message: &[u8]) -> bool {
    let mut fields = 0_usize;
    while message.has_remaining() {
        fields += 1;
        if fields > MAX_FIELDS {
            return true;
        }
        if skip(&mut message).is_err() {
            return false;
        }
    }
    false
}

fn skip(message: &mut &[u8]) -> Result<(), prost::DecodeError> {
    let (tag, wire_type): (u32, WireType) = decode_key(message)?;
    skip_field(wire_type, tag, message, DecodeContext::default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::ModelInferRequest;
    use crate::inference::model_infer_request::InferInputTensor;

    #[test]
    fn elements_of_the_first_level_are_counted() {
        let request = |count| ModelInferRequest {
            inputs: vec![InferInputTensor::default(); count],
            ..Default::default()
        };
        assert!(!has_too_many_fields(&request(MAX_FIELDS).encode_to_vec()));
        assert!(has_too_many_fields(&request(MAX_FIELDS + 1).encode_to_vec()));
        let large =
            ModelInferRequest { raw_input_contents: vec![vec![0x2a; 1 << 20].into()], ..Default::default() };
        assert!(!has_too_many_fields(&large.encode_to_vec()));
        assert!(!has_too_many_fields(b"\xff\xff\xff"));
    }
}
