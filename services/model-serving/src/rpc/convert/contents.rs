//! `InferTensorContents`: typed values, several data types sharing a field.

use ailayer_proto::inference::InferTensorContents;
use bytes::Bytes;

use crate::domain::datatype::Datatype;
use crate::domain::tensor::{Element, TensorData, Values};

/// The field of the message that holds values of a data type.
const fn field_of(datatype: Datatype) -> &'static str {
    match datatype {
        Datatype::Bytes => "bytes_contents",
        Datatype::Fp16 | Datatype::Bf16 => "raw contents",
        Datatype::Bool => "bool_contents",
        Datatype::Int8 | Datatype::Int16 | Datatype::Int32 => "int_contents",
        Datatype::Int64 => "int64_contents",
        Datatype::Uint8 | Datatype::Uint16 | Datatype::Uint32 => "uint_contents",
        Datatype::Uint64 => "uint64_contents",
        Datatype::Fp32 => "fp32_contents",
        Datatype::Fp64 => "fp64_contents",
    }
}

fn field_lengths(contents: &InferTensorContents) -> [(&'static str, usize); 8] {
    [
        ("bool_contents", contents.bool_contents.len()),
        ("int_contents", contents.int_contents.len()),
        ("int64_contents", contents.int64_contents.len()),
        ("uint_contents", contents.uint_contents.len()),
        ("uint64_contents", contents.uint64_contents.len()),
        ("fp32_contents", contents.fp32_contents.len()),
        ("fp64_contents", contents.fp64_contents.len()),
        ("bytes_contents", contents.bytes_contents.len()),
    ]
}

/// True if any field holds a value.
pub(super) fn has_values(contents: &InferTensorContents) -> bool {
    field_lengths(contents).iter().any(|(_, length)| *length > 0)
}

/// Takes exactly `count` values out of the field of the data type. The error says what is wrong.
pub(super) fn from_contents(
    datatype: Datatype,
    count: usize,
    contents: InferTensorContents,
) -> Result<TensorData, String> {
    let expected = field_of(datatype);
    for (field, length) in field_lengths(&contents) {
        if field != expected && length > 0 {
            return Err(format!("{field} holds {length} values, {datatype} belongs in {expected}"));
        }
        if field == expected && length != count {
            return Err(format!("{field} holds {length} values, the shape has {count}"));
        }
    }
    match datatype {
        Datatype::Bool => Ok(contents.bool_contents.into()),
        Datatype::Int8 => narrow::<_, i8>(datatype, contents.int_contents),
        Datatype::Int16 => narrow::<_, i16>(datatype, contents.int_contents),
        Datatype::Int32 => Ok(contents.int_contents.into()),
        Datatype::Int64 => Ok(contents.int64_contents.into()),
        Datatype::Uint8 => narrow::<_, u8>(datatype, contents.uint_contents),
        Datatype::Uint16 => narrow::<_, u16>(datatype, contents.uint_contents),
        Datatype::Uint32 => Ok(contents.uint_contents.into()),
        Datatype::Uint64 => Ok(contents.uint64_contents.into()),
        Datatype::Fp32 => Ok(contents.fp32_contents.into()),
        Datatype::Fp64 => Ok(contents.fp64_contents.into()),
        Datatype::Bytes => {
            TensorData::from_strings(&contents.bytes_contents).map_err(|error| error.to_string())
        }
        // The protocol has no field for them.
        Datatype::Fp16 | Datatype::Bf16 => Err(format!("{datatype} goes raw only")),
    }
}

fn narrow<W: Copy + std::fmt::Display, N: Element + TryFrom<W>>(
    datatype: Datatype,
    values: Vec<W>,
) -> Result<TensorData, String> {
    let fit = |value: W| N::try_from(value).map_err(|_| format!("{value} does not fit {datatype}"));
    values.into_iter().map(fit).collect::<Result<Vec<N>, _>>().map(TensorData::from)
}

/// Puts values into the field of their data type. The protocol has none for FP16 and BF16: those are left out.
pub(super) fn to_contents(data: TensorData) -> InferTensorContents {
    let mut contents = InferTensorContents::default();
    match data {
        TensorData::Bool(values) => contents.bool_contents = values.into_vec(),
        TensorData::Int8(values) => contents.int_contents = widen(values),
        TensorData::Int16(values) => contents.int_contents = widen(values),
        TensorData::Int32(values) => contents.int_contents = values.into_vec(),
        TensorData::Int64(values) => contents.int64_contents = values.into_vec(),
        TensorData::Uint8(values) => contents.uint_contents = widen(values),
        TensorData::Uint16(values) => contents.uint_contents = widen(values),
        TensorData::Uint32(values) => contents.uint_contents = values.into_vec(),
        TensorData::Uint64(values) => contents.uint64_contents = values.into_vec(),
        TensorData::Fp32(values) => contents.fp32_contents = values.into_vec(),
        TensorData::Fp64(values) => contents.fp64_contents = values.into_vec(),
        TensorData::Bytes(strings) => {
            contents.bytes_contents = strings.into_iter().map(Bytes::from).collect();
        }
        TensorData::Fp16(_) | TensorData::Bf16(_) => {}
    }
    contents
}

fn widen<N: Element, W: From<N>>(values: Values<N>) -> Vec<W> {
    values.iter().copied().map(W::from).collect()
}
