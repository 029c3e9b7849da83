//! Several requests as one run, and back.

use std::time::Duration;

use super::manifest::EmbeddingManifest;
use super::settings::PadSide;
use super::signature::Signature;
use super::tensor::{NamedTensor, Tensor, TensorError};
use super::tensor::{concat_rows, split_rows};
use super::text::EncodedText;

mod padding;

pub use padding::{Padding, Trimmed};

/// Which requests may share a run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum BatchKey {
    /// Texts, padded to the longest of the batch.
    Texts,
    /// Tensors that are alike but for their rows, with the same outputs wanted.
    Tensors {
        /// Every input with all dimensions but the first, and -1 for one that is padded.
        inputs: Vec<(String, Vec<i64>)>,
        /// The outputs wanted, in order.
        outputs: Vec<String>,
    },
}

/// The parts of the time a run takes.
#[derive(Debug, Clone, Copy, Default)]
pub struct StepTimes {
    /// Putting the batch together.
    pub input: Duration,
    /// In the engine.
    pub infer: Duration,
    /// Taking the outputs apart.
    pub output: Duration,
}

impl BatchKey {
    /// The key of tensors that were checked against a signature; none if a first dimension is not a batch of rows, or if
    /// inputs that are to be padded are not equally long.
    pub fn of_tensors(inputs: &[NamedTensor], outputs: &[String], padding: Option<&Padding>) -> Option<Self> {
        let rows = rows_of(inputs)?;
        if let Some(padding) = padding {
            padding.width_of(inputs)?;
        }
        let alike = |input: &NamedTensor| {
            let (first, _) = input.tensor.shape().split_first()?;
            let mut shape = input.tensor.shape().to_vec();
            if let Some((axis, _)) = padding.and_then(|padding| padding.axis_of(&input.name)) {
                *shape.get_mut(axis)? = -1;
            }
            shape.remove(0);
            (usize::try_from(*first) == Ok(rows)).then(|| (input.name.clone(), shape))
        };
        let inputs = inputs.iter().map(alike).collect::<Option<Vec<_>>>()?;
        (rows > 0).then(|| Self::Tensors { inputs, outputs: outputs.to_vec() })
    }
}

/// The first dimension of the inputs; none for a scalar or no input.
pub fn rows_of(inputs: &[NamedTensor]) -> Option<usize> {
    usize::try_from(*inputs.first()?.tensor.shape().first()?).ok()
}

/// True if every tensor of a graph has rows of which it takes and gives any number.
pub fn has_rows(signature: &Signature) -> bool {
    let mut specs = signature.inputs.iter().chain(&signature.outputs);
    !signature.inputs.is_empty() && specs.all(|spec| spec.shape.first().is_some_and(|rows| *rows < 0))
}

/// Joins the inputs of requests of one key, row by row; rows that are padded become as long as the longest.
pub fn gather(
    requests: &[&[NamedTensor]],
    padding: Option<&Padding>,
) -> Result<Vec<NamedTensor>, TensorError> {
    let mut widened = Vec::new();
    if let Some(padding) = padding {
        let widths = requests.iter().map(|inputs| padding.width_of(inputs).unwrap_or(0));
        let width = widths.max().unwrap_or(0);
        widened.reserve(requests.len());
        for inputs in requests {
            widened.push(padding.widen(inputs, width)?);
        }
    }
    let widened: Vec<&[NamedTensor]> = widened.iter().map(Vec::as_slice).collect();
    let requests = if padding.is_some() { widened.as_slice() } else { requests };
    let names = requests.first().copied().unwrap_or_default();
    let joined = names.iter().enumerate().map(|(index, named)| {
        let parts: Vec<&Tensor> =
            requests.iter().filter_map(|inputs| inputs.get(index)).map(|input| &input.tensor).collect();
        Ok(NamedTensor { name: named.name.clone(), tensor: concat_rows(&parts)? })
    });
    joined.collect()
}

/// Gives every request its rows of every output, as long as its own rows are. `rows` and `widths` are of the requests, in
/// order.
pub fn scatter(
    outputs: Vec<NamedTensor>,
    rows: &[usize],
    widths: &[usize],
    padding: Option<&Padding>,
) -> Result<Vec<Vec<NamedTensor>>, TensorError> {
    let mut answers: Vec<Vec<NamedTensor>> = rows.iter().map(|_| Vec::with_capacity(outputs.len())).collect();
    for NamedTensor { name, tensor } in outputs {
        for (answer, tensor) in answers.iter_mut().zip(split_rows(tensor, rows)?) {
            answer.push(NamedTensor { name: name.clone(), tensor });
        }
    }
    let Some(padding) = padding else { return Ok(answers) };
    answers.into_iter().zip(widths).map(|(answer, width)| padding.trim(answer, *width)).collect()
}

/// The inputs of texts, every row padded to the longest on the manifest's side. Padding has id 0 and mask 0.
pub fn pad_texts(
    texts: &[&EncodedText],
    manifest: &EmbeddingManifest,
) -> Result<Vec<NamedTensor>, TensorError> {
    let width = width_of(texts);
    let matrix = |name: &str, row: &dyn Fn(&EncodedText, &mut Vec<i64>)| {
        named(name, texts.len(), width, column(texts, width, manifest.padding_side, row))
    };
    let mut inputs = vec![
        matrix(&manifest.ids, &|text, values| values.extend(text.ids.iter().map(|id| i64::from(*id))))?,
        matrix(&manifest.mask, &|text, values| values.extend(text.ids.iter().map(|_| 1_i64)))?,
    ];
    if let Some(name) = &manifest.type_ids {
        inputs.push(matrix(name, &|text, values| {
            values.extend(text.type_ids.iter().take(text.ids.len()).map(|id| i64::from(*id)));
        })?);
    }
    Ok(inputs)
}

/// What the rows of a batch are padded to.
pub fn width_of(texts: &[&EncodedText]) -> usize {
    texts.iter().map(|text| text.ids.len()).max().unwrap_or(0)
}

/// One input, row by row; `row` appends as many numbers as the text has tokens, at most.
fn column(
    texts: &[&EncodedText],
    width: usize,
    side: PadSide,
    row: &dyn Fn(&EncodedText, &mut Vec<i64>),
) -> Vec<i64> {
    let mut values = Vec::with_capacity(texts.len().saturating_mul(width));
    for text in texts {
        let end = values.len().saturating_add(width);
        if side == PadSide::Left {
            values.resize(end.saturating_sub(text.ids.len()), 0);
        }
        row(text, &mut values);
        values.resize(end, 0);
    }
    values
}

fn named(name: &str, rows: usize, width: usize, values: Vec<i64>) -> Result<NamedTensor, TensorError> {
    // Both are bounded by the limits of a batch and of a manifest, far below i64.
    let shape = [rows, width].map(|size| i64::try_from(size).unwrap_or(i64::MAX));
    Ok(NamedTensor { name: name.to_owned(), tensor: Tensor::try_new(shape.to_vec(), values.into())? })
}

#[cfg(test)]
mod tests;
