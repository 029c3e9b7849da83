//! The same request has the same effect for ever.

use ailayer_client::ErrorReason;
use ailayer_client::gateway::Task;
use ailayer_primitives::Network;
use anyhow::{Context as _, bail, ensure};
use futures::future::join_all;

use crate::stage::Stage;
use crate::stage::services::Service;

const JOBS: &str = "select count(*) from gateway.jobs where request_id = $1::text::uuid";

/// Ten at once, one after a restart, one after settling: one job, one invoice, one answer.
pub async fn identical_requests_at_once_make_one_job(stage: &Stage) -> anyhow::Result<()> {
    let order = stage.order(&["ask once", "ask ten times"]);
    let answers = join_all((0..10).map(|_| stage.gateway.create_quote(&order))).await;
    let mut offers = Vec::new();
    for answer in answers {
        offers.push(answer?);
    }
    let first = offers.first().context("no answer")?.clone();
    ensure!(offers.iter().all(|offer| *offer == first), "identical requests had different answers");
    let request_id = order.request_id.to_string();
    ensure!(stage.count_for(JOBS, &request_id).await? == 1, "identical requests have made several jobs");

    stage.kill(Service::Gateway).await?;
    stage.restart(Service::Gateway).await?;
    let deal = stage.quote_for(order).await?;
    ensure!(deal.offer == first, "another answer after a restart");
    stage.pay(&deal).await?;
    stage.expect_settled(&deal).await?;
    ensure!(stage.gateway.create_quote(&deal.order).await? == first, "another answer after settling");
    ensure!(stage.count_for(JOBS, &request_id).await? == 1, "a repeat has made another job");
    Ok(())
}

/// Whatever differs, the id is taken.
pub async fn another_body_under_the_same_id_is_refused(stage: &Stage) -> anyhow::Result<()> {
    let deal = stage.quote().await?;
    let order = &deal.order;
    let mut texts = order.clone();
    let asked = order.task.texts().to_vec();
    texts.task = Task::embed(asked.iter().cloned().chain(["one more".to_owned()]));
    let mut truncate = order.clone();
    truncate.task = Task::Embed { texts: asked, truncate: true };
    let mut version = order.clone();
    version.model_version = deal.purchase.quote.model.version.clone();
    for (what, other) in [("texts", texts), ("truncate", truncate), ("model version", version)] {
        match stage.gateway.create_quote(&other).await {
            Err(error) if error.reason() == Some(ErrorReason::RequestIdReused) => {}
            Err(error) => bail!("another {what}: another error than REQUEST_ID_REUSED: {error}"),
            Ok(_) => bail!("another {what} under the same id was answered"),
        }
    }
    let mut network = order.clone();
    network.network = Network::Signet;
    let refused = stage.gateway.create_quote(&network).await.err().context("another network was answered")?;
    use ErrorReason::{RequestIdReused, WrongNetwork};
    ensure!(
        matches!(refused.reason(), Some(WrongNetwork | RequestIdReused)),
        "another network: unexpected {refused}"
    );
    let again = stage.gateway.create_quote(order).await?;
    ensure!(again == deal.offer, "the refused requests have changed the quote");
    Ok(())
}
