//! Texts to tokens.

use super::Model;
use crate::domain::text::{EncodedText, Truncation, check_encoded, check_listed, check_texts};
use crate::error::ServeError;

/// What the tokenizers are asked.
#[derive(Debug)]
pub struct TokenizeCall {
    /// The texts.
    pub texts: Vec<String>,
    /// Which end of a long text goes.
    pub truncation: Truncation,
    /// Asks where each token lies.
    pub with_offsets: bool,
}

impl Model {
    /// Encodes texts as [`Model::embed`] does, without running the graph; what it counts is what `embed` reads.
    pub async fn tokenize(
        &self,
        texts: Vec<String>,
        truncation: Truncation,
    ) -> Result<Vec<EncodedText>, ServeError> {
        self.encode(TokenizeCall { texts, truncation, with_offsets: false }).await
    }

    /// As [`Model::tokenize`], with the offsets of the tokens; refuses to list too many.
    pub async fn list_tokens(
        &self,
        texts: Vec<String>,
        truncation: Truncation,
    ) -> Result<Vec<EncodedText>, ServeError> {
        let encoded = self.encode(TokenizeCall { texts, truncation, with_offsets: true }).await?;
        check_listed(&encoded)?;
        Ok(encoded)
    }

    async fn encode(&self, call: TokenizeCall) -> Result<Vec<EncodedText>, ServeError> {
        let part = self.text()?;
        check_texts(&call.texts, &part.limits)?;
        let truncation = call.truncation;
        let bytes = call.texts.iter().fold(0_usize, |sum, text| sum.saturating_add(text.len()));
        let encoded = part.worker.call(call, bytes).await?.output?;
        check_encoded(&encoded, truncation, &part.limits)?;
        Ok(encoded)
    }
}
