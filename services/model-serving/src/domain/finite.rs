//! Models that must not be asked about NaN.

use super::input_error::InputError;
use super::tensor::NamedTensor;

/// Refuses inputs with a NaN or an infinity; for models whose settings say `refuse_non_finite`.
pub fn check_finite(inputs: &[NamedTensor]) -> Result<(), InputError> {
    let found = inputs
        .iter()
        .enumerate()
        .find_map(|(index, input)| Some((index, input.tensor.data().first_non_finite()?)));
    match found {
        None => Ok(()),
        Some((index, element)) => Err(InputError::Value {
            field: format!("inputs[{index}]"),
            detail: format!("element {element} is not finite, and this model takes finite numbers only"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tensor::Tensor;
    use super::*;

    #[test]
    fn the_first_is_named() {
        let input = |values: &[f32]| NamedTensor {
            name: "x".to_owned(),
            tensor: Tensor::try_new(vec![values.len().try_into().unwrap()], values.to_vec().into()).unwrap(),
        };
        assert_eq!(check_finite(&[input(&[0.0, -1.0]), input(&[])]), Ok(()));
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let error = check_finite(&[input(&[0.0]), input(&[1.0, bad, bad])]).unwrap_err();
            assert!(error.to_string().starts_with("inputs[1]: element 1 is not finite"), "{error}");
        }
    }
}
