use std::cell::Cell;

use bytes::Bytes;
use half::f16;
use proptest::prelude::*;

use super::data::RawError;
use super::element::MalformedBytes;
use super::strings::StringsError;
use super::*;
use crate::domain::datatype::Datatype;

thread_local! {
    static COPIED: Cell<usize> = const { Cell::new(0) };
}

/// Called where the code under test copies contents of tensors.
pub(super) fn copied(bytes: usize) {
    COPIED.set(COPIED.get() + bytes);
}

/// How many bytes of contents the work copied on this thread.
pub(crate) fn copies<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = COPIED.get();
    let outcome = work();
    (outcome, COPIED.get() - before)
}

/// Bytes whose first is at an address that is `offset` off a multiple of 16.
fn placed(bytes: &[u8], offset: usize) -> Bytes {
    let buffer = Bytes::from(vec![0_u8; 32 + bytes.len()]);
    let skip = buffer.as_ptr().align_offset(16) + offset;
    let mut filled = vec![0_u8; skip];
    filled.extend_from_slice(bytes);
    let mut buffer = buffer.try_into_mut().unwrap();
    buffer[..filled.len()].copy_from_slice(&filled);
    buffer.freeze().slice(skip..skip + bytes.len())
}

fn raw(datatype: Datatype, count: usize, bytes: &[u8]) -> Result<TensorData, RawError> {
    TensorData::from_raw(datatype, count, Bytes::copy_from_slice(bytes))
}

#[test]
fn bytes_are_little_endian() {
    let data = raw(Datatype::Int32, 2, &[1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]).unwrap();
    assert_eq!(data, vec![1_i32, -1].into());
    assert_eq!(TensorData::from(vec![0x0102_u16]).into_raw(), [2, 1].as_slice());
    assert_eq!(TensorData::from(vec![1.0_f32]).into_raw(), [0, 0, 0x80, 0x3f].as_slice());
    assert_eq!(raw(Datatype::Fp16, 1, &[0, 0x3c]), Ok(vec![f16::ONE].into()));
    assert_eq!(TensorData::from(vec![half::bf16::ONE]).into_raw(), [0x80, 0x3f].as_slice());
}

#[test]
fn a_bool_is_zero_or_one() {
    assert_eq!(raw(Datatype::Bool, 2, &[0, 1]), Ok(vec![false, true].into()));
    assert_eq!(raw(Datatype::Bool, 1, &[2]), Err(MalformedBytes.into()));
}

#[test]
fn strings_stand_behind_their_lengths() {
    let bytes = b"\x03\0\0\0one\0\0\0\0\x02\0\0\0\xc3\xa4";
    let data = raw(Datatype::Bytes, 3, bytes).unwrap();
    assert_eq!(data, TensorData::Bytes(vec!["one".into(), String::new(), "ä".into()]));
    assert_eq!(data.byte_len(), bytes.len());
    assert_eq!(data.into_raw(), bytes.as_slice());
    assert_eq!(raw(Datatype::Bytes, 0, b""), Ok(TensorData::Bytes(vec![])));
}

#[test]
fn no_strings() {
    use StringsError::{Count, NotUtf8, Nul, PastTheEnd};
    let cases: [(usize, &[u8], StringsError); 10] = [
        (1, b"", Count { expected: 1 }),
        (usize::MAX, b"", Count { expected: usize::MAX }),
        (2, b"\x01\0\0\0one", Count { expected: 2 }),
        (1, b"\x04\0\0\0one", PastTheEnd { index: 0 }),
        (1, b"\xff\xff\xff\xffone", PastTheEnd { index: 0 }),
        (2, b"\x01\0\0\0a\x01\0\0", PastTheEnd { index: 1 }),
        (1, b"\0\0\0\0\0\0\0\0", Count { expected: 1 }),
        (2, b"\x01\0\0\0a\x01\0\0\0\xff", NotUtf8 { index: 1 }),
        (1, b"\x02\0\0\0a\0", Nul { index: 0 }),
        (0, b"\0", Count { expected: 0 }),
    ];
    for (count, bytes, error) in cases {
        assert_eq!(raw(Datatype::Bytes, count, bytes), Err(error.into()), "{bytes:?}");
    }
}

#[test]
fn shape_and_contents_must_agree() {
    let values = || TensorData::from(vec![1.0_f64, 2.0]);
    assert!(Tensor::try_new(vec![2, 1], values()).is_ok());
    assert_eq!(Tensor::try_new(vec![3], values()), Err(TensorError::Length { expected: 3, actual: 2 }));
    assert!(matches!(Tensor::try_new(vec![-2, -1], values()), Err(TensorError::Shape(_))));
    assert_eq!(raw(Datatype::Fp64, 2, &[0; 15]), Err(RawError::Length { expected: 16, actual: 15 }));
}

#[test]
fn what_is_not_finite_is_found() {
    assert_eq!(TensorData::from(vec![0.0_f32, f32::NAN]).first_non_finite(), Some(1));
    assert_eq!(TensorData::from(vec![f16::NEG_INFINITY]).first_non_finite(), Some(0));
    assert_eq!(TensorData::from(vec![f64::MAX]).first_non_finite(), None);
    assert_eq!(TensorData::from(vec![i64::MIN]).first_non_finite(), None);
}

/// Aligned numbers stay where they arrived, others are copied once; nothing is copied on the way out.
#[test]
#[cfg(target_endian = "little")]
fn copied_bytes() {
    for datatype in Datatype::ALL.into_iter().filter(|datatype| *datatype != Datatype::Bytes) {
        let size = datatype.size().unwrap();
        for offset in 0..16 {
            let bytes = placed(&vec![1; 4 * size], offset);
            let address = bytes.as_ptr();
            let (data, copied) = copies(|| TensorData::from_raw(datatype, 4, bytes).unwrap());
            let aligned = offset % size == 0;
            assert_eq!(copied, if aligned { 0 } else { 4 * size }, "{datatype} at {offset}");
            let (out, copied) = copies(|| data.into_raw());
            assert_eq!((copied, &out[..]), (0, &vec![1; 4 * size][..]));
            assert_eq!(out.as_ptr() == address, aligned);
        }
    }
    let answer = vec![1.0_f32; 8];
    let address = answer.as_ptr().cast::<u8>();
    assert_eq!(TensorData::from(answer).into_raw().as_ptr(), address);
}

proptest! {
    #[test]
    fn every_type_survives_the_wire(
        bytes in proptest::collection::vec(0u8..=1, 0..64),
        datatype in proptest::sample::select(Datatype::ALL.to_vec()),
        offset in 0usize..16,
    ) {
        let count = bytes.len() / datatype.size().unwrap_or(5);
        match TensorData::from_raw(datatype, count, placed(&bytes, offset)) {
            Ok(data) => {
                prop_assert_eq!(data.datatype(), datatype);
                prop_assert_eq!(data.len(), count);
                prop_assert_eq!(data.byte_len(), bytes.len());
                prop_assert_eq!(data.into_raw(), bytes);
            }
            Err(_) => prop_assert!(datatype.size().is_none_or(|size| bytes.len() % size != 0)),
        }
    }
}
