//! What is another's and what is not there must not be told apart, by the clock either.

use std::time::{Duration, Instant};

use ailayer_proto::ailayer::gateway::v1 as pb;
use pb::account_service_server::AccountService as _;
use uuid::Uuid;

use crate::customer::{Customer, id, terms};
use crate::world::{World, with_key};

const LOOKS: usize = 200;
/// Medians of calls that do the same work. One that did less, without the look at the database say, would be beyond.
const SAME_CLASS: f64 = 2.0;

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64()
}

fn assert_same_class(what: &str, foreign: Vec<Duration>, absent: Vec<Duration>) {
    let ratio = median(foreign) / median(absent);
    assert!((1.0 / SAME_CLASS..SAME_CLASS).contains(&ratio), "{what}: {ratio:.2} times as long");
}

/// Turn by turn, so that whatever else the machine does is in both.
#[tokio::test]
async fn foreign_and_absent_jobs_take_as_long() {
    let world = World::new().await;
    let gateway = world.start().await;
    let theirs = gateway.quote(&["theirs"]).await;
    let token = gateway.quote(&["mine"]).await.0.job_token;
    let (mut foreign, mut absent) = (Vec::new(), Vec::new());
    for _ in 0..LOOKS {
        for (job_id, times) in
            [(theirs.0.job_id.clone(), &mut foreign), (Uuid::now_v7().to_string(), &mut absent)]
        {
            let began = Instant::now();
            gateway.job(pb::JobKey { job_id, job_token: token.clone() }).await.unwrap_err();
            times.push(began.elapsed());
        }
    }
    assert_same_class("a job", foreign, absent);
}

#[tokio::test]
async fn foreign_and_absent_deposits_take_as_long() {
    let world = World::new().await;
    let gateway = world.start().await;
    let (mine, theirs) = (Customer::new(&gateway, terms()).await, Customer::new(&gateway, terms()).await);
    let request = with_key(&theirs.key, pb::CreateDepositRequest { request_id: id(), amount_msat: 1000 });
    let made = gateway.as_customer(|accounts| async move { accounts.create_deposit(request).await }).await;
    let deposit_id = made.unwrap().into_inner().deposit.unwrap().deposit_id;
    let (mut foreign, mut absent) = (Vec::new(), Vec::new());
    for _ in 0..LOOKS {
        for (deposit_id, times) in
            [(deposit_id.clone(), &mut foreign), (Uuid::now_v7().to_string(), &mut absent)]
        {
            let request = with_key(&mine.key, pb::GetDepositRequest { deposit_id });
            let began = Instant::now();
            let found =
                gateway.as_customer(|accounts| async move { accounts.get_deposit(request).await }).await;
            found.unwrap_err();
            times.push(began.elapsed());
        }
    }
    assert_same_class("a deposit", foreign, absent);
}
