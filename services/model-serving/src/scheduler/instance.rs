//! One thread: waits for a batch, runs it, answers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::retry::RetryBudget;
use super::state::{Job, Phase, Running};
use super::{Done, Ran, Runner, Shared};
use crate::cancel::CancelToken;
use crate::domain::scheduler::{Batch, Ready};
use crate::domain::statistics::{BatchExecuted, Outcome, RequestFinished};
use crate::error::ServeError;
use crate::ports::SessionError;
use crate::worker::WorkerError;

/// After so many panics in a row the sessions are not trusted any more.
const MOST_PANICS: u32 = 3;

/// What the queue learns of a batch that ended.
struct Ended {
    rows: usize,
    width: usize,
    /// None if it failed: that says nothing about the time such a batch takes.
    time: Option<Duration>,
}

impl<R: Runner> Shared<R> {
    pub(super) fn work(&self, instance: usize, mut runner: R) {
        let mut budget = RetryBudget::default();
        let mut ended = None;
        while let Some((batch, cancel)) = self.next(instance, ended.take()) {
            ended = Some(self.run(instance, &mut runner, batch, &cancel, &mut budget));
        }
    }

    /// Waits for a batch; `None` when stopping.
    fn next(&self, instance: usize, ended: Option<Ended>) -> Option<(Batch<Job<R>>, CancelToken)> {
        let mut state = self.state.lock();
        state.set_running(instance, None);
        if let Some(Ended { rows, width, time }) = ended {
            state.queue.finished(instance, rows, width, time, Instant::now());
        }
        loop {
            if matches!(state.phase, Phase::Stopped | Phase::Broken) {
                return None;
            }
            let now = Instant::now();
            let next = state.queue.next(instance, now);
            if let Some(batch) = &next.batch {
                let running = Running::of(batch.entries.iter().map(|ready| ready.id).collect());
                let cancel = running.cancel.clone();
                state.set_running(instance, Some(running));
                self.metrics.queue_length(state.queue.len());
                let retry_after =
                    if next.dropped.is_empty() { Duration::ZERO } else { state.queue.retry_after(now) };
                drop(state);
                self.answer_dropped(next.dropped, retry_after);
                return next.batch.map(|batch| (batch, cancel));
            }
            if !next.dropped.is_empty() {
                let retry_after = state.queue.retry_after(now);
                drop(state);
                self.answer_dropped(next.dropped, retry_after);
                state = self.state.lock();
                continue;
            }
            match next.wake_at {
                Some(at) => drop(self.work_arrived.wait_until(&mut state, at)),
                None => self.work_arrived.wait(&mut state),
            }
        }
    }

    fn run(
        &self,
        instance: usize,
        runner: &mut R,
        batch: Batch<Job<R>>,
        cancel: &CancelToken,
        budget: &mut RetryBudget,
    ) -> Ended {
        let Batch { entries, rows, width, tokens } = batch;
        let started = Instant::now();
        let (time, outcome) = self.attempt(runner, &entries, cancel);
        let ended = |time| Ended { rows, width, time };
        match outcome {
            Ok(ran) => {
                budget.earn(time);
                let requests = entries.len();
                let executed = BatchExecuted {
                    requests,
                    rows,
                    tokens,
                    padded_tokens: ran.padded_tokens,
                    compute_input: ran.compute_input,
                    compute_infer: ran.compute_infer,
                    compute_output: ran.compute_output,
                };
                for (ready, output) in entries.into_iter().zip(ran.outputs) {
                    self.answer(ready, started, time, Some(&executed), output);
                }
                self.metrics.batch_executed(&executed);
                ended(Some(time))
            }
            Err(error) => {
                self.failed(instance, runner, entries, error, started, time, budget);
                ended(None)
            }
        }
    }

    /// A batch of one has found its offender; the entries of a larger one run again alone.
    #[expect(clippy::too_many_arguments, reason = "the parts of one failed run")]
    fn failed(
        &self,
        instance: usize,
        runner: &mut R,
        entries: Vec<Ready<Job<R>>>,
        error: ServeError,
        started: Instant,
        time: Duration,
        budget: &mut RetryBudget,
    ) {
        let single = entries.len() == 1;
        let mut error = Some(error);
        for ready in entries {
            match error.take() {
                Some(error) if single || is_cancelled(&error) => {
                    self.answer(ready, started, time, None, Err(error));
                    continue;
                }
                Some(_) | None => {}
            }
            if ready.work.reply.is_closed() {
                self.answer(ready, started, time, None, Err(SessionError::Cancelled.into()));
            } else if budget.is_spent() {
                let retry_after = self.state.lock().queue.retry_after(Instant::now());
                self.answer(ready, started, time, None, Err(WorkerError::Overloaded { retry_after }.into()));
            } else {
                self.again(instance, runner, ready, budget);
            }
        }
    }

    fn again(&self, instance: usize, runner: &mut R, ready: Ready<Job<R>>, budget: &mut RetryBudget) {
        let running = Running::of(vec![ready.id]);
        let cancel = running.cancel.clone();
        {
            let mut state = self.state.lock();
            if state.phase == Phase::Stopped {
                return;
            }
            state.set_running(instance, Some(running));
        }
        if ready.work.reply.is_closed() {
            return;
        }
        let started = Instant::now();
        let (rows, tokens) = (ready.rows, ready.rows.saturating_mul(ready.width));
        let (time, outcome) = self.attempt(runner, std::slice::from_ref(&ready), &cancel);
        budget.spend(time);
        match outcome {
            Ok(ran) => {
                let executed = BatchExecuted {
                    requests: 1,
                    rows,
                    tokens,
                    padded_tokens: ran.padded_tokens,
                    compute_input: ran.compute_input,
                    compute_infer: ran.compute_infer,
                    compute_output: ran.compute_output,
                };
                self.metrics.batch_executed(&executed);
                if let Some(output) = ran.outputs.into_iter().next() {
                    self.answer(ready, started, time, Some(&executed), output);
                }
            }
            Err(error) => self.answer(ready, started, time, None, Err(error)),
        }
    }

    /// Runs entries once; a panic is an error like others, until there are too many.
    fn attempt(
        &self,
        runner: &mut R,
        entries: &[Ready<Job<R>>],
        cancel: &CancelToken,
    ) -> (Duration, Result<Ran<R::Output>, ServeError>) {
        let work: Vec<&R::Work> = entries.iter().map(|ready| &ready.work.work).collect();
        let started = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| runner.run(&work, cancel)));
        let time = started.elapsed();
        let outcome = match outcome {
            Ok(Ok(ran)) if ran.outputs.len() != entries.len() => {
                Err(SessionError::Failed("the engine left an output out".into()).into())
            }
            Ok(outcome) => {
                self.panicked(false);
                outcome
            }
            Err(_) => {
                self.panicked(true);
                Err(WorkerError::Panicked.into())
            }
        };
        (time, outcome)
    }

    fn panicked(&self, panicked: bool) {
        let mut state = self.state.lock();
        state.panics = if panicked { state.panics.saturating_add(1) } else { 0 };
        if state.panics < MOST_PANICS || state.phase == Phase::Stopped {
            return;
        }
        state.phase = Phase::Broken;
        let waiting = state.queue.clear();
        drop(state);
        tracing::error!(panics = MOST_PANICS, "the model panics again and again, it takes no more work");
        for job in waiting {
            drop(job.reply.send(Err(WorkerError::Broken.into())));
        }
        self.work_arrived.notify_all();
    }

    fn answer(
        &self,
        ready: Ready<Job<R>>,
        started: Instant,
        run_time: Duration,
        executed: Option<&BatchExecuted>,
        output: Result<R::Output, ServeError>,
    ) {
        let queue_time = started.saturating_duration_since(ready.queued_at);
        let outcome = match &output {
            Ok(_) => Outcome::Success,
            Err(error) if is_cancelled(error) => Outcome::Canceled,
            Err(ServeError::Worker(WorkerError::Overloaded { .. })) => Outcome::Rejected,
            Err(_) => Outcome::Backend,
        };
        let answer = output.map(|output| Done { output, queue_time, run_time });
        // The caller may have left meanwhile; then nobody wants to know.
        drop(ready.work.reply.send(answer));
        let executed = executed.copied().unwrap_or_default();
        self.metrics.request_finished(&RequestFinished {
            outcome,
            total: ready.queued_at.elapsed(),
            queue: queue_time,
            compute_input: executed.compute_input,
            compute_infer: executed.compute_infer,
            compute_output: executed.compute_output,
            rows: ready.rows,
        });
    }
}

const fn is_cancelled(error: &ServeError) -> bool {
    matches!(error, ServeError::Session(SessionError::Cancelled))
}
