//! Texts to vectors.

use super::{Model, Run, TextPart, Timing};
use crate::domain::embedding::rows_of;
use crate::domain::tensor::NamedTensor;
use crate::domain::text::{EncodedText, Truncation, pad, plan_batches};
use crate::error::ServeError;
use crate::ports::SessionError;

/// The embeddings of a call, in the order of its texts.
#[derive(Debug)]
pub struct Embedded {
    /// One a text.
    pub texts: Vec<EmbeddedText>,
    /// What it cost.
    pub timing: Timing,
}

/// One text's embedding; every number is finite.
#[derive(Debug)]
pub struct EmbeddedText {
    /// As many numbers as the model's dimensions.
    pub values: Vec<f32>,
    /// The tokens that were read.
    pub input_tokens: usize,
    /// True if the text was cut.
    pub truncated: bool,
}

impl Model {
    /// Embeds texts; all or none. The whole call is one queue entry, its batches run one after the other.
    pub async fn embed(&self, texts: Vec<String>, truncation: Truncation) -> Result<Embedded, ServeError> {
        let encoded = self.tokenize(texts, truncation).await?;
        let part = self.text()?;
        let plan = plan_batches(&encoded, part.max_batch_rows);
        let batches =
            plan.iter().map(|rows| pad(&encoded, rows, &part.manifest)).collect::<Result<_, _>>()?;
        let run = Run { batches, outputs: vec![part.manifest.output.clone()] };
        let (outputs, timing) = self.run(run).await?;
        Ok(Embedded { texts: assemble(&encoded, &plan, outputs, part)?, timing })
    }
}

/// Puts the rows of every batch back into the order of the texts.
fn assemble(
    encoded: &[EncodedText],
    plan: &[Vec<usize>],
    outputs: Vec<Vec<NamedTensor>>,
    part: &TextPart,
) -> Result<Vec<EmbeddedText>, ServeError> {
    let missing = || SessionError::Failed("the engine left an output out".into());
    let mut vectors: Vec<Option<Vec<f32>>> = vec![None; encoded.len()];
    for (rows, output) in plan.iter().zip(outputs) {
        let output = output.into_iter().next().ok_or_else(missing)?;
        let embeddings = rows_of(output.tensor, rows.len(), part.limits.dimensions)?;
        for (index, embedding) in rows.iter().zip(embeddings) {
            if let Some(slot) = vectors.get_mut(*index) {
                *slot = Some(embedding);
            }
        }
    }
    let texts = encoded.iter().zip(vectors).map(|(text, values)| {
        let values = values.ok_or_else(missing)?;
        Ok(EmbeddedText { values, input_tokens: text.ids.len(), truncated: text.truncated })
    });
    texts.collect()
}
