//! Inputs and answers are erased after their retention; proofs and books stay.

use std::time::Duration;

use ailayer_client::ErrorReason;
use ailayer_gateway::domain::job::State;
use ailayer_gateway::store::jobs;

use crate::world::{World, reason, until};

#[tokio::test]
async fn an_answer_is_kept_for_its_retention_and_then_erased() {
    let mut world = World::new().await;
    world.settings.result_retention = Duration::from_secs(4);
    let gateway = world.start().await;
    let bought = gateway.quote(&["hello"]).await;
    let open = gateway.quote(&["open"]).await;
    world.payments.pay(bought.id());
    world.wait_for(bought.id(), State::Settled).await;
    assert!(gateway.result(bought.key()).await.is_ok());
    assert!(jobs::input(world.store.pool(), bought.id()).await.unwrap().is_some());

    until("erased", || async {
        gateway.result(bought.key()).await.is_err_and(|it| reason(&it) == ErrorReason::ResultErased)
    })
    .await;
    let input = |id| jobs::input(world.store.pool(), id);
    assert_eq!(input(bought.id()).await.unwrap(), None);
    assert!(input(open.id()).await.unwrap().is_some(), "an open job keeps its input");
    assert!(!gateway.receipt(bought.key()).await.unwrap().receipt.is_empty());
    assert_eq!(gateway.job(bought.key()).await.unwrap().state(), ailayer_client::gateway::JobState::Settled);
}

/// Quoting and cancelling costs nothing, so it must leave nothing large behind.
#[tokio::test]
async fn the_input_of_a_job_that_never_ran_is_not_kept() {
    let world = World::new().await;
    let gateway = world.start().await;
    let canceled = gateway.quote(&["never"]).await;
    gateway.cancel(canceled.key()).await.unwrap();
    assert_eq!(jobs::input(world.store.pool(), canceled.id()).await.unwrap(), None);
    world.wait_for(canceled.id(), State::Canceled).await;
}
