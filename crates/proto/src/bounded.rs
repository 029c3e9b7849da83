//! The codec for what strangers send: prost's, but for messages of too many elements.
//!
//! An empty message in a list takes two bytes on the wire and some hundred in memory, so a request well within its size
//! limit could fill the machine while it is decoded. The elements are counted before anything is, on every level that the message's type
//! has.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::LazyLock;

use bytes::Buf as _;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use prost::{DecodeError, Message, Name};
use prost_types::field_descriptor_proto::Type;
use prost_types::{DescriptorProto, FileDescriptorSet};
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder};
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};

use crate::FILE_DESCRIPTOR_SET;

/// The most messages, texts and byte strings in a message, those of all levels together. Numbers do not count: they take no more than four
/// times as much memory as on the wire.
pub const MAX_ELEMENTS: usize = 65_536;
/// What an element takes on the wire: a key and a length.
const ELEMENT_BYTES: usize = 2;
/// Below it nobody counts: prost refuses deeper messages.
const MAX_DEPTH: usize = 100;

/// [`ProstCodec`] with a bound on the number of elements of what it decodes.
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
    U: Name + Default + Send + 'static,
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

impl<U: Name + Default> Decoder for BoundedDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let message = buf.chunk();
        if message.len() > MAX_ELEMENTS * ELEMENT_BYTES && has_too_many_elements::<U>(message) {
            // The code of a message over the size limit, so that it is told alike.
            return Err(Status::out_of_range(format!(
                "the message has more than {MAX_ELEMENTS} messages, texts and byte strings"
            )));
        }
        self.0.decode(buf)
    }
}

/// False for what is no message: prost says what is wrong with it, and reads no further than was counted.
fn has_too_many_elements<U: Name>(message: &[u8]) -> bool {
    let mut left = MAX_ELEMENTS;
    let shape = SHAPES.by_name.get(&U::full_name()).copied();
    matches!(shape.map(|shape| SHAPES.count(shape, message, &mut left, 0)), Some(Err(Stop::TooMany)))
}

static SHAPES: LazyLock<Shapes> = LazyLock::new(|| {
    // What is embedded was written by the generator, and every test would show that it is not.
    Shapes::of(&FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap_or_default())
});

/// What is in a message's fields, by number: those that are elements, and the place of the shape of those that are messages.
type Shape = HashMap<u32, Option<usize>>;

/// The shapes of all messages of this crate.
#[derive(Default)]
struct Shapes {
    by_name: HashMap<String, usize>,
    shapes: Vec<Shape>,
}

enum Stop {
    TooMany,
    NoMessage,
}

impl From<DecodeError> for Stop {
    fn from(_: DecodeError) -> Self {
        Self::NoMessage
    }
}

impl Shapes {
    fn of(descriptors: &FileDescriptorSet) -> Self {
        let mut named = Vec::new();
        for file in &descriptors.file {
            name_all(file.package(), &file.message_type, &mut named);
        }
        let by_name: HashMap<String, usize> =
            named.iter().enumerate().map(|(at, (name, _))| (name.clone(), at)).collect();
        let shape = |message: &DescriptorProto| {
            let element = |field: &prost_types::FieldDescriptorProto| {
                let number = u32::try_from(field.number()).ok()?;
                match field.r#type() {
                    Type::Message | Type::Group => {
                        Some((number, by_name.get(field.type_name().trim_start_matches('.')).copied()))
                    }
                    Type::String | Type::Bytes => Some((number, None)),
                    _ => None,
                }
            };
            message.field.iter().filter_map(element).collect()
        };
        let shapes = named.iter().map(|(_, message)| shape(message)).collect();
        Self { by_name, shapes }
    }

    /// Takes the elements of `message` off `left`.
    fn count(&self, shape: usize, mut message: &[u8], left: &mut usize, depth: usize) -> Result<(), Stop> {
        let Some(shape) = self.shapes.get(shape) else { return Ok(()) };
        while message.has_remaining() {
            let (number, wire_type) = decode_key(&mut message)?;
            let Some(inner) = shape.get(&number).filter(|_| wire_type == WireType::LengthDelimited) else {
                skip_field(wire_type, number, &mut message, DecodeContext::default())?;
                continue;
            };
            *left = left.checked_sub(1).ok_or(Stop::TooMany)?;
            let length = usize::try_from(decode_varint(&mut message)?).map_err(|_| Stop::NoMessage)?;
            let (element, rest) = message.split_at_checked(length).ok_or(Stop::NoMessage)?;
            if let Some(inner) = inner.filter(|_| depth < MAX_DEPTH) {
                self.count(inner, element, left, depth + 1)?;
            }
            message = rest;
        }
        Ok(())
    }
}

/// The messages of a package or a message, with their full names.
fn name_all<'a>(
    prefix: &str,
    messages: &'a [DescriptorProto],
    named: &mut Vec<(String, &'a DescriptorProto)>,
) {
    for message in messages {
        let name = format!("{prefix}.{}", message.name());
        name_all(&name, &message.nested_type, named);
        named.push((name, message));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ailayer::gateway::v1::create_quote_request::Task;
    use crate::ailayer::gateway::v1::{CreateQuoteRequest, EmbedTask, InferTask, Tensor};
    use crate::inference::ModelInferRequest;
    use crate::inference::model_infer_request::InferInputTensor;

    fn quote(task: Task) -> Vec<u8> {
        CreateQuoteRequest { task: Some(task), ..Default::default() }.encode_to_vec()
    }

    #[test]
    fn elements_of_the_first_level_are_counted() {
        let request = |count| ModelInferRequest {
            inputs: vec![InferInputTensor::default(); count],
            ..Default::default()
        };
        let is_refused =
            |request: ModelInferRequest| has_too_many_elements::<ModelInferRequest>(&request.encode_to_vec());
        assert!(!is_refused(request(MAX_ELEMENTS)));
        assert!(is_refused(request(MAX_ELEMENTS + 1)));
        let raw_input_contents = vec![vec![0x2a; 1 << 20].into()];
        assert!(!is_refused(ModelInferRequest { raw_input_contents, ..Default::default() }));
    }

    /// The task is an element, too.
    #[test]
    fn elements_below_are_counted_and_their_contents_are_not_taken_for_messages() {
        let is_refused = |task| has_too_many_elements::<CreateQuoteRequest>(&quote(task));
        let tensors =
            |count| Task::Infer(InferTask { inputs: vec![Tensor::default(); count], ..Default::default() });
        assert!(!is_refused(tensors(MAX_ELEMENTS - 1)));
        assert!(is_refused(tensors(MAX_ELEMENTS)));
        let texts =
            |count| Task::Embed(EmbedTask { texts: vec![String::new(); count], ..Default::default() });
        assert!(!is_refused(texts(MAX_ELEMENTS - 1)));
        assert!(is_refused(texts(MAX_ELEMENTS)));
        // A text that reads like a list of empty messages.
        assert!(!is_refused(Task::Embed(EmbedTask {
            texts: vec!["\n\0".repeat(1 << 20)],
            ..Default::default()
        })));
    }

    #[test]
    fn what_is_no_message_is_left_to_prost() {
        for junk in [&b"\xff\xff\xff"[..], b"\x22\xff\xff\xff\xff\x0f", b"\x22\x05\x0a"] {
            assert!(!has_too_many_elements::<CreateQuoteRequest>(junk));
        }
        // But not before it has been counted as far as it can be read.
        let mut broken =
            quote(Task::Embed(EmbedTask { texts: vec![String::new(); MAX_ELEMENTS], ..Default::default() }));
        broken.extend(b"\xff\xff");
        assert!(has_too_many_elements::<CreateQuoteRequest>(&broken));
    }

    #[test]
    fn every_message_of_a_bounded_package_has_a_shape() {
        for name in [
            "ailayer.gateway.v1.CreateQuoteRequest",
            "ailayer.gateway.v1.RunJobRequest",
            "inference.ModelInferRequest",
        ] {
            let shape = SHAPES.by_name.get(name).and_then(|at| SHAPES.shapes.get(*at));
            assert!(shape.is_some_and(|shape| !shape.is_empty()), "{name}");
        }
        assert!(SHAPES.by_name.contains_key(&CreateQuoteRequest::full_name()));
    }
}
