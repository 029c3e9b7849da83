//! Bad input and full houses: typed errors, nothing stored, no invoice made.

use ailayer_client::ErrorReason;
use ailayer_gateway::domain::job::State;
use ailayer_platform::error::violated_field;
use ailayer_proto::ailayer::common::v1::Network;
use ailayer_proto::ailayer::gateway::v1 as pb;
use uuid::Uuid;

use crate::world::{Process, World, order, reason};

async fn refused(gateway: &Process, request: pb::CreateQuoteRequest) -> (ErrorReason, Option<String>) {
    let status = gateway.create_quote(request).await.unwrap_err();
    (reason(&status), violated_field(&status))
}

#[tokio::test]
async fn bad_orders_are_refused_with_their_reason() {
    let world = World::new().await;
    let gateway = world.start().await;
    let base = order(&["hello"]);
    let long = "a".repeat(1 << 20);
    let cases = [
        (order(&[]), ErrorReason::InputEmpty, Some("embed.texts")),
        (order(&["a", ""]), ErrorReason::InputEmpty, Some("embed.texts")),
        (order(&[&long]), ErrorReason::InputTooLarge, Some("embed.texts")),
        (order(&["a"; 9]), ErrorReason::InputTooLarge, Some("embed.texts")),
        (order(&["a".repeat(2000).as_str(); 5]), ErrorReason::InputTooLarge, Some("embed.texts")),
        (order(&[&"a ".repeat(300)]), ErrorReason::InputTooLarge, None),
        (
            pb::CreateQuoteRequest { model_name: "nobody".to_owned(), ..base.clone() },
            ErrorReason::ModelNotFound,
            Some("model_name"),
        ),
        (
            pb::CreateQuoteRequest { model_name: "priced-only".to_owned(), ..base.clone() },
            ErrorReason::ModelNotFound,
            None,
        ),
        (
            pb::CreateQuoteRequest { model_version: "9".to_owned(), ..base.clone() },
            ErrorReason::ModelNotFound,
            None,
        ),
        (
            pb::CreateQuoteRequest { request_id: "1".to_owned(), ..base.clone() },
            ErrorReason::InvalidField,
            Some("request_id"),
        ),
        (
            pb::CreateQuoteRequest { request_id: Uuid::now_v7().to_string(), ..base.clone() },
            ErrorReason::InvalidField,
            Some("request_id"),
        ),
        (
            pb::CreateQuoteRequest { network: Network::Bitcoin as i32, ..base.clone() },
            ErrorReason::WrongNetwork,
            Some("network"),
        ),
        (pb::CreateQuoteRequest { network: 77, ..base.clone() }, ErrorReason::InvalidField, Some("network")),
        (pb::CreateQuoteRequest { task: None, ..base.clone() }, ErrorReason::InvalidField, Some("task")),
    ];
    for (request, expected, field) in cases {
        let (found, found_field) = refused(&gateway, request).await;
        assert_eq!((found, found_field.as_deref()), (expected, field));
    }
    assert_eq!(world.payments.creates(), 0);
}

#[tokio::test]
async fn open_quotes_are_limited() {
    let mut world = World::new().await;
    world.settings.admission.max_open = 2;
    let gateway = world.start().await;
    let first = order(&["a"]);
    let bought = gateway.create_quote(first.clone()).await.unwrap();
    gateway.quote(&["b"]).await;
    assert_eq!(refused(&gateway, order(&["c"])).await.0, ErrorReason::TooManyOpen);
    assert_eq!(gateway.create_quote(first).await.unwrap(), bought, "a repeat is no new quote");
    gateway.cancel(bought.key()).await.unwrap();
    world.wait_for(bought.id(), State::Canceled).await;
    gateway.quote(&["c"]).await;
}

#[tokio::test]
async fn a_payment_service_that_is_away_or_behind_leaves_nothing_behind() {
    let world = World::new().await;
    let gateway = world.start().await;
    world.payments.set_synced(false);
    assert_eq!(refused(&gateway, order(&["a"])).await.0, ErrorReason::NotSynced);
    world.payments.set(|mood| mood.down = true);
    assert_eq!(refused(&gateway, order(&["a"])).await.0, ErrorReason::DependencyUnavailable);
    let count = "select count(*) from jobs";
    let count: i64 =
        sqlx::Row::try_get(&sqlx::query(count).fetch_one(world.store.pool()).await.unwrap(), 0).unwrap();
    assert_eq!(count, 0);
}

#[tokio::test]
async fn a_wrong_invoice_is_never_shown() {
    let world = World::new().await;
    let gateway = world.start().await;
    world.payments.set(|mood| mood.wrong_invoices = true);
    assert_eq!(refused(&gateway, order(&["a"])).await.0, ErrorReason::Internal);
}

#[tokio::test]
async fn only_the_token_opens_a_job() {
    let world = World::new().await;
    let gateway = world.start().await;
    let mine = gateway.quote(&["mine"]).await;
    let other = gateway.quote(&["other"]).await;
    world.payments.pay(mine.id());
    world.wait_for(mine.id(), State::Settled).await;
    let good = mine.key();
    let keys = [
        pb::JobKey { job_token: other.0.job_token.clone(), ..good.clone() },
        pb::JobKey { job_token: vec![0; 16], ..good.clone() },
        pb::JobKey { job_token: vec![], ..good.clone() },
        pb::JobKey { job_token: mine.0.payment_hash.clone(), ..good.clone() },
        pb::JobKey { job_token: good.job_token[..15].to_vec(), ..good.clone() },
        pb::JobKey { job_id: Uuid::new_v4().to_string(), ..good.clone() },
        pb::JobKey { job_id: "nonsense".to_owned(), ..good.clone() },
        pb::JobKey::default(),
    ];
    for key in keys {
        let refusals = [
            gateway.job(key.clone()).await.map(drop).unwrap_err(),
            gateway.result(key.clone()).await.map(drop).unwrap_err(),
            gateway.receipt(key.clone()).await.map(drop).unwrap_err(),
            gateway.cancel(key.clone()).await.map(drop).unwrap_err(),
            gateway.watch(key.clone()).await.map(drop).unwrap_err(),
        ];
        for refusal in refusals {
            assert_eq!(reason(&refusal), ErrorReason::JobNotFound);
            assert_eq!(refusal.message(), "no job has that id and token");
        }
    }
    assert!(gateway.result(good).await.is_ok());
}
