//! Rows of unequal length as one run: what is padded before it, and cut off after it.

use crate::domain::settings::{PadFill, PadSide, PaddedInput};
use crate::domain::signature::Signature;
use crate::domain::tensor::{NamedTensor, TensorError};

/// Which dimensions have the length of a request's rows.
///
/// Of the inputs the settings say it; of the outputs it was found out by running rows of two lengths.
#[derive(Debug, Clone, PartialEq)]
pub struct Padding {
    inputs: Vec<Padded>,
    outputs: Vec<Trimmed>,
}

/// An input whose rows are padded.
#[derive(Debug, Clone, PartialEq)]
struct Padded {
    name: String,
    axis: usize,
    side: PadSide,
    fill: PadFill,
}

/// A dimension of an output that is as long as the padded rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trimmed {
    /// The output.
    pub name: String,
    /// The dimension.
    pub axis: usize,
}

impl Padding {
    /// The padding that settings ask for; none if they ask for none, or name no input with a free dimension. The settings must
    /// have been checked against the signature.
    pub fn of(inputs: &[PaddedInput], signature: &Signature) -> Option<Self> {
        let inputs: Vec<Padded> = inputs
            .iter()
            .filter_map(|PaddedInput { name, side, fill }| {
                let shape = &signature.input(name)?.shape;
                let axis = shape.iter().skip(1).position(|dimension| *dimension < 0)?.checked_add(1)?;
                Some(Padded { name: name.clone(), axis, side: *side, fill: *fill })
            })
            .collect();
        (!inputs.is_empty()).then_some(Self { inputs, outputs: Vec::new() })
    }

    /// The same with what was found out about the outputs.
    pub fn with_outputs(self, outputs: Vec<Trimmed>) -> Self {
        Self { outputs, ..self }
    }

    /// The dimension of an input that is padded, and the fill.
    pub fn axis_of(&self, input: &str) -> Option<(usize, PadFill)> {
        let padded = self.inputs.iter().find(|padded| padded.name == input)?;
        Some((padded.axis, padded.fill))
    }

    /// The length that the padded inputs of a request have in common; none if they differ or one is missing.
    pub fn width_of(&self, inputs: &[NamedTensor]) -> Option<usize> {
        let mut widths = self.inputs.iter().map(|padded| {
            let input = inputs.iter().find(|input| input.name == padded.name)?;
            usize::try_from(*input.tensor.shape().get(padded.axis)?).ok()
        });
        let first = widths.next()??;
        widths.all(|width| width == Some(first)).then_some(first)
    }

    /// A request's inputs made `width` long; those that are so long already, or are not padded, are views of what they were.
    pub fn widen(&self, inputs: &[NamedTensor], width: usize) -> Result<Vec<NamedTensor>, TensorError> {
        let widened = inputs.iter().map(|input| {
            let padded = self.inputs.iter().find(|padded| padded.name == input.name);
            let length = |axis: usize| input.tensor.shape().get(axis).map(|length| usize::try_from(*length));
            match padded {
                Some(Padded { axis, side, fill, .. }) if length(*axis) != Some(Ok(width)) => {
                    let tensor = input.tensor.widened(*axis, width, *side, *fill)?;
                    Ok(NamedTensor { name: input.name.clone(), tensor })
                }
                _ => Ok(input.clone()),
            }
        });
        widened.collect()
    }

    /// A request's outputs as they are for rows of its own length.
    pub fn trim(&self, outputs: Vec<NamedTensor>, width: usize) -> Result<Vec<NamedTensor>, TensorError> {
        let side = self.inputs.first().map_or(PadSide::Right, |padded| padded.side);
        let trimmed = outputs.into_iter().map(|NamedTensor { name, mut tensor }| {
            for Trimmed { axis, .. } in self.outputs.iter().filter(|trimmed| trimmed.name == name) {
                let length = tensor.shape().get(*axis).map(|length| usize::try_from(*length));
                if length != Some(Ok(width)) {
                    tensor = tensor.trimmed(*axis, width, side)?;
                }
            }
            Ok(NamedTensor { name, tensor })
        });
        trimmed.collect()
    }
}
