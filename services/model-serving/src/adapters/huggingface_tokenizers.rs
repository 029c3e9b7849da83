//! Hugging Face `tokenizers`.

use tokenizers::{Encoding, Tokenizer, TruncationDirection, TruncationParams, TruncationStrategy};

use crate::domain::text::{EncodedText, Truncation};
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

    /// Says which end of a long text is dropped from now on; at first the end.
    pub fn truncate_at(&mut self, truncation: Truncation) {
        if let Some(parameters) = self.tokenizer.get_truncation_mut() {
            parameters.direction = match truncation {
                Truncation::Start => TruncationDirection::Left,
                Truncation::End | Truncation::Refuse => TruncationDirection::Right,
            };
        }
    }

    /// As [`TextEncoder::encode`], and where each token lies in the text.
    pub fn encode_with_offsets(&self, text: &str) -> Result<EncodedText, EncoderError> {
        let encoding = self.tokenizer.encode(text, true).map_err(EncoderError::Failed)?;
        let offsets = encoding.get_offsets().to_vec();
        Ok(EncodedText { offsets, ..encoded(&encoding) })
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
        Ok(encoded(&encoding))
    }
}

fn encoded(encoding: &Encoding) -> EncodedText {
    EncodedText {
        ids: encoding.get_ids().to_vec(),
        type_ids: encoding.get_type_ids().to_vec(),
        offsets: Vec::new(),
        // What was cut off is kept as further encodings.
        truncated: !encoding.get_overflowing().is_empty(),
    }
}
