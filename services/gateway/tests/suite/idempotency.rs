//! The same request id has the same effect for ever.

use ailayer_client::ErrorReason;
use ailayer_gateway::domain::job::State;
use ailayer_proto::ailayer::gateway::v1 as pb;

use crate::world::{World, order, reason, until};

#[tokio::test]
async fn a_repeat_is_answered_the_same_whatever_has_become_of_the_job() {
    let world = World::new().await;
    let gateway = world.start().await;
    let request = order(&["hello"]);
    let first = gateway.create_quote(request.clone()).await.unwrap();
    world.payments.pay(first.id());
    world.wait_for(first.id(), State::Settled).await;
    assert_eq!(gateway.create_quote(request.clone()).await.unwrap(), first);
    gateway.kill();
    let gateway = world.start().await;
    assert_eq!(gateway.create_quote(request).await.unwrap(), first);
    assert_eq!(world.payments.creates(), 1);
}

#[tokio::test]
async fn another_body_under_the_same_id_is_refused() {
    let world = World::new().await;
    let gateway = world.start().await;
    let request = order(&["hello"]);
    gateway.create_quote(request.clone()).await.unwrap();
    let embed = pb::EmbedTask { texts: vec!["hello".to_owned()], truncate: true };
    let task = Some(pb::create_quote_request::Task::Embed(embed));
    let others = [
        pb::CreateQuoteRequest { task, ..request.clone() },
        pb::CreateQuoteRequest { model_version: "1".to_owned(), ..request.clone() },
        pb::CreateQuoteRequest { model_name: "other".to_owned(), ..request.clone() },
    ];
    for other in others {
        let refused = gateway.create_quote(other).await.unwrap_err();
        assert_eq!(reason(&refused), ErrorReason::RequestIdReused);
    }
}

#[tokio::test]
async fn ten_at_once_are_one() {
    let world = World::new().await;
    let gateway = world.start().await;
    let other_replica = world.start().await;
    let request = order(&["hello"]);
    let calls = (0..10).map(|number| {
        let replica = if number % 2 == 0 { &gateway } else { &other_replica };
        replica.create_quote(request.clone())
    });
    let answers: Vec<_> = futures::future::join_all(calls).await.into_iter().map(Result::unwrap).collect();
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
    let count = "select count(*) from jobs";
    let count: i64 =
        sqlx::Row::try_get(&sqlx::query(count).fetch_one(world.store.pool()).await.unwrap(), 0).unwrap();
    assert_eq!(count, 1);
    world.payments.pay(answers[0].id());
    world.wait_for(answers[0].id(), State::Settled).await;
}

#[tokio::test]
async fn a_quote_that_ended_before_its_invoice_was_made_stays_ended() {
    let mut world = World::new().await;
    world.settings.quotes.expiry = std::time::Duration::from_secs(1);
    let (gateway, halt) = world.start_halting_at(ailayer_gateway::crash_points::QUOTED).await;
    let request = order(&["hello"]);
    tokio::select! {
        _ = gateway.create_quote(request.clone()) => panic!("it halts"),
        () = halt.reached() => {}
    }
    gateway.kill();
    let gateway = world.start().await;
    until("the quote ends", || async {
        gateway.create_quote(request.clone()).await.is_err_and(|it| reason(&it) == ErrorReason::QuoteExpired)
            || world.payments.creates() > 0
    })
    .await;
}
