//! What a text may be, and what it becomes.

use super::input_error::InputError;
use super::model::TextLimits;
use super::tensor::{Tensor, TensorData};

/// What happens to a text that is longer than the model reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truncation {
    /// The call is refused.
    Refuse,
    /// Tokens at its end are dropped.
    End,
    /// Tokens at its start are dropped.
    Start,
}

/// A text as the model reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedText {
    /// The token ids, special tokens included.
    pub ids: Vec<u32>,
    /// The segment of each token.
    pub type_ids: Vec<u32>,
    /// Where each token lies in the text, in bytes; of a special token empty, at 0. Only if asked for.
    pub offsets: Vec<(usize, usize)>,
    /// True if tokens were dropped to fit the model.
    pub truncated: bool,
}

/// The most tokens that one answer lists.
pub const MAX_LISTED_TOKENS: usize = 65_536;

/// Refuses texts before they are tokenised: none at all, too many, blank, or too long.
///
/// A text of only white space is empty: it has no token of its own, and an embedding of nothing is not worth a price.
pub fn check_texts(texts: &[String], limits: &TextLimits) -> Result<(), InputError> {
    if texts.is_empty() {
        return Err(InputError::Empty { field: "texts".to_owned() });
    }
    if texts.len() > limits.max_items {
        let detail = format!("{} texts, a call may carry {}", texts.len(), limits.max_items);
        return Err(InputError::TooLarge { field: "texts".to_owned(), detail });
    }
    for (index, text) in texts.iter().enumerate() {
        let field = || format!("texts[{index}]");
        if text.len() > limits.max_text_bytes {
            let detail = format!("{} bytes, a text may have {}", text.len(), limits.max_text_bytes);
            return Err(InputError::TooLarge { field: field(), detail });
        }
        if text.trim().is_empty() {
            return Err(InputError::Empty { field: field() });
        }
    }
    Ok(())
}

/// Refuses texts without any token, which a tokenizer without special tokens may find, and texts that were cut where
/// the caller does not want that.
pub fn check_encoded(
    encoded: &[EncodedText],
    truncation: Truncation,
    limits: &TextLimits,
) -> Result<(), InputError> {
    if let Some(index) = encoded.iter().position(|text| text.ids.is_empty()) {
        return Err(InputError::Empty { field: format!("texts[{index}]") });
    }
    let cut = encoded.iter().position(|text| text.truncated);
    match (truncation, cut) {
        (Truncation::Refuse, Some(index)) => Err(InputError::TooLarge {
            field: format!("texts[{index}]"),
            detail: format!("more than {} tokens", limits.max_input_tokens),
        }),
        _ => Ok(()),
    }
}

/// Refuses to list more tokens than an answer should carry.
pub fn check_listed(encoded: &[EncodedText]) -> Result<(), InputError> {
    let tokens = encoded.iter().fold(0_usize, |sum, text| sum.saturating_add(text.ids.len()));
    if tokens <= MAX_LISTED_TOKENS {
        return Ok(());
    }
    let detail = format!("{tokens} tokens together, at most {MAX_LISTED_TOKENS} are listed");
    Err(InputError::TooLarge { field: "texts".to_owned(), detail })
}

/// Refuses token ids, sent as a tensor, that a text could not have become: outside the vocabulary, or too many in a row.
///
/// The graph looks ids up in tables; it would fail on these while it runs.
pub fn check_token_ids(
    index: usize,
    ids: &Tensor,
    vocabulary_size: usize,
    max_input_tokens: usize,
) -> Result<(), InputError> {
    let columns = ids.shape().last().copied().unwrap_or(0);
    if usize::try_from(columns).is_ok_and(|columns| columns > max_input_tokens) {
        let detail = format!("{columns} tokens a row, the model reads {max_input_tokens}");
        return Err(InputError::TooLarge { field: format!("inputs[{index}].shape"), detail });
    }
    let TensorData::Int64(values) = ids.data() else { return Ok(()) };
    let in_vocabulary = |id: &i64| usize::try_from(*id).is_ok_and(|id| id < vocabulary_size);
    match values.iter().find(|id| !in_vocabulary(id)) {
        None => Ok(()),
        Some(id) => Err(InputError::Value {
            field: format!("inputs[{index}]"),
            detail: format!("token id {id} is outside the vocabulary of {vocabulary_size}"),
        }),
    }
}

#[cfg(test)]
mod tests;
