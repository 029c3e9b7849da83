use proptest::prelude::*;

use super::*;
use crate::domain::settings::PadSide;

fn manifest(pooling: Pooling, dimensions: usize) -> EmbeddingManifest {
    EmbeddingManifest {
        tokenizer: "t".into(),
        max_input_tokens: 8,
        dimensions,
        output: "out".into(),
        pooling,
        normalize: false,
        padding_side: PadSide::Right,
        ids: "ids".into(),
        mask: "mask".into(),
        type_ids: None,
    }
}

fn tensor(shape: &[i64], values: &[f32]) -> Tensor {
    Tensor::try_new(shape.to_vec(), values.to_vec().into()).unwrap()
}

#[test]
fn splits_rows() {
    let output = tensor(&[2, 2], &[1.0, 2.0, 3.0, 4.0]);
    let rows = vectors_of(output, &[1, 3], 3, &manifest(Pooling::None, 2)).unwrap();
    assert_eq!(rows, [Ok(vec![1.0, 2.0]), Ok(vec![3.0, 4.0])]);
}

#[test]
fn pools_tokens_and_leaves_padding_out() {
    let output = tensor(&[2, 2, 1], &[1.0, f32::NAN, 2.0, 4.0]);
    let rows = vectors_of(output, &[1, 2], 2, &manifest(Pooling::Mean, 1)).unwrap();
    assert_eq!(rows, [Ok(vec![1.0]), Ok(vec![3.0])]);
}

#[test]
fn what_is_not_finite_fails_alone() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let rows = vectors_of(tensor(&[2, 1], &[1.0, bad]), &[1, 1], 1, &manifest(Pooling::None, 1)).unwrap();
        assert_eq!(rows, [Ok(vec![1.0]), Err(EmbeddingError::NotFinite { row: 1 })]);
    }
    // Finite tokens whose mean is not, and the other way round: f64 holds their sum.
    let large = tensor(&[1, 2, 1], &[f32::MAX, f32::MAX]);
    let rows = vectors_of(large, &[2], 2, &manifest(Pooling::Mean, 1)).unwrap();
    assert_eq!(rows, [Ok(vec![f32::MAX])]);
}

#[test]
fn refuses_what_is_not_promised() {
    for (pooling, shape) in [
        (Pooling::None, &[1_i64, 2][..]),
        (Pooling::None, &[1, 1, 1]),
        (Pooling::Mean, &[1, 1]),
        (Pooling::Last, &[1, 1, 2]),
        (Pooling::Cls, &[1, 3, 1]),
    ] {
        let count = usize::try_from(shape.iter().product::<i64>()).unwrap();
        let answer = vectors_of(tensor(shape, &vec![1.0; count]), &[1], 1, &manifest(pooling, 1));
        assert!(matches!(answer, Err(EmbeddingError::Output { .. })), "{shape:?}: {answer:?}");
    }
}

#[test]
fn rounding_is_agreement() {
    assert!(agree(&[1.0, -2.0], &[1.000_01, -2.0]));
    assert!(agree(&[0.0], &[0.0]));
    assert!(!agree(&[1.0, -2.0], &[1.01, -2.0]));
    assert!(!agree(&[1.0], &[1.0, 0.0]));
    assert!(!agree(&[f32::NAN], &[f32::NAN]));
}

#[test]
fn a_vector_is_cut_and_then_normalised() {
    let form = |normalize, dimensions| VectorForm { normalize, dimensions };
    let applied = |form: VectorForm, normalize: bool, vector: &[f32]| {
        let mut vector = vector.to_vec();
        form.apply(&mut vector, &EmbeddingManifest { normalize, ..manifest(Pooling::None, 3) });
        vector
    };
    let vector = [3.0, 4.0, 12.0];
    assert_eq!(applied(form(None, None), false, &vector), vector);
    assert_eq!(applied(form(None, Some(2)), false, &vector), [3.0, 4.0]);
    assert_eq!(applied(form(None, Some(2)), true, &vector), [0.6, 0.8]);
    assert_eq!(applied(form(Some(true), Some(2)), false, &vector), [0.6, 0.8]);
    assert_eq!(applied(form(Some(false), Some(3)), true, &vector), vector);
    assert_eq!(applied(form(Some(true), None), false, &[0.0, 0.0, 0.0]), [0.0; 3]);
}

#[test]
fn only_numbers_that_a_vector_has_may_be_asked_for() {
    let check = |dimensions| VectorForm { normalize: None, dimensions }.check(&manifest(Pooling::None, 3));
    assert!([None, Some(1), Some(3)].into_iter().all(|dimensions| check(dimensions).is_ok()));
    for bad in [0, 4, usize::MAX] {
        assert!(matches!(check(Some(bad)), Err(InputError::Value { field, .. }) if field == "dimensions"));
    }
}

proptest! {
    /// From the smallest number to the largest.
    #[test]
    fn a_normalised_vector_has_length_one_and_its_direction(
        vector in proptest::collection::vec(prop_oneof![-1.0_f32..1.0, Just(f32::MAX), Just(f32::from_bits(1))], 1..50)
    ) {
        let mut scaled = vector.clone();
        normalize(&mut scaled);
        let length = euclidean(scaled.iter().map(|value| f64::from(*value)));
        let original = euclidean(vector.iter().map(|value| f64::from(*value)));
        prop_assert!(original == 0.0 || (length - 1.0).abs() < 1e-6, "{}", length);
        for (scaled, value) in scaled.iter().zip(&vector) {
            prop_assert!((f64::from(*scaled) * original - f64::from(*value)).abs() <= original * 1e-6);
        }
    }
}
