use super::super::TensorData;
use super::super::tests::copies;
use super::*;
use bytes::Bytes;
use proptest::prelude::*;

fn floats(shape: &[i64], values: &[f32]) -> Tensor {
    Tensor::try_new(shape.to_vec(), values.to_vec().into()).unwrap()
}

fn strings(values: &[&str]) -> Tensor {
    let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
    Tensor::try_new(vec![values.len().try_into().unwrap()], TensorData::Bytes(values)).unwrap()
}

#[test]
fn rows_of_like_tensors_join() {
    let (a, b) = (floats(&[1, 2], &[1.0, 2.0]), floats(&[2, 2], &[3.0, 4.0, 5.0, 6.0]));
    let joined = concat_rows(&[&a, &b]).unwrap();
    assert_eq!(joined, floats(&[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
    assert_eq!(split_rows(joined, &[1, 2]), Ok(vec![a, b]));
    let (a, b) = (strings(&["a", ""]), strings(&["äö"]));
    let joined = concat_rows(&[&a, &b]).unwrap();
    assert_eq!(joined, strings(&["a", "", "äö"]));
    assert_eq!(split_rows(joined, &[2, 1]), Ok(vec![a, b]));
}

#[test]
fn what_does_not_go_together_is_refused() {
    let pair = floats(&[1, 2], &[1.0, 2.0]);
    let scalar = floats(&[], &[1.0]);
    let unlike = [floats(&[1, 1], &[1.0]), floats(&[2], &[1.0, 2.0]), strings(&["a"]), scalar.clone()];
    for other in &unlike {
        assert_eq!(concat_rows(&[&pair, other]), Err(TensorError::Unlike { part: 1 }));
    }
    assert_eq!(concat_rows(&[]), Err(TensorError::NoRows));
    assert_eq!(concat_rows(&[&scalar]), Err(TensorError::NoRows));
    assert_eq!(concat_rows(&[&scalar, &scalar]), Err(TensorError::NoRows));
    assert_eq!(split_rows(scalar, &[1]), Err(TensorError::NoRows));
    for rows in [&[][..], &[2], &[1, 1], &[usize::MAX, 2]] {
        assert!(matches!(split_rows(pair.clone(), rows), Err(TensorError::Rows { actual: 1, .. })));
    }
}

#[test]
fn a_batch_is_copied_once_and_split_without() {
    let parts: Vec<Tensor> = (0..4).map(|_| floats(&[2, 3], &[1.0; 6])).collect();
    let (joined, copied) = copies(|| concat_rows(&parts.iter().collect::<Vec<_>>()).unwrap());
    assert_eq!(copied, 4 * 6 * 4);
    let (pieces, copied) = copies(|| split_rows(joined, &[2, 2, 2, 2]).unwrap());
    assert_eq!((pieces, copied), (parts, 0));
    let data = TensorData::from_raw(crate::domain::datatype::Datatype::Uint8, 4, Bytes::from_static(b"rows"));
    let alone = Tensor::try_new(vec![2, 2], data.unwrap()).unwrap();
    let (joined, copied) = copies(|| concat_rows(&[&alone]).unwrap());
    assert_eq!((joined, copied), (alone, 0));
}

proptest! {
    #[test]
    fn splitting_is_joining_backwards(
        rows in proptest::collection::vec(0usize..4, 1..6),
        width in 0usize..4,
        values in proptest::collection::vec(any::<i16>(), 64),
    ) {
        let mut values = values.into_iter();
        let parts: Vec<Tensor> = rows.iter().map(|rows| {
            let data: Vec<i16> = values.by_ref().take(rows * width).collect();
            let shape = vec![i64::try_from(*rows).unwrap(), i64::try_from(width).unwrap()];
            Tensor::try_new(shape, data.into()).unwrap()
        }).collect();
        let joined = concat_rows(&parts.iter().collect::<Vec<_>>()).unwrap();
        prop_assert_eq!(split_rows(joined, &rows), Ok(parts));
    }
}
