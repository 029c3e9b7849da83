//! What all keys of an account together may do.

use std::time::Duration;

use ailayer_platform::error::{ErrorReason, retry_after, violated_field};
use ailayer_proto::ailayer::gateway::v1 as pb;
use futures::future::join_all;
use pb::admin_service_server::AdminService as _;
use tonic::Status;

use crate::customer::{Customer, id, job, terms};
use crate::world::{Process, World, operator_key, reason, with_key};

async fn limit(
    gateway: &Process,
    account_id: &str,
    limits: pb::AccountLimits,
) -> Result<pb::Account, Status> {
    let request = pb::SetAccountLimitsRequest { account_id: account_id.to_owned(), limits: Some(limits) };
    let request = with_key(&operator_key("alice"), request);
    let set = gateway.as_operator(|admin| async move { admin.set_account_limits(request).await });
    set.await.map(|answer| answer.into_inner().account.unwrap())
}

/// A second key of the same account.
async fn second_key(gateway: &Process, customer: &Customer) -> Customer {
    let account_id = customer.id.to_string();
    let request = pb::CreateApiKeyRequest { request_id: id(), account_id, terms: Some(terms()) };
    let request = with_key(&operator_key("alice"), request);
    let made = gateway.as_operator(|admin| async move { admin.create_api_key(request).await });
    let made = made.await.unwrap().into_inner();
    Customer { id: customer.id, key_id: made.key.unwrap().key_id, key: made.secret }
}

#[tokio::test]
async fn all_keys_of_an_account_spend_out_of_one_window() {
    let world = World::new().await;
    let gateway = world.start().await;
    let one = Customer::with_balance(&world, &gateway, 100_000).await;
    let two = second_key(&gateway, &one).await;
    let limits = pb::AccountLimits { spend_limit_msat: 3_200, spend_window_s: 3, ..Default::default() };
    let account = limit(&gateway, &one.id.to_string(), limits).await.unwrap();
    assert_eq!((account.limits, account.spent_msat), (Some(limits), 0));

    // The cap counts (1080), then what was used (1030): two fit one after the other, a third one does not.
    one.run(&gateway, job(&["hello"])).await.unwrap();
    two.run(&gateway, job(&["hello"])).await.unwrap();
    let known = one.account(&gateway).await.unwrap().account.unwrap();
    assert_eq!(known.spent_msat, 2 * 1030);
    one.run(&gateway, job(&["hello"])).await.unwrap();
    let refused = two.run(&gateway, job(&["hello"])).await.unwrap_err();
    assert_eq!(reason(&refused), ErrorReason::KeyLimitReached);
    assert!(refused.message().contains("account"), "{refused}");
    assert_eq!(one.balance(&world).await.reserved_units, 0);

    // The next window; many at once take no more than it allows.
    tokio::time::sleep(Duration::from_millis(3_100)).await;
    let runs = (0..12).map(|at| if at % 2 == 0 { &one } else { &two });
    let ended = join_all(runs.map(|customer| customer.run(&gateway, job(&["hello"])))).await;
    let settled = ended.iter().filter(|run| run.is_ok()).count();
    assert!((1..=3).contains(&settled), "{settled} of 1030 within 3200");
    let spent = one.account(&gateway).await.unwrap().account.unwrap().spent_msat;
    assert_eq!(spent, u64::try_from(settled).unwrap() * 1030);

    // Without limits everything goes.
    let account = limit(&gateway, &one.id.to_string(), pb::AccountLimits::default()).await.unwrap();
    assert_eq!(account.limits, None);
    two.run(&gateway, job(&["hello"])).await.unwrap();
}

#[tokio::test]
async fn all_keys_of_an_account_share_its_minute() {
    let world = World::new().await;
    let gateway = world.start().await;
    let one = Customer::with_balance(&world, &gateway, 100_000).await;
    let two = second_key(&gateway, &one).await;
    let stranger = Customer::with_balance(&world, &gateway, 100_000).await;
    let limits = pb::AccountLimits { requests_per_minute: 2, ..Default::default() };
    limit(&gateway, &one.id.to_string(), limits).await.unwrap();
    one.run(&gateway, job(&["hello"])).await.unwrap();
    two.run(&gateway, job(&["hello"])).await.unwrap();
    let refused = one.run(&gateway, job(&["hello"])).await.unwrap_err();
    assert_eq!(reason(&refused), ErrorReason::KeyLimitReached);
    assert!(retry_after(&refused).is_some_and(|time| time > Duration::from_secs(10)));
    stranger.run(&gateway, job(&["hello"])).await.unwrap();

    // Other limits count at once, and begin full. Tokens are those of the cap.
    let limits = pb::AccountLimits { tokens_per_minute: 10, ..Default::default() };
    limit(&gateway, &one.id.to_string(), limits).await.unwrap();
    one.run(&gateway, job(&["hello"])).await.unwrap();
    let refused = two.run(&gateway, job(&["hello"])).await.unwrap_err();
    assert!(refused.message().contains("account") && refused.message().contains("tokens"), "{refused}");
}

#[tokio::test]
async fn limits_that_make_no_sense_are_refused() {
    let world = World::new().await;
    let gateway = world.start().await;
    let customer = Customer::new(&gateway, terms()).await;
    let cases = [
        pb::AccountLimits { spend_limit_msat: 1, ..Default::default() },
        pb::AccountLimits { spend_window_s: 1, ..Default::default() },
        pb::AccountLimits { spend_limit_msat: u64::MAX, spend_window_s: 1, ..Default::default() },
        pb::AccountLimits { spend_limit_msat: 1, spend_window_s: u64::MAX, ..Default::default() },
    ];
    for limits in cases {
        let refused = limit(&gateway, &customer.id.to_string(), limits).await.unwrap_err();
        assert_eq!(
            (reason(&refused), violated_field(&refused).as_deref()),
            (ErrorReason::InvalidField, Some("limits"))
        );
    }
    let nobody = limit(&gateway, &id(), pb::AccountLimits::default()).await.unwrap_err();
    assert_eq!(reason(&nobody), ErrorReason::AccountNotFound);
}
