//! HELD, RUNNING: run the model under the next attempt, and store answer and receipt together.

use std::time::Duration;

use ailayer_client::serving::{EmbedCall, Embedded};
use ailayer_client::{CallError, ErrorReason};
use ailayer_primitives::{AmountMsat, Digest, UnixMs};
use ailayer_receipt::EnvelopeError;
use ailayer_receipt::answer::{Answer, Row};
use ailayer_seal::ResultKey;

use super::seal::{NoReceipt, Stored, stored_form};
use super::{Driver, Look, Next, StepError};
use crate::domain::job::{Input, Rail, Refused, State};
use crate::domain::order::EmbedInput;
use crate::domain::release::ReleaseReason;
use crate::domain::statements::{QuoteFacts, ReceiptFacts, sign_receipt};
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

/// What a receipt says beyond the job and its answer.
struct Served {
    charge: AmountMsat,
    execution_provider: String,
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
            let (answer, provider) = self.attempt(&running, input, Look::Now).await?;
            Ok((answer, provider, result_key))
        };
        match answered.await {
            Ok((answer, provider, result_key)) => {
                self.complete(&running, &answer, provider, result_key.as_ref()).await
            }
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

    /// Runs the model, unless the job changes or its time is over first. Answers also name the execution provider.
    pub(super) async fn attempt(
        &self,
        running: &JobRecord,
        input: Option<EmbedInput>,
        look: Look,
    ) -> Result<(Answer, String), Failed> {
        let Some(input) = input else {
            return Err(Failed::ForGood(ReleaseReason::ReceiptFailed, "the stored input is unusable".into()));
        };
        let call = EmbedCall {
            model_name: running.model.name.clone(),
            model_version: running.model.version.clone(),
            texts: input.texts,
            truncate: input.truncate,
            account: running.prepaid.map(|terms| terms.account.uuid()),
        };
        // A cancellation or the end of the run limit does not wait for the model.
        let outcome = tokio::select! {
            outcome = self.serving.embed(&call) => outcome,
            () = self.changed_since(running.job_id, running.version, look) => return Err(Failed::Overtaken),
            () = tokio::time::sleep(self.time_left(running)) => return Err(Failed::Overtaken),
        };
        self.admission.answered(&running.model.name, &outcome);
        match outcome {
            Ok(embedded) => answer_of(running, embedded),
            Err(error) if error.is_transient() => Err(Failed::ForNow(error)),
            Err(error) => Err(Failed::ForGood(reason_of(&error), error.to_string())),
        }
    }

    async fn stored_input(&self, running: &JobRecord) -> Result<Option<EmbedInput>, StepError> {
        let bytes = jobs::input(self.pool(), running.job_id).await?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
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
        answer: &Answer,
        execution_provider: String,
        result_key: Option<&ResultKey>,
    ) -> Result<Next, StepError> {
        let attempt = running.job.attempt;
        let completed_at = self.clock.now().await?.max(running.now);
        let charge = charge(running, answer);
        let stored = stored_form(running, answer, result_key).and_then(|Stored { output, sealed_digest }| {
            let served = Served { charge, execution_provider, completed_at, sealed_digest };
            let receipt = self.receipt(running, answer, served)?;
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

    fn receipt(&self, running: &JobRecord, answer: &Answer, served: Served) -> Result<String, NoReceipt> {
        let missing = || EnvelopeError::Malformed("a running job without money".to_owned());
        let hold = running.job.hold.ok_or_else(missing)?;
        let facts = ReceiptFacts {
            quote: QuoteFacts {
                job_id: running.job_id,
                network: self.network,
                model: running.model.clone(),
                request_digest: running.request_digest,
                input_tokens: running.input_tokens,
                price: running.job.price,
                rail: running.job.rail,
                created: running.created_at.to_s(),
                expiry: running.expiry_s(),
                seal: running.sealed_to.map(|buyer_key| self.keys.seal(buyer_key)),
            },
            quote_digest: Digest::sha256(running.quote.as_bytes()),
            execution_provider: served.execution_provider,
            output_digest: answer.digest(),
            sealed_digest: served.sealed_digest,
            rows: u64::try_from(answer.rows().len()).unwrap_or(u64::MAX),
            input_tokens: answer.input_tokens(),
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

/// Holds what came back against the quote: the same model, and the tokens that were paid for.
fn answer_of(running: &JobRecord, embedded: Embedded) -> Result<(Answer, String), Failed> {
    let changed = |why: &str| Failed::ForGood(ReleaseReason::ModelChanged, why.to_owned());
    if embedded.model.digest != running.model.digest {
        return Err(changed("another model file than was quoted"));
    }
    let rows = embedded.embeddings.into_iter().map(|it| Row {
        values: it.values,
        input_tokens: it.input_tokens,
        truncated: it.truncated,
    });
    let answer = Answer::try_new(rows.collect())
        .map_err(|error| Failed::ForGood(ReleaseReason::ModelFailed, error.to_string()))?;
    let fits = match running.job.rail {
        Rail::Hold => answer.input_tokens() == running.input_tokens,
        Rail::Prepaid => answer.input_tokens() <= running.input_tokens,
    };
    if !fits {
        return Err(changed("another number of tokens than was quoted"));
    }
    Ok((answer, embedded.model.execution_provider))
}

/// What is taken for an answer: the exact price that was held, or what was used, at most the cap.
fn charge(running: &JobRecord, answer: &Answer) -> AmountMsat {
    let quoted = running.job.price;
    match running.prepaid {
        None => quoted,
        Some(terms) => terms.price.of(answer.input_tokens()).unwrap_or(quoted).min(quoted),
    }
}

fn reason_of(error: &CallError) -> ReleaseReason {
    match error.reason() {
        Some(ErrorReason::ModelNotFound) => ReleaseReason::ModelChanged,
        Some(
            ErrorReason::InvalidField
            | ErrorReason::InputEmpty
            | ErrorReason::InputTooLarge
            | ErrorReason::MessageTooLarge,
        ) => ReleaseReason::InputRefused,
        _ => ReleaseReason::ModelFailed,
    }
}
