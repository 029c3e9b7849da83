//! How far a receipt has come, and the bundle that proves it.

use ailayer_client::ErrorReason;
use ailayer_gateway::domain::job::State;
use ailayer_proto::ailayer::gateway::v1 as pb;
use ailayer_receipt::verify::Ending;
use ailayer_receipt::{Bundle, Trust, verify};
use pb::ReceiptPromise;

use crate::fakes::audit;
use crate::world::{World, reason};

async fn settled() -> (World, crate::world::Process, crate::world::Bought) {
    let world = World::new().await;
    let gateway = world.start().await;
    let bought = gateway.quote(&["hello world"]).await;
    world.payments.pay(bought.id());
    world.wait_for(bought.id(), State::Settled).await;
    world.closings_relayed().await;
    (world, gateway, bought)
}

#[tokio::test]
async fn an_anchored_receipt_comes_with_a_bundle_that_verifies() {
    let (world, gateway, bought) = settled().await;
    let before = gateway.receipt(bought.key()).await.unwrap();
    assert_eq!(before.promise(), ReceiptPromise::Sequenced);
    assert!(before.bundle.is_empty());

    world.audit.anchor();
    let answer = gateway.receipt(bought.key()).await.unwrap();
    assert_eq!(answer.promise(), ReceiptPromise::Anchored);
    let bundle = Bundle::parse(answer.bundle.as_bytes()).unwrap();
    let trust = Trust {
        gateway_key: Some(gateway.info().await.unwrap().gateway_key.parse().unwrap()),
        request_texts: Some(vec!["hello world".to_owned()]),
        ..Trust::default()
    };
    let report = verify(&bundle, &trust).unwrap();
    assert_eq!(report.ending, Ending::Settled);
    assert_eq!((bundle.receipt, bundle.closing), (answer.receipt, Some(answer.closing)));
}

#[tokio::test]
async fn a_log_that_is_away_does_not_hide_the_receipt() {
    let (world, gateway, bought) = settled().await;
    world.audit.set(audit::Mood::Unavailable);
    let answer = gateway.receipt(bought.key()).await.unwrap();
    assert_eq!(answer.promise(), ReceiptPromise::Sequenced);
    assert!(!answer.receipt.is_empty());
}

#[tokio::test]
async fn a_log_that_lost_a_receipt_is_heard() {
    let (world, gateway, bought) = settled().await;
    world.audit.lose_everything();
    let refused = gateway.receipt(bought.key()).await.unwrap_err();
    assert_eq!(reason(&refused), ErrorReason::VerificationFailed);
}

#[tokio::test]
async fn a_receipt_that_is_not_logged_yet_is_only_signed() {
    let world = World::new().await;
    world.audit.set(audit::Mood::Unavailable);
    let gateway = world.start().await;
    let bought = gateway.quote(&["hello"]).await;
    world.payments.pay(bought.id());
    world.wait_for(bought.id(), State::Completed).await;
    let answer = gateway.receipt(bought.key()).await.unwrap();
    assert_eq!(answer.promise(), ReceiptPromise::Signed);
    assert!(answer.closing.is_empty());
    let refused = gateway.cancel(bought.key()).await.unwrap_err();
    assert_eq!(reason(&refused), ErrorReason::InvalidState);
}

#[tokio::test]
async fn a_damaged_answer_is_not_handed_out() {
    let (world, gateway, bought) = settled().await;
    let damage = "update jobs set output = set_byte(output, octet_length(output) - 1, 0)";
    sqlx::query(damage).execute(world.store.pool()).await.unwrap();
    let refused = gateway.result(bought.key()).await.unwrap_err();
    assert_eq!(reason(&refused), ErrorReason::VerificationFailed);
}
