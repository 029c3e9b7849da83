//! Tensors in, tensors out.

use super::Model;
use super::backend::{Output, Work, missing};
use crate::domain::batch::{BatchKey, rows_of};
use crate::domain::call::CallContext;
use crate::domain::input_error::InputError;
use crate::domain::tensor::NamedTensor;
use crate::domain::text::check_token_ids;
use crate::error::ServeError;
use crate::scheduler::{Done, Request};

/// The outputs of a call, in the order asked for.
#[derive(Debug)]
pub struct Inferred {
    /// The outputs.
    pub outputs: Vec<NamedTensor>,
}

impl Model {
    /// Runs the graph on the call's tensors, with those of other calls where the model allows it. The inputs must
    /// have been checked against the signature.
    pub async fn infer(
        &self,
        inputs: Vec<NamedTensor>,
        outputs: Vec<String>,
        context: &CallContext,
    ) -> Result<Inferred, ServeError> {
        if let Some(text) = &self.text {
            let ids = inputs.iter().enumerate().find(|(_, input)| input.name == text.manifest.ids);
            if let Some((index, ids)) = ids {
                check_token_ids(index, &ids.tensor, text.vocabulary_size, text.limits.max_input_tokens)?;
            }
        }
        let rows = self.request_rows(&inputs)?;
        let priority = self.priority(context)?;
        let padding = self.padding.as_deref();
        let key = if self.rows.tensor > 1 { BatchKey::of_tensors(&inputs, &outputs, padding) } else { None };
        let width = padding.and_then(|padding| padding.width_of(&inputs)).unwrap_or(0);
        let bytes = inputs.iter().fold(0_usize, |sum, input| sum.saturating_add(input.tensor.byte_len()));
        let request = Request { work: Work::Tensors { inputs, outputs }, key, rows, width, bytes };
        let ticket = self.engine.submit(vec![request], context, priority)?.into_iter().next();
        let Done { output, .. } = ticket.ok_or_else(missing)?.answer().await?;
        match output {
            Output::Tensors(outputs) => Ok(Inferred { outputs }),
            Output::Vector(_) => Err(missing()),
        }
    }

    fn request_rows(&self, inputs: &[NamedTensor]) -> Result<usize, InputError> {
        let batching = &self.settings.batching;
        if batching.literal_shapes {
            return Ok(1);
        }
        // Of every input: a graph may spread one row of the first over many of another.
        let most = batching.max_request_rows.unwrap_or(usize::MAX);
        let rows_of_each = inputs.iter().map(|input| rows_of(std::slice::from_ref(input)).unwrap_or(1));
        match rows_of_each.enumerate().find(|(_, rows)| *rows > most) {
            Some((index, rows)) => Err(InputError::TooLarge {
                field: format!("inputs[{index}].shape"),
                detail: format!("{rows} rows, a request may have {most}"),
            }),
            None => Ok(rows_of(inputs).unwrap_or(1)),
        }
    }
}
