//! `InferTensorContents`: typed values, several data types sharing a field.

use ailayer_proto::inference::InferTensorContents;

use crate::domain::datatype::Datatype;
use crate::domain::tensor::TensorData;

/// The field of the message that holds values of a data type.
const fn field_of(datatype: Datatype) -> &'static str {
    match datatype {
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
        Datatype::Bool => Ok(TensorData::Bool(contents.bool_contents)),
        Datatype::Int8 => narrow(datatype, contents.int_contents).map(TensorData::Int8),
        Datatype::Int16 => narrow(datatype, contents.int_contents).map(TensorData::Int16),
        Datatype::Int32 => Ok(TensorData::Int32(contents.int_contents)),
        Datatype::Int64 => Ok(TensorData::Int64(contents.int64_contents)),
        Datatype::Uint8 => narrow(datatype, contents.uint_contents).map(TensorData::Uint8),
        Datatype::Uint16 => narrow(datatype, contents.uint_contents).map(TensorData::Uint16),
        Datatype::Uint32 => Ok(TensorData::Uint32(contents.uint_contents)),
        Datatype::Uint64 => Ok(TensorData::Uint64(contents.uint64_contents)),
        Datatype::Fp32 => Ok(TensorData::Fp32(contents.fp32_contents)),
        Datatype::Fp64 => Ok(TensorData::Fp64(contents.fp64_contents)),
    }
}

fn narrow<W: Copy + std::fmt::Display, N: TryFrom<W>>(
    datatype: Datatype,
    values: Vec<W>,
) -> Result<Vec<N>, String> {
    let fit = |value: W| N::try_from(value).map_err(|_| format!("{value} does not fit {datatype}"));
    values.into_iter().map(fit).collect()
}

/// Puts values into the field of their data type.
pub(super) fn to_contents(data: TensorData) -> InferTensorContents {
    let mut contents = InferTensorContents::default();
    match data {
        TensorData::Bool(values) => contents.bool_contents = values,
        TensorData::Int8(values) => contents.int_contents = widen(values),
        TensorData::Int16(values) => contents.int_contents = widen(values),
        TensorData::Int32(values) => contents.int_contents = values,
        TensorData::Int64(values) => contents.int64_contents = values,
        TensorData::Uint8(values) => contents.uint_contents = widen(values),
        TensorData::Uint16(values) => contents.uint_contents = widen(values),
        TensorData::Uint32(values) => contents.uint_contents = values,
        TensorData::Uint64(values) => contents.uint64_contents = values,
        TensorData::Fp32(values) => contents.fp32_contents = values,
        TensorData::Fp64(values) => contents.fp64_contents = values,
    }
    contents
}

fn widen<N, W: From<N>>(values: Vec<N>) -> Vec<W> {
    values.into_iter().map(W::from).collect()
}
