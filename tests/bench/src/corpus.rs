//! Texts of exact length in tokens, with the embeddings that the bare engine gives them one by one.

use std::cell::Cell;

use ailayer_model_serving::raw::RawModel;
use anyhow::ensure;

use crate::random::Random;

/// The largest distance between a right answer and its reference, relative to the reference's length: results
/// differ in their last bits with the rows of the batch.
const TOLERANCE: f64 = 1e-3;

/// Words that tokenizers of English text keep whole; those they do not are passed over.
const WORDS: &str = "the of and to in is was for that on with as by at from his it an were which are this also be or \
    had has first one their its new after but who not they have her she two been other when there all during into \
    school time may years more most only over city some world would where later up such used many can state about \
    national out known university united then made under war game between team city three house river family music \
    water people company work north south line light street church system film series book member town history life \
    group number part early south village small large station road power second long several former high public";

/// One text.
#[derive(Debug)]
pub struct Text {
    /// The words.
    pub text: String,
    /// What the bare engine answers, alone in its batch.
    pub reference: Vec<f32>,
}

/// Texts, taken in a ring.
#[derive(Debug)]
pub struct Corpus {
    texts: Vec<Text>,
}

/// A place in the ring; each arm has its own.
#[derive(Debug, Default)]
pub struct Ring(Cell<usize>);

impl Ring {
    /// The next index.
    pub fn next(&self, corpus: &Corpus) -> usize {
        let index = self.0.get();
        self.0.set((index + 1) % corpus.texts.len().max(1));
        index
    }
}

impl Corpus {
    /// Writes a text for each length and embeds it.
    pub fn build(model: &mut RawModel, lengths: &[usize], seed: u64) -> anyhow::Result<Self> {
        let mut words = Vec::new();
        let empty = model.token_count("")?;
        for word in WORDS.split_whitespace() {
            if model.token_count(word)? == empty + 1 {
                words.push(word);
            }
        }
        ensure!(words.len() >= 50, "the tokenizer keeps only {} of the words whole", words.len());
        let mut random = Random::new(seed);
        let mut texts = Vec::with_capacity(lengths.len());
        for &tokens in lengths {
            let own = tokens.saturating_sub(empty);
            let chosen: Vec<&str> =
                (0..own).filter_map(|_| words.get(random.below(words.len())).copied()).collect();
            let text = chosen.join(" ");
            let counted = model.token_count(&text)?;
            ensure!(counted == tokens, "a text made to have {tokens} tokens has {counted}");
            let reference = model.embed(&[&text])?.into_iter().next().unwrap_or_default();
            texts.push(Text { text, reference });
        }
        ensure!(!texts.is_empty(), "a corpus needs texts");
        Ok(Self { texts })
    }

    /// The text at an index.
    pub fn text(&self, index: usize) -> anyhow::Result<&Text> {
        self.texts.get(index).ok_or_else(|| anyhow::anyhow!("there is no text {index}"))
    }

    /// Fails unless the values are this text's embedding.
    pub fn check(&self, index: usize, values: &[f32]) -> anyhow::Result<()> {
        let reference = &self.text(index)?.reference;
        ensure!(
            values.len() == reference.len(),
            "text {index}: {} values, not {}",
            values.len(),
            reference.len()
        );
        let square = |sum: f64, value: f64| value.mul_add(value, sum);
        let pairs = values.iter().zip(reference).map(|(a, b)| f64::from(*a) - f64::from(*b));
        let distance = pairs.fold(0.0, square).sqrt();
        let scale = reference.iter().map(|b| f64::from(*b)).fold(0.0, square).sqrt();
        // Written so that a NaN fails.
        ensure!(
            distance <= scale * TOLERANCE,
            "text {index}: wrong by {:.1e} of its length",
            distance / scale
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_answers_are_seen() {
        let text = Text { text: "a".into(), reference: vec![0.6, 0.8] };
        let corpus = Corpus { texts: vec![text] };
        assert!(corpus.check(0, &[0.600_1, 0.8]).is_ok());
        for wrong in [&[0.61, 0.8][..], &[0.8, 0.6], &[0.6], &[f32::NAN, 0.8]] {
            assert!(corpus.check(0, wrong).is_err(), "{wrong:?}");
        }
        assert!(corpus.check(1, &[0.6, 0.8]).is_err());
    }
}
