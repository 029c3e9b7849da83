//! Texts to vectors.

use super::{Model, Timing};
use crate::domain::call::CallContext;
use crate::domain::embedding::VectorForm;
use crate::domain::text::Truncation;
use crate::error::ServeError;

/// The embeddings of a call, in the order of its texts.
#[derive(Debug)]
pub struct Embedded {
    /// One a text.
    pub texts: Vec<EmbeddedText>,
    /// What it cost: the longest wait and the longest run.
    pub timing: Timing,
}

/// One text's embedding; every number is finite.
#[derive(Debug)]
pub struct EmbeddedText {
    /// As many numbers as were asked for.
    pub values: Vec<f32>,
    /// The tokens that were read.
    pub input_tokens: usize,
    /// True if the text was cut.
    pub truncated: bool,
}

impl Model {
    /// Embeds texts; all or none.
    pub async fn embed(
        &self,
        texts: Vec<String>,
        truncation: Truncation,
        form: VectorForm,
        context: &CallContext,
    ) -> Result<Embedded, ServeError> {
        let manifest = &self.text()?.manifest;
        form.check(manifest)?;
        let encoded = self.tokenize(texts, truncation).await?;
        let read: Vec<(usize, bool)> = encoded.iter().map(|text| (text.ids.len(), text.truncated)).collect();
        let mut timing = Timing::default();
        let mut embedded = Vec::with_capacity(read.len());
        let answers = self.run_texts(encoded, context).await;
        for (answer, (input_tokens, truncated)) in answers.into_iter().zip(read) {
            let mut answer = answer?;
            form.apply(&mut answer.values, manifest);
            timing.queue_time = timing.queue_time.max(answer.timing.queue_time);
            timing.inference_time = timing.inference_time.max(answer.timing.inference_time);
            embedded.push(EmbeddedText { values: answer.values, input_tokens, truncated });
        }
        Ok(Embedded { texts: embedded, timing })
    }
}
