//! What a decision comes to in rows.

use ailayer_primitives::AmountMsat;

use super::ChangeError;
use crate::domain::job::State;
use crate::domain::job::{Effect, Outcome, Transition};
use crate::domain::keys::Keys;
use crate::domain::ledger::{Operation, prepaid, sale};
use crate::domain::statements::sign_closing;
use crate::store::spending::Unused;
use crate::store::transitions::{self, Change, Facts};
use crate::store::{JobRecord, PrepaidTerms};
use ailayer_store::StoreError;

/// A decided change of a job with everything that is written in its commit.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// What was decided on.
    pub before: JobRecord,
    /// The row as it will be.
    pub after: JobRecord,
    /// What is stored with it.
    pub facts: Facts,
    /// The end of the job in the books.
    pub posting: Option<Operation>,
    /// What does not count against the key's limit any more.
    pub unused: Option<Unused>,
    /// What was paid beyond the price.
    pub surplus: Option<AmountMsat>,
}

impl Plan {
    /// Puts together what follows from a transition that is a change. Nothing is written.
    ///
    /// # Errors
    /// `Closing`, `Sale`, `Operation` and `Store` when the job's own facts do not go together.
    pub fn new(
        keys: &Keys,
        before: JobRecord,
        transition: &Transition,
        mut facts: Facts,
    ) -> Result<Self, ChangeError> {
        let (job_id, price) = (before.job_id, before.job.price);
        let (mut posting, mut unused, mut surplus) = (None, None, None);
        for effect in &transition.effects {
            match *effect {
                Effect::PostSettlement { amount } => {
                    facts.taken = Some(amount);
                    surplus = amount.checked_sub(price).ok().filter(|beyond| *beyond > AmountMsat::ZERO);
                    posting = Some(sale::settled(job_id, price, amount)?);
                }
                Effect::PostWriteOff => posting = Some(sale::lost(job_id, price)?),
                Effect::Capture { amount } => {
                    facts.taken = Some(amount);
                    unused = not_used(&before, price.checked_sub(amount).unwrap_or(AmountMsat::ZERO))?;
                    posting = Some(prepaid::capture(payer(&before)?.account, job_id, amount)?);
                }
                Effect::Void => {
                    unused = not_used(&before, price)?;
                    posting = Some(prepaid::void(payer(&before)?.account, job_id)?);
                }
                Effect::AppendClosing { outcome } => {
                    facts.closing = closing(keys, &before, outcome, facts.taken)?;
                }
                // Calls: made by the driver, which finds them by the job's state.
                Effect::RunModel { .. }
                | Effect::AppendReceipt
                | Effect::ClaimInvoice
                | Effect::ReleaseInvoice { .. } => {}
            }
        }
        if transition.to != State::Completed {
            // An answer that came too late is not kept.
            facts.answer = None;
        }
        let after = transitions::after(&before, transition, &facts);
        Ok(Self { before, after, facts, posting, unused, surplus })
    }

    /// The change of the row.
    pub fn change(&self) -> Change<'_> {
        Change { before: &self.before, after: &self.after, facts: &self.facts }
    }

    /// About what is sent to the database.
    pub fn bytes(&self) -> usize {
        let answer = self.facts.answer.as_ref();
        let answer = answer.map_or(0, |answer| answer.output.len().saturating_add(answer.receipt.len()));
        // Once for the row, once for the outbox.
        let closing = self.facts.closing.as_ref().map_or(0, |closing| closing.len().saturating_mul(2));
        answer.saturating_add(closing)
    }
}

/// Signs the closing entry.
///
/// Also when it is not known whether the receipt was logged: an entry about a receipt that is not there harms nobody,
/// a logged receipt without its ending does.
fn closing(
    keys: &Keys,
    before: &JobRecord,
    outcome: Outcome,
    taken: Option<AmountMsat>,
) -> Result<Option<String>, ChangeError> {
    let Some(receipt) = before.receipt.as_deref() else { return Ok(None) };
    let amount = match outcome {
        Outcome::Settled => taken.or(before.job.charge).unwrap_or(before.job.price),
        Outcome::Voided => AmountMsat::ZERO,
        Outcome::Lost => before.job.price,
    };
    let closing = sign_closing(keys.signer(), before.job_id, receipt, outcome, amount, before.now)?;
    Ok(Some(closing.into_string()))
}

/// Who pays a prepaid job.
fn payer(before: &JobRecord) -> Result<PrepaidTerms, ChangeError> {
    let corrupt = || StoreError::Corrupt(format!("prepaid job {} has no account", before.job_id));
    Ok(before.prepaid.ok_or_else(corrupt)?)
}

fn not_used(before: &JobRecord, amount: AmountMsat) -> Result<Option<Unused>, ChangeError> {
    let PrepaidTerms { key_id, account, .. } = payer(before)?;
    let began_at = before.job.hold.map(|hold| hold.accepted_at);
    let unused = began_at.map(|began_at| Unused { key_id, account, amount, began_at });
    Ok(unused.filter(|unused| unused.amount > AmountMsat::ZERO))
}
