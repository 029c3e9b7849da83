//! Tokens to vectors.

use super::{Model, Run, Timing};
use crate::domain::call::CallContext;
use crate::domain::embedding::rows_of;
use crate::domain::text::{EncodedText, pad, plan_batches};
use crate::error::ServeError;
use crate::ports::SessionError;

/// What the graph made of one text.
#[derive(Debug, Clone, PartialEq)]
pub struct TextOutput {
    /// As many numbers as the model's dimensions, all finite.
    pub values: Vec<f32>,
    /// What it cost.
    pub timing: Timing,
}

impl Model {
    /// Runs texts through the graph; answers in their order, each for itself. The texts must have been encoded by this model.
    pub async fn run_texts(
        &self,
        texts: Vec<EncodedText>,
        _context: &CallContext,
    ) -> Vec<Result<TextOutput, ServeError>> {
        let plan = self.text().map_or_else(|_| Vec::new(), |part| plan_batches(&texts, part.max_batch_rows));
        let missing = || SessionError::Failed("the engine left an output out".into()).into();
        let mut answers: Vec<Result<TextOutput, ServeError>> = texts.iter().map(|_| Err(missing())).collect();
        for rows in plan {
            let mut outputs = self.run_rows(&texts, &rows).await.map(Vec::into_iter);
            for row in &rows {
                let answer = match &mut outputs {
                    Ok(outputs) => outputs.next().ok_or_else(missing),
                    // Only offenders fail: each runs again alone.
                    Err(_) => self
                        .run_rows(&texts, &[*row])
                        .await
                        .and_then(|one| one.into_iter().next().ok_or_else(missing)),
                };
                if let Some(slot) = answers.get_mut(*row) {
                    *slot = answer;
                }
            }
        }
        answers
    }

    async fn run_rows(&self, texts: &[EncodedText], rows: &[usize]) -> Result<Vec<TextOutput>, ServeError> {
        let part = self.text()?;
        let batches = vec![pad(texts, rows, &part.manifest)?];
        let (outputs, timing) =
            self.run(Run { batches, outputs: vec![part.manifest.output.clone()] }).await?;
        let missing = || SessionError::Failed("the engine left an output out".into());
        let output = outputs.into_iter().flatten().next().ok_or_else(missing)?;
        let values = rows_of(output.tensor, rows.len(), part.limits.dimensions)?;
        Ok(values.into_iter().map(|values| TextOutput { values, timing }).collect())
    }
}
