//! After everything else: the books of one service against those of another, and against the nodes.

use anyhow::{Context as _, ensure};

use crate::stage::{PATIENCE, Stage, wait};

/// To the millisatoshi.
pub async fn they_agree_with_each_other_and_with_the_nodes(stage: &Stage) -> anyhow::Result<()> {
    let deal = stage.buy().await?;
    stage.expect_settled(&deal).await?;
    stage.check_ledger_balance().await?;
    let earned = stage
        .count(
            "select coalesce(sum(balance_units), 0)::bigint from gateway.ledger_accounts
             where kind = 'asset:lightning'",
        )
        .await?;
    let claimed = stage
        .count(
            "select coalesce(sum(accepted_amount_msat), 0)::bigint from payment.hold_invoice
             where state = 'CLAIMED'",
        )
        .await?;
    ensure!(
        earned > 0 && earned == claimed,
        "the ledger has {earned} msat, the payment service claimed {claimed}"
    );
    let (spent, unpaid) = stage.spent_msat().await?;
    ensure!(
        u64::try_from(earned)? == spent + unpaid,
        "the ledger has {earned} msat, the buyer's node spent {spent}, closed channels swallowed {unpaid}"
    );
    let settled =
        stage.count("select count(*) from gateway.jobs where state = 'SETTLED' and rail = 'hold'").await?;
    let credited = stage.count("select count(*) from gateway.deposits where state = 'CREDITED'").await?;
    let taken = stage.count("select count(*) from payment.hold_invoice where state = 'CLAIMED'").await?;
    ensure!(
        settled + credited == taken,
        "{settled} jobs are settled, {credited} deposits credited, {taken} invoices claimed"
    );
    let set_aside =
        stage.count("select coalesce(sum(reserved_units), 0)::bigint from gateway.ledger_accounts").await?;
    ensure!(set_aside == 0, "{set_aside} msat are set aside although no job runs");
    let report = stage.operator(false)?.reconcile().await?;
    ensure!(
        report.residue_msat == 0 && report.findings.is_empty() && report.ledger_lightning_msat == earned,
        "the books do not agree: {report:?}"
    );
    let node = report.node.context("the node was not looked at")?;
    ensure!(node.residue_msat == 0, "the node's channels do not hold what the rows say: {node:?}");
    ensure!(
        node.held_min_msat == node.held_max_msat && node.held_max_msat + node.closed_max_msat >= earned,
        "with nothing in flight the channels hold one amount, and all that was earned is in them, or was at their closes: {node:?}"
    );
    let unexpected = stage.count("select count(*) from payment.unexpected_receipt").await?;
    ensure!(unexpected == 0, "{unexpected} receipts that no row authorised");
    wait::until("every job has ended or waits for its payer", PATIENCE, || async {
        let open = "select count(*) from gateway.jobs
                    where state in ('HELD', 'RUNNING', 'COMPLETED', 'TAKING', 'RELEASING')";
        Ok(stage.count(open).await? == 0)
    })
    .await?;
    wait::until("every closing entry is in the log", PATIENCE, || async {
        let open = "select count(*) from gateway.jobs where closing is not null
                and not exists (select from gateway.job_closings closed where closed.job_id = jobs.job_id)";
        Ok(stage.count(open).await? == 0)
    })
    .await
}
