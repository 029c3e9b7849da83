//! The prepaid rail: deposits over Lightning, jobs that are charged to a balance, and what may go wrong with either.

use ailayer_client::ErrorReason;
use ailayer_client::account::{DepositState, PrepaidOrder, job_key};
use ailayer_client::gateway::{JobState, Task};
use ailayer_payer::PaymentOutcome;
use ailayer_primitives::RequestId;
use anyhow::{Context as _, ensure};
use uuid::Uuid;

use crate::stage::customer::rows;
use crate::stage::services::Service;
use crate::stage::{PATIENCE, Stage, wait};

/// What customers put on their accounts.
const DEPOSIT_MSAT: u64 = 50_000;
const TEXT: &str = "a balance is paid into once and spent often";

/// Deposit, two jobs, a repetition; every movement stands in the statement.
pub async fn a_customer_pays_out_of_a_balance(stage: &Stage) -> anyhow::Result<()> {
    let (spent_before, _) = stage.spent_msat().await?;
    let customer = stage.customer_with(DEPOSIT_MSAT).await?;
    let (spent, _) = stage.spent_msat().await?;
    ensure!(spent - spent_before == DEPOSIT_MSAT, "the buyer's node spent {} msat", spent - spent_before);
    let full = i64::try_from(DEPOSIT_MSAT)?;

    let order = customer.order(&[TEXT]);
    let first = stage.expect_charged(&customer, &order, full).await?;
    let left = full - i64::try_from(first.charged_msat)?;
    let again = stage.expect_charged(&customer, &order, full).await?;
    ensure!(rows(&first) == rows(&again), "a repetition has brought another answer");
    let opened = stage.gateway.result(&job_key(&first)?).await.context("by the job's token")?;
    let opened: Vec<Vec<f32>> = opened.delivered.vectors().into_iter().map(<[f32]>::to_vec).collect();
    ensure!(opened == rows(&first), "the job's token opens another answer");

    let other = customer.order(&[TEXT, "and another"]);
    let second = stage.expect_charged(&customer, &other, left).await?;
    let left = left - i64::try_from(second.charged_msat)?;

    let (lines, next) = customer.client.statement(0, 100, String::new()).await?;
    ensure!(next.is_empty(), "three movements do not fit one page");
    let amounts: Vec<i64> = lines.iter().map(|line| line.amount_msat).collect();
    let charged = |answer: u64| i64::try_from(answer).map(|msat| -msat);
    let expected = [full, charged(first.charged_msat)?, charged(second.charged_msat)?];
    ensure!(amounts == expected, "the statement shows {amounts:?} instead of {expected:?}");
    ensure!(lines.last().is_some_and(|line| line.balance_msat == left), "the statement ends elsewhere");

    let mut altered = order.clone();
    altered.task = Task::embed([TEXT, "smuggled in"]);
    let refused = customer.client.run(&altered).await;
    let reason = refused.as_ref().err().and_then(ailayer_client::CallError::reason);
    ensure!(reason == Some(ErrorReason::RequestIdReused), "another body under the same id: {refused:?}");
    customer.expect_balance(left).await
}

/// Other people's ids open nothing, and tell nothing.
pub async fn customers_see_nothing_of_each_other(stage: &Stage) -> anyhow::Result<()> {
    let (one, other) = (stage.new_customer().await?, stage.new_customer().await?);
    let request_id = RequestId::new(Uuid::new_v4());
    let deposit = one.invoice(request_id, DEPOSIT_MSAT).await?;
    let seen = other.client.deposit(&deposit.deposit_id).await;
    let reason = seen.as_ref().err().and_then(ailayer_client::CallError::reason);
    ensure!(reason == Some(ErrorReason::DepositNotFound), "another's deposit: {seen:?}");
    let own = other.invoice(request_id, DEPOSIT_MSAT).await?;
    ensure!(own.deposit_id != deposit.deposit_id, "a request id of another's has made no deposit of its own");
    let poor = other.client.run(&other.order(&[TEXT])).await;
    let reason = poor.as_ref().err().and_then(ailayer_client::CallError::reason);
    ensure!(reason == Some(ErrorReason::InsufficientFunds), "an empty balance: {poor:?}");
    other.expect_balance(0).await
}

/// No answer, no charge, nothing set aside.
pub async fn a_job_without_an_answer_costs_nothing(stage: &Stage) -> anyhow::Result<()> {
    let customer = stage.customer_with(DEPOSIT_MSAT).await?;
    // The gateway looks at what is loaded, and knows it for the next two seconds.
    let too_dear = PrepaidOrder { max_price_msat: 1, ..customer.order(&[TEXT]) };
    let refused = customer.client.run(&too_dear).await.err().context("a job above the caller's limit ran")?;
    ensure!(refused.reason() == Some(ErrorReason::PriceTooHigh), "{refused}");
    let order = customer.order(&[TEXT]);
    stage.hang(Service::ModelServing)?;
    let answer = customer.client.run(&order).await;
    stage.resume(Service::ModelServing)?;
    let answer = answer.context("a job that ends without an answer is no error of the call")?;
    let job = answer.job.context("no job")?;
    ensure!(
        matches!(job.state(), JobState::Expired | JobState::Failed),
        "the job is {:?} ({})",
        job.state(),
        job.release_reason
    );
    ensure!(!job.release_reason.is_empty(), "the gateway does not say why");
    ensure!(answer.charged_msat == 0 && answer.result.is_none(), "charged {} msat", answer.charged_msat);
    customer.expect_balance(i64::try_from(DEPOSIT_MSAT)?).await
}

/// The money waits at the payment service until there is a gateway to tell.
pub async fn a_deposit_that_is_paid_while_the_gateway_is_down(stage: &Stage) -> anyhow::Result<()> {
    let customer = stage.new_customer().await?;
    let deposit = customer.invoice(RequestId::new(Uuid::new_v4()), DEPOSIT_MSAT).await?;
    stage.kill(Service::Gateway).await?;
    stage.pay_deposit(&deposit).await?;
    wait::until("the money is held", PATIENCE, || async {
        Ok(stage.payment.balances().await?.held_msat > 0)
    })
    .await?;
    stage.restart(Service::Gateway).await?;
    let deposit = customer.credited(&deposit.deposit_id).await?;
    ensure!(deposit.credited_msat == DEPOSIT_MSAT, "{} msat are credited", deposit.credited_msat);
    customer.expect_balance(i64::try_from(DEPOSIT_MSAT)?).await
}

/// The payer's node may say it again; the balance has it once.
pub async fn a_deposit_is_taken_once(stage: &Stage) -> anyhow::Result<()> {
    let customer = stage.new_customer().await?;
    let deposit = customer.invoice(RequestId::new(Uuid::new_v4()), DEPOSIT_MSAT).await?;
    stage.pay_deposit(&deposit).await?;
    customer.credited(&deposit.deposit_id).await?;
    let before = stage.outbound_msat(&stage.stranger).await?;
    let amount = ailayer_primitives::AmountMsat::try_new(DEPOSIT_MSAT)?;
    // A second node pays the same invoice.
    stage.stranger.pay(&deposit.bolt11, amount).await?;
    let hash = ailayer_payer::Payer::payment_hash(&deposit.bolt11)?;
    let outcome = stage.stranger.wait_payment(hash, PATIENCE).await?;
    ensure!(matches!(outcome, PaymentOutcome::Failed { .. }), "the same invoice twice: {outcome:?}");
    stage.check_outbound_of(&stage.stranger, before).await?;
    let found = customer.client.deposit(&deposit.deposit_id).await?;
    ensure!(found.state() == DepositState::Credited, "the deposit is {:?}", found.state());
    for (name, label) in
        [("ailayer_deposit_transitions", "state=\"CREDITED\""), ("ailayer_deposit_credited_amount", "")]
    {
        let seen = stage.metric(Service::Gateway, name, label).await?;
        ensure!(seen >= 1.0, "{name} says {seen} after a deposit");
    }
    customer.expect_balance(i64::try_from(DEPOSIT_MSAT)?).await
}
