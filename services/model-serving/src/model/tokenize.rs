//! Texts to tokens.

use super::Model;
use crate::domain::text::{EncodedText, Truncation, check_texts, check_truncation};
use crate::error::ServeError;

impl Model {
    /// Encodes texts as [`Model::embed`] would, without running the graph.
    pub async fn tokenize(
        &self,
        texts: Vec<String>,
        truncation: Truncation,
    ) -> Result<Vec<EncodedText>, ServeError> {
        let part = self.text()?;
        check_texts(&texts, &part.limits)?;
        let bytes = texts.iter().fold(0_usize, |sum, text| sum.saturating_add(text.len()));
        let encoded = part.worker.call(texts, bytes).await?.output?;
        check_truncation(&encoded, truncation, &part.limits)?;
        Ok(encoded)
    }
}
