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

/// The most messages, texts and byte strings in a message, those of all levels together. Numbers do not count: packed ones take at most
/// eight times as much memory as on the wire, and as much again while their list grows.
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
        if message.len() > MAX_ELEMENTS * ELEMENT_BYTES {
            count::<U>(message)?;
        }
        self.0.decode(buf)
    }
}

/// Refuses too many elements, and what is no message, as prost would: but prost reads an element to its end before it says that it
/// reaches out of its parent, so it is not asked.
fn count<U: Name>(message: &[u8]) -> Result<(), Stop> {
    let mut left = MAX_ELEMENTS;
    match SHAPES.by_name.get(&U::full_name()) {
        Some(shape) => SHAPES.count(*shape, message, &mut left, 0),
        // Nothing of that size is taken uncounted.
        None => Err(Stop::NoMessage),
    }
}

static SHAPES: LazyLock<Shapes> = LazyLock::new(|| {
    // What is embedded was written by the generator, and every test would show that it is not.
    Shapes::of(&FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap_or_default())
});

/// What a message's fields are, by number.
type Shape = Vec<Field>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    /// A number, or none of this version.
    Other,
    /// A text or a byte string.
    Bytes,
    /// A message, and the place of its shape.
    Message(usize),
}

/// The shapes of all messages of this crate.
#[derive(Default)]
struct Shapes {
    by_name: HashMap<String, usize>,
    shapes: Vec<Shape>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    TooMany,
    NoMessage,
}

impl From<DecodeError> for Stop {
    fn from(_: DecodeError) -> Self {
        Self::NoMessage
    }
}

impl From<Stop> for Status {
    fn from(stop: Stop) -> Self {
        match stop {
            // The code of a message over the size limit, so that it is told alike.
            Stop::TooMany => {
                let what =
                    format!("the message has more than {MAX_ELEMENTS} messages, texts and byte strings");
                Self::out_of_range(what)
            }
            // Prost's code.
            Stop::NoMessage => Self::internal("the message cannot be decoded"),
        }
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
            let mut shape = Shape::new();
            for field in &message.field {
                let kind = match field.r#type() {
                    Type::Message => by_name.get(field.type_name().trim_start_matches('.')).copied(),
                    Type::String | Type::Bytes => None,
                    _ => continue,
                };
                let number = usize::try_from(field.number()).unwrap_or_default();
                if shape.len() <= number {
                    shape.resize(number + 1, Field::Other);
                }
                if let Some(found) = shape.get_mut(number) {
                    *found = kind.map_or(Field::Bytes, Field::Message);
                }
            }
            shape
        };
        let shapes = named.iter().map(|(_, message)| shape(message)).collect();
        Self { by_name, shapes }
    }

    /// Takes the elements of `message` off `left`.
    fn count(&self, shape: usize, mut message: &[u8], left: &mut usize, depth: usize) -> Result<(), Stop> {
        let Some(shape) = self.shapes.get(shape) else { return Ok(()) };
        while message.has_remaining() {
            let (number, wire_type) = decode_key(&mut message)?;
            let field = usize::try_from(number).ok().and_then(|number| shape.get(number)).copied();
            let field = field.unwrap_or(Field::Other);
            if field == Field::Other || wire_type != WireType::LengthDelimited {
                skip_field(wire_type, number, &mut message, DecodeContext::default())?;
                continue;
            }
            *left = left.checked_sub(1).ok_or(Stop::TooMany)?;
            let length = usize::try_from(decode_varint(&mut message)?).map_err(|_| Stop::NoMessage)?;
            let (element, rest) = message.split_at_checked(length).ok_or(Stop::NoMessage)?;
            if let Field::Message(inner) = field
                && depth < MAX_DEPTH
            {
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
        let counted = |request: ModelInferRequest| count::<ModelInferRequest>(&request.encode_to_vec());
        assert_eq!(counted(request(MAX_ELEMENTS)), Ok(()));
        assert_eq!(counted(request(MAX_ELEMENTS + 1)), Err(Stop::TooMany));
        let raw_input_contents = vec![vec![0x2a; 1 << 20].into()];
        assert_eq!(counted(ModelInferRequest { raw_input_contents, ..Default::default() }), Ok(()));
    }

    /// The task is an element, too.
    #[test]
    fn elements_below_are_counted_and_their_contents_are_not_taken_for_messages() {
        let counted = |task| count::<CreateQuoteRequest>(&quote(task));
        let tensors =
            |count| Task::Infer(InferTask { inputs: vec![Tensor::default(); count], ..Default::default() });
        assert_eq!(counted(tensors(MAX_ELEMENTS - 1)), Ok(()));
        assert_eq!(counted(tensors(MAX_ELEMENTS)), Err(Stop::TooMany));
        let texts = |texts: Vec<String>| Task::Embed(EmbedTask { texts, ..Default::default() });
        assert_eq!(counted(texts(vec![String::new(); MAX_ELEMENTS - 1])), Ok(()));
        assert_eq!(counted(texts(vec![String::new(); MAX_ELEMENTS])), Err(Stop::TooMany));
        // A text that reads like a list of empty messages.
        assert_eq!(counted(texts(vec!["\n\0".repeat(1 << 20)])), Ok(()));
    }

    /// Prost would decode all of what reaches out of its parent before it said so.
    #[test]
    fn what_is_no_message_is_refused_as_prost_refuses_it() {
        let strings = [0x42, 0].repeat(MAX_ELEMENTS);
        let mut contents = vec![0x2a];
        prost::encoding::encode_varint(strings.len().try_into().unwrap(), &mut contents);
        let mut reaching_out = vec![0x2a, u8::try_from(contents.len()).unwrap()];
        reaching_out.extend(contents);
        reaching_out.extend(strings);
        let key_beyond_its_parent = [0x2a, 1, 0x80, 0x01, 0];
        for junk in [&b"\xff\xff\xff"[..], b"\x2a\xff\xff\xff\xff\x0f", &key_beyond_its_parent, &reaching_out]
        {
            assert_eq!(count::<ModelInferRequest>(junk), Err(Stop::NoMessage));
            assert!(ModelInferRequest::decode(junk).is_err());
        }
    }

    #[test]
    fn every_message_of_a_bounded_package_has_a_shape() {
        for name in [
            CreateQuoteRequest::full_name(),
            "ailayer.gateway.v1.RunJobRequest".to_owned(),
            ModelInferRequest::full_name(),
        ] {
            let shape = SHAPES.by_name.get(&name).and_then(|at| SHAPES.shapes.get(*at));
            assert!(shape.is_some_and(|shape| shape.iter().any(|field| *field != Field::Other)), "{name}");
        }
    }
}
