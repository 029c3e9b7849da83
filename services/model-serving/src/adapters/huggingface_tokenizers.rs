//! Hugging Face `tokenizers`.

use tokenizers::{Tokenizer, TruncationDirection, TruncationParams, TruncationStrategy};

use crate::domain::text::EncodedText;
use crate::ports::{EncoderError, TextEncoder};

/// A `tokenizer.json`, made to cut at one length and never to pad.
#[derive(Clone)]
pub struct HuggingFaceTokenizer {
    tokenizer: Tokenizer,
}

impl HuggingFaceTokenizer {
    /// Reads the bytes of a `tokenizer.json`. Its own padding and truncation are overridden: batches
    /// are padded here to their own longest row, and cutting is the caller's choice.
    pub fn from_bytes(bytes: &[u8], max_input_tokens: usize) -> Result<Self, EncoderError> {
        let mut tokenizer = Tokenizer::from_bytes(bytes).map_err(EncoderError::Failed)?;
        tokenizer.with_padding(None);
        let truncation = TruncationParams {
            direction: TruncationDirection::Right,
            max_length: max_input_tokens,
            strategy: TruncationStrategy::LongestFirst,
            stride: 0,
        };
        tokenizer.with_truncation(Some(truncation)).map_err(EncoderError::Failed)?;
        Ok(Self { tokenizer })
    }

    /// The number of token ids, added tokens included: every id is below it.
    pub fn vocabulary_size(&self) -> usize {
        let highest = self.tokenizer.get_vocab(true).into_values().max();
        highest.and_then(|id| usize::try_from(id).ok()).map_or(0, |id| id.saturating_add(1))
    }
}

impl TextEncoder for HuggingFaceTokenizer {
    fn encode(&self, text: &str) -> Result<EncodedText, EncoderError> {
        let encoding = self.tokenizer.encode_fast(text, true).map_err(EncoderError::Failed)?;
        Ok(EncodedText {
            ids: encoding.get_ids().to_vec(),
            type_ids: encoding.get_type_ids().to_vec(),
            // What was cut off is kept as further encodings.
            truncated: !encoding.get_overflowing().is_empty(),
        })
    }
}
