//! From one vector a token to one vector a text.

use super::settings::PadSide;

/// How the vectors of a text's tokens become the vector of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// The graph does it: its output has one vector a text.
    #[default]
    None,
    /// The mean over the text's tokens, special tokens included, padding not.
    Mean,
    /// The vector of the first token, where models of BERT's kind gather the text.
    Cls,
    /// The vector of the last token, where models that read forwards have seen all of it.
    Last,
}

/// Pools rows of token vectors, `[rows, width, dimensions]` in row-major order.
///
/// `tokens` are the real tokens of each row; the rest of its `width` is padding on that `side`, and is never looked at.
/// A row without tokens has no vector: all its numbers are NaN. With [`Pooling::None`] there is nothing to pool, and
/// nothing is answered. `dimensions` and `width` must be from 1.
pub fn pool(
    pooling: Pooling,
    values: &[f32],
    tokens: &[usize],
    width: usize,
    dimensions: usize,
    side: PadSide,
) -> Vec<Vec<f32>> {
    let rows = values.chunks(width.saturating_mul(dimensions).max(1)).zip(tokens);
    rows.filter_map(|(row, tokens)| pool_row(pooling, real(row, *tokens, dimensions, side), dimensions))
        .collect()
}

/// The vectors of a row that belong to its tokens.
fn real(row: &[f32], tokens: usize, dimensions: usize, side: PadSide) -> &[f32] {
    let length = tokens.saturating_mul(dimensions).min(row.len());
    let range = match side {
        PadSide::Right => 0..length,
        PadSide::Left => row.len().saturating_sub(length)..row.len(),
    };
    row.get(range).unwrap_or_default()
}

fn pool_row(pooling: Pooling, vectors: &[f32], dimensions: usize) -> Option<Vec<f32>> {
    let mut vectors = vectors.chunks_exact(dimensions.max(1));
    let nothing = || vec![f32::NAN; dimensions];
    match pooling {
        Pooling::None => None,
        Pooling::Mean => Some(mean(vectors, dimensions)),
        Pooling::Cls => Some(vectors.next().map_or_else(nothing, <[f32]>::to_vec)),
        Pooling::Last => Some(vectors.next_back().map_or_else(nothing, <[f32]>::to_vec)),
    }
}

/// Summed in f64: thousands of tokens lose no digit of the answer's f32, whatever their order.
fn mean<'a>(vectors: impl Iterator<Item = &'a [f32]>, dimensions: usize) -> Vec<f32> {
    let mut sums = vec![0.0_f64; dimensions];
    let mut count = 0.0_f64;
    for vector in vectors {
        count += 1.0;
        for (sum, value) in sums.iter_mut().zip(vector) {
            *sum += f64::from(*value);
        }
    }
    sums.into_iter().map(|sum| narrowed(sum / count)).collect()
}

/// The nearest f32.
#[expect(
    clippy::cast_possible_truncation,
    reason = "rounding is meant; what is too large becomes an infinity, which is refused"
)]
pub(super) const fn narrowed(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests;
