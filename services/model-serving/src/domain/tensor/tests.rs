use proptest::prelude::*;

use super::*;

#[test]
fn bytes_are_little_endian() {
    let data = TensorData::from_le_bytes(Datatype::Int32, &[1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]).unwrap();
    assert_eq!(data, TensorData::Int32(vec![1, -1]));
    assert_eq!(TensorData::Uint16(vec![0x0102]).to_le_bytes(), [2, 1]);
    assert_eq!(TensorData::Fp32(vec![1.0]).to_le_bytes(), [0, 0, 0x80, 0x3f]);
}

#[test]
fn a_bool_is_zero_or_one() {
    let data = TensorData::from_le_bytes(Datatype::Bool, &[0, 1]).unwrap();
    assert_eq!(data, TensorData::Bool(vec![false, true]));
    assert_eq!(TensorData::from_le_bytes(Datatype::Bool, &[2]), Err(MalformedBytes));
}

#[test]
fn shape_and_contents_must_agree() {
    let values = || TensorData::Fp64(vec![1.0, 2.0]);
    assert!(Tensor::try_new(vec![2, 1], values()).is_ok());
    assert_eq!(Tensor::try_new(vec![3], values()), Err(TensorError::Length { expected: 3, actual: 2 }));
    assert!(matches!(Tensor::try_new(vec![-2, -1], values()), Err(TensorError::Shape(_))));
}

proptest! {
    #[test]
    fn every_type_survives_the_wire(
        bytes in proptest::collection::vec(0u8..=1, 0..64),
        datatype in proptest::sample::select(Datatype::ALL.to_vec()),
    ) {
        match TensorData::from_le_bytes(datatype, &bytes) {
            Ok(data) => {
                prop_assert_eq!(data.datatype(), datatype);
                prop_assert_eq!(data.len() * datatype.size(), bytes.len());
                prop_assert_eq!(data.to_le_bytes(), bytes);
            }
            Err(MalformedBytes) => prop_assert!(bytes.len() % datatype.size() != 0),
        }
    }
}
