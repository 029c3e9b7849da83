//! Callers who leave in the middle.

use std::time::Duration;

use ailayer_gateway::rpc::Accounts;
use ailayer_proto::ailayer::gateway::v1 as pb;
use pb::account_service_server::AccountService as _;

use crate::customer::{Customer, job};
use crate::fakes::serving::Mood;
use crate::world::{World, until, with_key};

/// An embedding has no parts that could be delivered: the whole answer is charged, once, and it waits for who asks again.
#[tokio::test]
async fn one_who_vanishes_is_charged_once_for_what_can_be_fetched_and_blocks_nobody() {
    let mut world = World::new().await;
    world.settings.max_running_jobs = 1;
    let gateway = world.start().await;
    let customer = Customer::with_balance(&world, &gateway, 10_000).await;
    world.serving.set(Mood::Slow(Duration::from_millis(300)));
    let request = job(&["hello"]);
    let call = with_key(&customer.key, request.clone());
    let left = gateway.line().begin(|gateway| async move { Accounts(gateway).run_job(call).await });
    until("the model runs", || async { world.serving.embeds() == 1 }).await;
    // As the server does with the call of a connection that is gone.
    left.abort();
    assert!(left.await.unwrap_err().is_cancelled());

    let other = customer.run(&gateway, job(&["another"])).await.unwrap();
    assert_eq!(other.charged_msat, 1030, "its place was free at once");
    let answer = customer.run(&gateway, request).await.unwrap();
    assert_eq!((answer.job.unwrap().state(), answer.charged_msat), (pb::JobState::Settled, 1030));
    assert!(answer.result.is_some());
    let balance = customer.balance(&world).await;
    assert_eq!((balance.balance_units, balance.reserved_units), (10_000 - 2 * 1030, 0));
}
