//! Tensors in, tensors out.

use super::{Model, Run, Timing};
use crate::domain::call::CallContext;
use crate::domain::tensor::NamedTensor;
use crate::domain::text::check_token_ids;
use crate::error::ServeError;

/// The outputs of a call, in the order asked for.
#[derive(Debug)]
pub struct Inferred {
    /// The outputs.
    pub outputs: Vec<NamedTensor>,
    /// What it cost.
    pub timing: Timing,
}

impl Model {
    /// Runs the graph once. The inputs must have been checked against the signature.
    pub async fn infer(
        &self,
        inputs: Vec<NamedTensor>,
        outputs: Vec<String>,
        _context: &CallContext,
    ) -> Result<Inferred, ServeError> {
        if let Some(text) = &self.text {
            let ids = inputs.iter().enumerate().find(|(_, input)| input.name == text.manifest.ids);
            if let Some((index, ids)) = ids {
                check_token_ids(index, &ids.tensor, text.vocabulary_size, text.limits.max_input_tokens)?;
            }
        }
        let (batches, timing) = self.run(Run { batches: vec![inputs], outputs }).await?;
        Ok(Inferred { outputs: batches.into_iter().flatten().collect(), timing })
    }
}
