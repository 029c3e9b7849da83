//! Tokens to vectors.

use super::backend::{Output, Work, missing};
use super::{Model, Timing};
use crate::domain::batch::BatchKey;
use crate::domain::call::CallContext;
use crate::domain::text::EncodedText;
use crate::error::ServeError;
use crate::scheduler::{Done, Request};
use crate::worker::WorkerError;

/// What the graph made of one text.
#[derive(Debug, Clone, PartialEq)]
pub struct TextOutput {
    /// As many numbers as the model's dimensions, all finite.
    pub values: Vec<f32>,
    /// What it cost.
    pub timing: Timing,
}

impl Model {
    /// Runs texts through the graph, one queue entry each; answers in their order, each for itself. The texts must
    /// have been encoded by this model. If the queue has no room for all of them, none is taken.
    pub async fn run_texts(
        &self,
        texts: Vec<EncodedText>,
        context: &CallContext,
    ) -> Vec<Result<TextOutput, ServeError>> {
        let count = texts.len();
        let requests = texts.into_iter().map(|text| self.text_request(text)).collect();
        let priority = match self.priority(context) {
            Ok(priority) => priority,
            Err(_) => self.settings.queue.default_priority,
        };
        let tickets = match self.engine.submit(requests, context, priority) {
            Ok(tickets) => tickets,
            Err(error) => return vec![error; count].into_iter().map(refused).collect(),
        };
        let mut answers = Vec::with_capacity(count);
        for ticket in tickets {
            answers.push(ticket.answer().await.and_then(vector));
        }
        answers
    }

    fn text_request(&self, text: EncodedText) -> Request<BatchKey, Work> {
        let width = text.ids.len();
        // Ids, mask and segments, 8 bytes each once padded.
        let bytes = width.saturating_mul(24);
        let key = (self.rows.text > 1).then_some(BatchKey::Texts);
        Request { work: Work::Text(text), key, rows: 1, width, bytes }
    }
}

fn refused(error: WorkerError) -> Result<TextOutput, ServeError> {
    Err(error.into())
}

fn vector(done: Done<Output>) -> Result<TextOutput, ServeError> {
    let Done { output, queue_time, run_time } = done;
    match output {
        Output::Vector(values) => {
            Ok(TextOutput { values, timing: Timing { queue_time, inference_time: run_time } })
        }
        Output::Tensors(_) => Err(missing()),
    }
}
