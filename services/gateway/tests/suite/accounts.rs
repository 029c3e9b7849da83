//! Accounts and keys: who gets in, what a key allows, and that nobody sees another's.

use ailayer_platform::error::{ErrorReason, retry_after};
use ailayer_proto::ailayer::gateway::v1 as pb;
use pb::account_service_server::AccountService as _;
use pb::admin_service_server::AdminService as _;
use tonic::{Code, Request, Status};

use crate::customer::{Customer, id, job, terms};
use crate::world::{Process, World, operator_key, reason, with_key};

async fn account_with(gateway: &Process, key: &str) -> Result<pb::GetAccountResponse, Status> {
    let request = with_key(key, pb::GetAccountRequest {});
    let answer = gateway.as_customer(|accounts| async move { accounts.get_account(request).await });
    answer.await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn only_a_good_key_opens_and_which_fault_it_has_is_not_told() {
    let world = World::new().await;
    let gateway = world.start().await;
    let customer = Customer::new(&gateway, terms()).await;
    assert_eq!(account_with(&gateway, &customer.key).await.unwrap().account.unwrap().name, "a customer");
    let bare = Request::new(pb::GetAccountRequest {});
    let bare = gateway.as_customer(|accounts| async move { accounts.get_account(bare).await }).await;
    let mut refusals = vec![bare.unwrap_err()];
    let soon = world.record_clock().await + 300;
    let short = Customer::new(&gateway, pb::KeyTerms { expires_unix_ms: soon, ..terms() }).await;
    account_with(&gateway, &short.key).await.unwrap();
    let revoke =
        with_key(&operator_key("alice"), pb::RevokeApiKeyRequest { key_id: customer.key_id.clone() });
    let revoked = gateway.as_operator(|admin| async move { admin.revoke_api_key(revoke).await }).await;
    assert_ne!(revoked.unwrap().into_inner().key.unwrap().revoked_unix_ms, 0);
    tokio::time::sleep(std::time::Duration::from_millis(1_400)).await;
    for key in ["ailk_0", "", &customer.key, &short.key, &operator_key("alice")] {
        refusals.push(account_with(&gateway, key).await.unwrap_err());
    }
    for refusal in &refusals {
        assert_eq!((refusal.code(), reason(refusal)), (Code::Unauthenticated, ErrorReason::KeyInvalid));
        assert_eq!(refusal.message(), refusals[0].message());
    }
}

#[tokio::test]
async fn a_revoked_key_is_refused_by_every_replica_within_a_second() {
    let world = World::new().await;
    let (one, two) = (world.start().await, world.start().await);
    let customer = Customer::new(&one, terms()).await;
    account_with(&two, &customer.key).await.unwrap();
    let revoke =
        || with_key(&operator_key("bob"), pb::RevokeApiKeyRequest { key_id: customer.key_id.clone() });
    for request in [revoke(), revoke()] {
        one.as_operator(|admin| async move { admin.revoke_api_key(request).await }).await.unwrap();
    }
    assert!(account_with(&one, &customer.key).await.is_err(), "at once where it was revoked");
    tokio::time::sleep(std::time::Duration::from_millis(1_050)).await;
    assert!(account_with(&two, &customer.key).await.is_err());
}

#[tokio::test]
async fn a_key_does_what_its_scopes_say_and_no_more() {
    let world = World::new().await;
    let gateway = world.start().await;
    let scoped = |scope: &str| pb::KeyTerms { scopes: vec![scope.to_owned()], ..terms() };
    for (scope, read, run, fund) in
        [("read", true, false, false), ("run", false, true, false), ("fund", false, false, true)]
    {
        let customer = Customer::new(&gateway, scoped(scope)).await;
        let allowed =
            |answer: Option<Status>| answer.is_none_or(|status| reason(&status) != ErrorReason::NotAllowed);
        assert_eq!(allowed(account_with(&gateway, &customer.key).await.err()), read, "{scope}");
        assert_eq!(allowed(customer.run(&gateway, job(&["a"])).await.err()), run, "{scope}");
        let deposit = pb::CreateDepositRequest { request_id: id(), amount_msat: 1000 };
        let deposit = with_key(&customer.key, deposit);
        let made =
            gateway.as_customer(|accounts| async move { accounts.create_deposit(deposit).await }).await;
        assert_eq!(allowed(made.err()), fund, "{scope}");
    }
}

#[tokio::test]
async fn a_key_has_so_many_requests_and_tokens_a_minute() {
    let world = World::new().await;
    let gateway = world.start().await;
    let customer = Customer::new(&gateway, pb::KeyTerms { requests_per_minute: 3, ..terms() }).await;
    for _ in 0..3 {
        account_with(&gateway, &customer.key).await.unwrap();
    }
    let refused = account_with(&gateway, &customer.key).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::ResourceExhausted, ErrorReason::KeyLimitReached));
    assert!(retry_after(&refused).is_some());

    let customer = Customer::new(&gateway, pb::KeyTerms { tokens_per_minute: 10, ..terms() }).await;
    customer.fund(&world, 100_000).await;
    customer.run(&gateway, job(&["four"])).await.unwrap();
    let refused = customer.run(&gateway, job(&["four"])).await.unwrap_err();
    assert_eq!(reason(&refused), ErrorReason::KeyLimitReached, "a text of 4 bytes may have 7 tokens");
    assert!(retry_after(&refused).unwrap() > std::time::Duration::from_secs(10));
}

#[tokio::test]
async fn another_tenants_ids_answer_as_if_they_were_not_there() {
    let world = World::new().await;
    let gateway = world.start().await;
    let mine = Customer::with_balance(&world, &gateway, 10_000).await;
    let theirs = Customer::with_balance(&world, &gateway, 10_000).await;
    mine.run(&gateway, job(&["mine"])).await.unwrap();
    let deposit = with_key(&mine.key, pb::CreateDepositRequest { request_id: id(), amount_msat: 1000 });
    let deposit = gateway.as_customer(|accounts| async move { accounts.create_deposit(deposit).await }).await;
    let deposit_id = deposit.unwrap().into_inner().deposit.unwrap().deposit_id;
    let look = async |key: &str, deposit_id: String| {
        let request = with_key(key, pb::GetDepositRequest { deposit_id });
        gateway.as_customer(|accounts| async move { accounts.get_deposit(request).await }).await
    };
    look(&mine.key, deposit_id.clone()).await.unwrap();
    let foreign = look(&theirs.key, deposit_id).await.unwrap_err();
    let absent = look(&theirs.key, id()).await.unwrap_err();
    let malformed = look(&theirs.key, "not an id".to_owned()).await.unwrap_err();
    for refusal in [&foreign, &malformed] {
        assert_eq!((refusal.code(), refusal.message()), (absent.code(), absent.message()));
        assert_eq!(reason(refusal), ErrorReason::DepositNotFound);
    }
    let jobs = async |key: &str| {
        let request = with_key(key, pb::ListJobsRequest::default());
        let listed = gateway.as_customer(|accounts| async move { accounts.list_jobs(request).await }).await;
        listed.unwrap().into_inner().jobs.len()
    };
    assert_eq!((jobs(&mine.key).await, jobs(&theirs.key).await), (1, 0));
    assert_eq!(theirs.statement(&gateway).await.len(), 1, "their own funding");
}

#[tokio::test]
async fn lists_go_on_where_their_tokens_say() {
    let world = World::new().await;
    let gateway = world.start().await;
    let customer = Customer::with_balance(&world, &gateway, 100_000).await;
    for _ in 0..5 {
        customer.run(&gateway, job(&["hello"])).await.unwrap();
    }
    let (mut token, mut seen) = (String::new(), Vec::new());
    loop {
        let request = with_key(&customer.key, pb::ListJobsRequest { page_size: 2, page_token: token });
        let page = gateway.as_customer(|accounts| async move { accounts.list_jobs(request).await }).await;
        let page = page.unwrap().into_inner();
        seen.extend(page.jobs.into_iter().map(|job| job.job_id));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    let mut sorted = seen.clone();
    sorted.sort_by(|a, b| b.cmp(a));
    sorted.dedup();
    assert_eq!((seen.len(), &seen), (5, &sorted), "each once, the newest first");
    for (token, size, expected) in [
        ("zz", 2, ErrorReason::InvalidCursor),
        ("00", 2, ErrorReason::InvalidCursor),
        ("", 1001, ErrorReason::InvalidField),
    ] {
        let request = pb::ListJobsRequest { page_size: size, page_token: token.to_owned() };
        let request = with_key(&customer.key, request);
        let refused = gateway.as_customer(|accounts| async move { accounts.list_jobs(request).await }).await;
        assert_eq!(reason(&refused.unwrap_err()), expected);
    }
}
