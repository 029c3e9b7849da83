//! HELD, RUNNING: run the model under the next attempt, and store answer and receipt together.

use std::time::Duration;

use ailayer_client::serving::{EmbedCall, Embedded, InferCall, Inferred, Model};
use ailayer_client::{CallError, ErrorReason};
use ailayer_platform::blocking;
use ailayer_primitives::{AmountMsat, Digest, UnixMs};
use ailayer_receipt::EnvelopeError;
use ailayer_receipt::answer::{Answer, AnswerError, Row};
use ailayer_seal::ResultKey;

use super::seal::{NoReceipt, Stored, stored_form};
use super::{Driver, Look, Next, StepError};
use crate::domain::job::{Input, Rail, Refused, State};
use crate::domain::order::{EmbedInput, JobInput};
use crate::domain::price::Usage;
use crate::domain::release::ReleaseReason;
use crate::domain::statements::{ReceiptFacts, sign_receipt};
use crate::jobs::ChangeError;
use crate::store::transitions::{Facts, StoredAnswer};
use crate::store::{JobRecord, jobs};
use crate::telemetry;

/// Why an attempt brought no answer.
pub(super) enum Failed {
    /// It never will.
    ForGood(ReleaseReason, String),
    /// It may a little later.
    ForNow(CallError),
    /// The job has moved meanwhile, or its time is over.
    Overtaken,
}

/// An attempt that brought an answer.
#[derive(Debug)]
pub(super) struct Done {
    /// The answer.
    pub answer: Answer,
    /// What was metered.
    usage: Usage,
    /// What the model ran on.
    execution_provider: String,
}

/// What a receipt says beyond the job and its answer.
struct Served {
    charge: AmountMsat,
    completed_at: UnixMs,
    sealed_digest: Option<Digest>,
}

impl Driver {
    pub(super) async fn run(&self, record: &JobRecord) -> Result<Next, StepError> {
        let tip = if record.job.rail == Rail::Hold { self.tip().await } else { None };
        let begun = self.jobs.apply(record.job_id, Input::BeginAttempt, tip, Facts::default()).await;
        let running = match begun {
            Ok(changed) if changed.record.job.state == State::Running => changed.record,
            Ok(_) | Err(ChangeError::Refused(Refused::Stale(_))) => return Ok(Next::Again),
            Err(error) => return Err(error.into()),
        };
        let input = self.stored_input(&running).await?;
        let answered = async {
            // First, so that nothing is computed that could not be sealed.
            let result_key = self.result_key(&running).await?;
            Ok((self.attempt(&running, input, Look::Now).await?, result_key))
        };
        match answered.await {
            Ok((done, result_key)) => self.complete(&running, &done, result_key.as_ref()).await,
            Err(failed) => self.not_answered(&running, failed).await,
        }
    }

    /// What comes of an attempt without an answer.
    pub(super) async fn not_answered(&self, running: &JobRecord, failed: Failed) -> Result<Next, StepError> {
        let attempt = running.job.attempt;
        match failed {
            Failed::ForGood(reason, why) => {
                telemetry::attempt_failed(running.job_id, attempt, reason, &why);
                self.apply(running, Input::AttemptFailed { attempt, reason }, None, Facts::default()).await
            }
            Failed::ForNow(error) => {
                telemetry::step_failed(running.job_id, "run_model", &error);
                Ok(Next::Retry)
            }
            Failed::Overtaken => Ok(Next::Again),
        }
    }

    /// Runs the model, unless the job changes or its time is over first.
    pub(super) async fn attempt(
        &self,
        running: &JobRecord,
        input: Option<JobInput>,
        look: Look,
    ) -> Result<Done, Failed> {
        let Some(input) = input else {
            return Err(Failed::ForGood(ReleaseReason::ReceiptFailed, "the stored input is unusable".into()));
        };
        // A cancellation or the end of the run limit does not wait for the model.
        let outcome = tokio::select! {
            outcome = self.call_model(running, input) => outcome,
            () = self.changed_since(running.job_id, running.version, look) => return Err(Failed::Overtaken),
            () = tokio::time::sleep(self.time_left(running)) => return Err(Failed::Overtaken),
        };
        self.admission.answered(&running.model.name, &outcome);
        match outcome {
            Ok(served) => checked(running, served, self.max_output_bytes),
            Err(error) if error.is_transient() => Err(Failed::ForNow(error)),
            Err(error) => Err(Failed::ForGood(reason_of(&error), error.to_string())),
        }
    }

    async fn call_model(&self, running: &JobRecord, input: JobInput) -> Result<Answered, CallError> {
        let (model_name, model_version) = (running.model.name.clone(), running.model.version.clone());
        let account = running.prepaid.map(|terms| terms.account.uuid());
        match input {
            JobInput::Embed(EmbedInput { texts, truncate }) => {
                let call = EmbedCall { model_name, model_version, texts, truncate, account };
                let embedded = self.serving.embed(&call).await?;
                let values: usize = embedded.embeddings.iter().map(|it| it.values.len()).sum();
                let bytes = u64::try_from(values).unwrap_or(u64::MAX).saturating_mul(4);
                Ok(blocking::on_bytes(bytes, || Answered::of_texts(embedded)))
            }
            JobInput::Infer(inference) => {
                let usage = Usage::tensors(inference.inputs.content_bytes());
                let call = InferCall { model_name, model_version, inference, account };
                let inferred = self.serving.infer(&call).await?;
                let bytes = inferred.outputs.content_bytes();
                Ok(blocking::on_bytes(bytes, || Answered::of_tensors(inferred, usage)))
            }
        }
    }

    async fn stored_input(&self, running: &JobRecord) -> Result<Option<JobInput>, StepError> {
        let bytes = jobs::input(self.pool(), running.job_id).await?;
        let read = |bytes: Vec<u8>| {
            let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            blocking::on_bytes(length, || JobInput::from_bytes(&bytes))
        };
        Ok(bytes.and_then(read))
    }

    fn time_left(&self, running: &JobRecord) -> Duration {
        let held_at = running.job.hold.map_or(UnixMs(0), |hold| hold.accepted_at);
        let ends_at = held_at.0.saturating_add(self.jobs.rules().run_limit_ms);
        Duration::from_millis(ends_at.saturating_sub(self.jobs.time_for(running).0))
    }

    /// Row 6: answer (or ciphertext), usage, price and the exact bytes of the receipt, once and for ever.
    pub(super) async fn complete(
        &self,
        running: &JobRecord,
        done: &Done,
        result_key: Option<&ResultKey>,
    ) -> Result<Next, StepError> {
        let (attempt, answer) = (running.job.attempt, &done.answer);
        let completed_at = self.clock.now().await?.max(running.now);
        let charge = charge(running, &done.usage);
        let stored = blocking::on_bytes(answer.content_bytes(), || stored_form(running, answer, result_key));
        let stored = stored.and_then(|Stored { output, sealed_digest }| {
            let receipt = self.receipt(running, done, Served { charge, completed_at, sealed_digest })?;
            Ok(StoredAnswer { output, output_digest: answer.digest(), sealed_digest, receipt })
        });
        match stored {
            Ok(answer) => {
                let answer = Some(answer);
                let facts = Facts { answer, ..Facts::default() };
                self.apply(running, Input::Answered { attempt, charge }, None, facts).await
            }
            Err(error) => {
                let reason = ReleaseReason::ReceiptFailed;
                telemetry::attempt_failed(running.job_id, attempt, reason, &error.to_string());
                self.apply(running, Input::AttemptFailed { attempt, reason }, None, Facts::default()).await
            }
        }
    }

    fn receipt(&self, running: &JobRecord, done: &Done, served: Served) -> Result<String, NoReceipt> {
        let missing = || EnvelopeError::Malformed("a running job without money".to_owned());
        let hold = running.job.hold.ok_or_else(missing)?;
        let facts = ReceiptFacts {
            job_id: running.job_id,
            network: self.network,
            model: running.model.clone(),
            request_digest: running.request_digest,
            rail: running.job.rail,
            quote_digest: Digest::sha256(running.quote.as_bytes()),
            execution_provider: done.execution_provider.clone(),
            output_digest: done.answer.digest(),
            sealed_digest: served.sealed_digest,
            rows: u64::try_from(done.answer.rows()).unwrap_or(u64::MAX),
            usage: done.usage,
            charge: served.charge,
            payment_hash: running.invoice.as_ref().map(|invoice| invoice.payment_hash),
            attempt: running.job.attempt,
            held_at: hold.accepted_at,
            started_at: running.started_at.unwrap_or(running.updated_at),
            completed_at: served.completed_at,
        };
        Ok(sign_receipt(self.keys.signer(), facts)?.into_string())
    }
}

/// What model serving has answered, of either task.
struct Answered {
    model_digest: Digest,
    execution_provider: String,
    answer: Result<Answer, AnswerError>,
    usage: Usage,
}

impl Answered {
    fn of_texts(embedded: Embedded) -> Self {
        let rows = embedded.embeddings.into_iter().map(|it| Row {
            values: it.values,
            input_tokens: it.input_tokens,
            truncated: it.truncated,
        });
        let answer = Answer::try_new(rows.collect());
        let usage = Usage::tokens(answer.as_ref().map_or(0, Answer::input_tokens));
        let Model { digest: model_digest, execution_provider, .. } = embedded.model;
        Self { model_digest, execution_provider, answer, usage }
    }

    /// Of tensors the inputs count, which are what was quoted.
    fn of_tensors(inferred: Inferred, usage: Usage) -> Self {
        let Inferred { model_digest, execution_provider, outputs } = inferred;
        Self { model_digest, execution_provider, answer: Ok(Answer::of_tensors(outputs)), usage }
    }
}

/// Holds what came back against the quote: the same model, not more than was paid for, and not more than is kept.
fn checked(running: &JobRecord, answered: Answered, max_output_bytes: u32) -> Result<Done, Failed> {
    let Answered { model_digest, execution_provider, answer, usage } = answered;
    let changed = |why: &str| Failed::ForGood(ReleaseReason::ModelChanged, why.to_owned());
    if model_digest != running.model.digest {
        return Err(changed("another model file than was quoted"));
    }
    let answer = answer.map_err(|error| Failed::ForGood(ReleaseReason::ModelFailed, error.to_string()))?;
    let found = answer.content_bytes();
    if found > u64::from(max_output_bytes) {
        let why = format!("the answer has {found} bytes, at most {max_output_bytes} are kept");
        return Err(Failed::ForGood(ReleaseReason::ModelFailed, why));
    }
    let fits = match running.job.rail {
        Rail::Hold => usage == running.usage,
        Rail::Prepaid => usage.is_within(&running.usage),
    };
    if !fits {
        return Err(changed("another number of tokens or bytes than was quoted"));
    }
    Ok(Done { answer, usage, execution_provider })
}

/// What is taken for an answer: the exact price that was held, or what was used, at most the cap.
fn charge(running: &JobRecord, usage: &Usage) -> AmountMsat {
    let quoted = running.job.price;
    match running.prepaid {
        None => quoted,
        Some(terms) => terms.price.of(usage).unwrap_or(quoted).min(quoted),
    }
}

fn reason_of(error: &CallError) -> ReleaseReason {
    match error.reason() {
        Some(ErrorReason::ModelNotFound) => ReleaseReason::ModelChanged,
        Some(
            ErrorReason::InvalidField
            | ErrorReason::InputEmpty
            | ErrorReason::InputTooLarge
            | ErrorReason::ShapeMismatch
            | ErrorReason::DatatypeMismatch
            | ErrorReason::ContentMismatch
            | ErrorReason::MessageTooLarge,
        ) => ReleaseReason::InputRefused,
        _ => ReleaseReason::ModelFailed,
    }
}
