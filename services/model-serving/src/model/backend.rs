//! What an inference thread does with a batch.

use std::sync::Arc;
use std::time::Instant;

use crate::cancel::CancelToken;
use crate::domain::batch::{BatchKey, Padding, StepTimes, gather, pad_texts, scatter, width_of};
use crate::domain::embedding::vectors_of;
use crate::domain::manifest::EmbeddingManifest;
use crate::domain::tensor::NamedTensor;
use crate::domain::text::EncodedText;
use crate::error::ServeError;
use crate::ports::{InferenceSession, SessionError};
use crate::scheduler::{Ran, Runner};

/// One queue entry. Entries of a batch are of one kind: their keys are equal.
#[derive(Debug)]
pub enum Work {
    /// One text.
    Text(EncodedText),
    /// The tensors of one call.
    Tensors {
        /// Every input of the graph.
        inputs: Vec<NamedTensor>,
        /// The outputs wanted, in order.
        outputs: Vec<String>,
    },
}

/// The answer to one entry.
#[derive(Debug)]
pub enum Output {
    /// A text's vector.
    Vector(Vec<f32>),
    /// The outputs wanted.
    Tensors(Vec<NamedTensor>),
}

/// One session and what texts mean to it.
pub struct Backend {
    session: Box<dyn InferenceSession>,
    text: Option<EmbeddingManifest>,
    padding: Option<Arc<Padding>>,
}

impl Backend {
    /// A backend; without a manifest it takes tensors only, without padding only rows of one length together.
    pub const fn new(
        session: Box<dyn InferenceSession>,
        text: Option<EmbeddingManifest>,
        padding: Option<Arc<Padding>>,
    ) -> Self {
        Self { session, text, padding }
    }

    fn texts(&mut self, texts: &[&EncodedText], cancel: &CancelToken) -> Result<Ran<Output>, ServeError> {
        let Self { session, text: Some(manifest), .. } = self else { return Err(missing()) };
        let mut clock = Clock::start();
        let inputs = pad_texts(texts, manifest)?;
        clock.lap(|times| &mut times.input);
        let wanted = std::slice::from_ref(&manifest.output);
        let output = session.run(&inputs, wanted, texts.len(), cancel)?;
        let output = output.into_iter().next().ok_or_else(missing)?;
        clock.lap(|times| &mut times.infer);
        let (tokens, width) = (texts.iter().map(|text| text.ids.len()).collect::<Vec<_>>(), width_of(texts));
        let vectors = vectors_of(output.tensor, &tokens, width, manifest)?;
        let outputs = vectors.into_iter().map(|vector| Ok(Output::Vector(vector?))).collect();
        clock.lap(|times| &mut times.output);
        Ok(clock.ran(outputs, texts.len().saturating_mul(width)))
    }

    fn tensors(
        &mut self,
        requests: &[&[NamedTensor]],
        wanted: &[String],
        cancel: &CancelToken,
    ) -> Result<Ran<Output>, ServeError> {
        let mut clock = Clock::start();
        if let [only] = requests {
            // Nothing is copied: the engine reads the memory of the message.
            let outputs = self.session.run(only, wanted, 1, cancel)?;
            clock.lap(|times| &mut times.infer);
            return Ok(clock.ran(vec![Ok(Output::Tensors(outputs))], 0));
        }
        let padding = self.padding.as_deref();
        let width =
            |inputs: &&[NamedTensor]| padding.and_then(|padding| padding.width_of(inputs)).unwrap_or(0);
        let widths: Vec<usize> = requests.iter().map(width).collect();
        let rows: Vec<usize> =
            requests.iter().filter_map(|inputs| crate::domain::batch::rows_of(inputs)).collect();
        let inputs = gather(requests, padding)?;
        clock.lap(|times| &mut times.input);
        let outputs = self.session.run(&inputs, wanted, requests.len(), cancel)?;
        clock.lap(|times| &mut times.infer);
        let answers = scatter(outputs, &rows, &widths, padding)?;
        let limit = self.session.max_output_bytes();
        let answers = answers.into_iter().map(|outputs| within(outputs, limit)).collect();
        clock.lap(|times| &mut times.output);
        let widest = widths.into_iter().max().unwrap_or(0);
        Ok(clock.ran(answers, rows.iter().sum::<usize>().saturating_mul(widest)))
    }
}

/// One call's outputs, if they are not too large.
fn within(outputs: Vec<NamedTensor>, limit: usize) -> Result<Output, ServeError> {
    let bytes = outputs.iter().fold(0_usize, |sum, output| sum.saturating_add(output.tensor.byte_len()));
    match bytes > limit {
        true => Err(SessionError::OutputTooLarge { bytes, limit }.into()),
        false => Ok(Output::Tensors(outputs)),
    }
}

impl Runner for Backend {
    type Key = BatchKey;
    type Work = Work;
    type Output = Output;

    fn run(&mut self, batch: &[&Work], cancel: &CancelToken) -> Result<Ran<Output>, ServeError> {
        if cancel.is_cancelled() {
            return Err(SessionError::Cancelled.into());
        }
        let (mut texts, mut tensors) = (Vec::new(), Vec::new());
        let mut wanted: &[String] = &[];
        for work in batch {
            match work {
                Work::Text(text) => texts.push(text),
                Work::Tensors { inputs, outputs } => {
                    wanted = outputs;
                    tensors.push(inputs.as_slice());
                }
            }
        }
        if tensors.is_empty() { self.texts(&texts, cancel) } else { self.tensors(&tensors, wanted, cancel) }
    }
}

pub(super) fn missing() -> ServeError {
    SessionError::Failed("the engine left an output out".into()).into()
}

/// Times the steps of a run.
struct Clock {
    since: Instant,
    times: StepTimes,
}

impl Clock {
    fn start() -> Self {
        Self { since: Instant::now(), times: StepTimes::default() }
    }

    /// Ends a step.
    fn lap(&mut self, step: impl Fn(&mut StepTimes) -> &mut std::time::Duration) {
        let now = Instant::now();
        *step(&mut self.times) = now.saturating_duration_since(self.since);
        self.since = now;
    }

    fn ran(&self, outputs: Vec<Result<Output, ServeError>>, padded_tokens: usize) -> Ran<Output> {
        let StepTimes { input, infer, output } = self.times;
        Ran { outputs, padded_tokens, compute_input: input, compute_infer: infer, compute_output: output }
    }
}
