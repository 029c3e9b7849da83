//! Following a job.

use ailayer_client::ErrorReason;
use ailayer_client::gateway::JobState;
use ailayer_gateway::domain::job::State;
use futures::StreamExt as _;

use crate::fakes::serving;
use crate::world::{World, reason};

#[tokio::test]
async fn a_watcher_sees_every_state_and_the_end() {
    let world = World::new().await;
    let gateway = world.start().await;
    let bought = gateway.quote(&["hello"]).await;
    let stream = gateway.watch(bought.key()).await.unwrap();
    world.payments.pay(bought.id());
    let seen: Vec<JobState> = stream.map(|change| change.unwrap().job.unwrap().state()).collect().await;
    use JobState::*;
    assert_eq!(seen, [Quoted, Held, Running, Completed, Taking, Settled]);
    let late = gateway.watch(bought.key()).await.unwrap();
    let seen: Vec<JobState> = late.map(|change| change.unwrap().job.unwrap().state()).collect().await;
    assert_eq!(seen, [Settled]);
}

#[tokio::test]
async fn a_watcher_at_another_replica_sees_the_end_and_why() {
    let world = World::new().await;
    world.serving.set(serving::Mood::Fails(ErrorReason::ModelFailed));
    let (one, two) = (world.start().await, world.start().await);
    let bought = one.quote(&["hello"]).await;
    let stream = two.watch(bought.key()).await.unwrap();
    world.payments.pay(bought.id());
    let seen: Vec<_> = stream.map(|change| change.unwrap().job.unwrap()).collect().await;
    let last = seen.last().unwrap();
    assert_eq!((last.state(), last.release_reason.as_str()), (JobState::Failed, "model_failed"));
    assert!(seen.iter().any(|job| job.state() == JobState::Running && job.attempts == 1));
}

#[tokio::test]
async fn watchers_are_limited_and_their_places_are_free_again() {
    let mut world = World::new().await;
    world.settings.max_watchers = 3;
    let gateway = world.start().await;
    let bought = gateway.quote(&["hello"]).await;
    let mut streams = Vec::new();
    for _ in 0..world.settings.max_watchers {
        streams.push(gateway.watch(bought.key()).await.unwrap());
    }
    let refused = gateway.watch(bought.key()).await.map(drop).unwrap_err();
    assert_eq!(reason(&refused), ErrorReason::Overloaded);
    streams.pop();
    assert!(gateway.watch(bought.key()).await.is_ok());
}

/// One who watches a job as often as it can keeps nobody else from watching another.
#[tokio::test]
async fn a_job_has_its_share_of_watchers() {
    let mut world = World::new().await;
    world.settings.max_watchers = 100;
    let gateway = world.start().await;
    let (bought, other) = (gateway.quote(&["hello"]).await, gateway.quote(&["goodbye"]).await);
    let mut streams = Vec::new();
    let refused = loop {
        match gateway.watch(bought.key()).await {
            Ok(stream) => streams.push(stream),
            Err(refused) => break refused,
        }
    };
    assert_eq!((reason(&refused), streams.len()), (ErrorReason::TooManyOpen, 4));
    assert!(gateway.watch(other.key()).await.is_ok());
}

#[tokio::test]
async fn a_gateway_that_goes_down_says_so() {
    let world = World::new().await;
    let gateway = world.start().await;
    let bought = gateway.quote(&["hello"]).await;
    let mut stream = gateway.watch(bought.key()).await.unwrap();
    assert!(stream.next().await.unwrap().is_ok());
    let ((), refused) = tokio::join!(gateway.stop(), stream.next());
    assert_eq!(reason(&refused.unwrap().unwrap_err()), ErrorReason::ShuttingDown);
    assert!(stream.next().await.is_none());
    assert_eq!(world.state(bought.id()).await, State::Quoted);
}
