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
    let canceled = gateway.quote(&["never"]).await;
    let open = gateway.quote(&["open"]).await;
    gateway.cancel(canceled.key()).await.unwrap();
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
    until("the canceled job's input is erased", || async { input(canceled.id()).await.unwrap().is_none() })
        .await;
    assert!(input(open.id()).await.unwrap().is_some(), "an open job keeps its input");
    assert!(!gateway.receipt(bought.key()).await.unwrap().receipt.is_empty());
    assert_eq!(gateway.job(bought.key()).await.unwrap().state(), ailayer_client::gateway::JobState::Settled);
}
