//! Statements as files, for customers and for operators.

use ailayer_client::ErrorReason;
use ailayer_proto::ailayer::gateway::v1 as pb;
use futures::StreamExt as _;
use pb::StatementFormat as Format;
use pb::account_service_server::AccountService as _;
use pb::admin_service_server::AdminService as _;
use tonic::Status;

use crate::customer::{Customer, id, job, terms};
use crate::world::{Process, World, operator_key, reason, with_key};

const HEAD: &str =
    "account,version,posted_unix_ms,transaction_id,kind,request_id,change_units,balance_units,note";

async fn export(
    gateway: &Process,
    key: &str,
    request: pb::ExportStatementRequest,
) -> Result<Vec<String>, Status> {
    let request = with_key(key, request);
    let parts = gateway.as_customer(|accounts| async move { accounts.export_statement(request).await });
    let parts: Vec<_> = parts.await?.into_inner().collect().await;
    let text = parts.into_iter().map(|part| part.map(|part| part.text)).collect::<Result<String, _>>()?;
    Ok(text.lines().map(str::to_owned).collect())
}

fn all(format: Format) -> pb::ExportStatementRequest {
    pb::ExportStatementRequest { format: format.into(), ..Default::default() }
}

async fn of_account(gateway: &Process, account_id: String) -> Result<Vec<String>, Status> {
    let request = pb::ExportAccountStatementRequest { account_id, ..Default::default() };
    let request = with_key(&operator_key("bob"), request);
    let parts = gateway.as_operator(|admin| async move { admin.export_account_statement(request).await });
    let parts: Vec<_> = parts.await?.into_inner().collect().await;
    let text = parts.into_iter().map(|part| part.map(|part| part.text)).collect::<Result<String, _>>()?;
    Ok(text.lines().map(str::to_owned).collect())
}

#[tokio::test]
async fn a_file_says_what_the_list_says() {
    let world = World::new().await;
    let gateway = world.start().await;
    let customer = Customer::with_balance(&world, &gateway, 50_000).await;
    let other = Customer::with_balance(&world, &gateway, 7).await;
    customer.run(&gateway, job(&["hello"])).await.unwrap();
    customer.fund(&world, 500).await;
    let listed = customer.statement(&gateway).await;
    assert_eq!(listed.len(), 3);

    let csv = export(&gateway, &customer.key, all(Format::Csv)).await.unwrap();
    assert_eq!((csv[0].as_str(), csv.len()), (HEAD, 4));
    assert_eq!(export(&gateway, &customer.key, all(Format::Unspecified)).await.unwrap(), csv);
    assert_eq!(of_account(&gateway, customer.id.to_string()).await.unwrap(), csv);
    for (row, line) in csv[1..].iter().zip(&listed) {
        let cells: Vec<&str> = row.split(',').collect();
        let expected = [
            line.posted_unix_ms.to_string(),
            line.transaction_id.clone(),
            line.kind.clone(),
            line.request_id.clone(),
            line.amount_msat.to_string(),
            line.balance_msat.to_string(),
        ];
        assert_eq!(cells[2..8], expected, "{row}");
    }

    let objects = export(&gateway, &customer.key, all(Format::JsonLines)).await.unwrap();
    let objects: Vec<serde_json::Value> =
        objects.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let balances: Vec<&str> = objects.iter().map(|line| line["balance_units"].as_str().unwrap()).collect();
    assert_eq!(balances, ["50000", "48970", "49470"]);

    // A period is from its first instant on, and ends before its last.
    let times: Vec<u64> = listed.iter().map(|line| line.posted_unix_ms).collect();
    let period = |from_unix_ms, until_unix_ms| pb::ExportStatementRequest {
        from_unix_ms,
        until_unix_ms,
        ..Default::default()
    };
    let within =
        async |from, until| export(&gateway, &customer.key, period(from, until)).await.unwrap()[1..].to_vec();
    assert_eq!(within(times[1], times[1] + 1).await, csv[2..3]);
    assert_eq!(within(0, times[2]).await, csv[1..3]);
    assert_eq!(within(times[2] + 1, 0).await, Vec::<String>::new());

    assert_eq!(export(&gateway, &other.key, all(Format::Csv)).await.unwrap().len(), 2);
}

#[tokio::test]
async fn what_cannot_be_exported_is_refused() {
    let world = World::new().await;
    let gateway = world.start().await;
    let customer = Customer::with_balance(&world, &gateway, 50_000).await;
    let scopes = vec!["run".to_owned()];
    let blind = Customer::new(&gateway, pb::KeyTerms { scopes, ..terms() }).await;
    let backwards = pb::ExportStatementRequest { from_unix_ms: 5, until_unix_ms: 5, format: 0 };
    let unknown = pb::ExportStatementRequest { format: 9, ..Default::default() };
    let refusals = [
        (export(&gateway, &customer.key, backwards).await, ErrorReason::InvalidField),
        (export(&gateway, &customer.key, unknown).await, ErrorReason::InvalidField),
        (export(&gateway, &blind.key, all(Format::Csv)).await, ErrorReason::NotAllowed),
        (export(&gateway, "ailk_0", all(Format::Csv)).await, ErrorReason::KeyInvalid),
        (of_account(&gateway, id()).await, ErrorReason::AccountNotFound),
        (of_account(&gateway, "nonsense".to_owned()).await, ErrorReason::AccountNotFound),
    ];
    for (refused, expected) in refusals {
        assert_eq!(reason(&refused.unwrap_err()), expected);
    }
}

/// Whoever has half of a file must know.
#[tokio::test]
async fn a_file_that_is_cut_says_so() {
    let world = World::new().await;
    let gateway = world.start().await;
    let customer = Customer::with_balance(&world, &gateway, 50_000).await;
    let request = with_key(&customer.key, all(Format::Csv));
    let parts = gateway.as_customer(|accounts| async move { accounts.export_statement(request).await });
    let mut parts = parts.await.unwrap().into_inner();
    assert!(parts.next().await.unwrap().unwrap().text.starts_with(HEAD));
    gateway.stop().await;
    let cut = parts.next().await.unwrap().unwrap_err();
    assert_eq!(reason(&cut), ErrorReason::ShuttingDown);
    assert!(parts.next().await.is_none());
}

/// Who asks for files and does not read them keeps nobody else from theirs.
#[tokio::test]
async fn an_account_has_its_share_of_files() {
    let world = World::new().await;
    let gateway = world.start().await;
    let customer = Customer::with_balance(&world, &gateway, 50_000).await;
    let other = Customer::with_balance(&world, &gateway, 7).await;
    let unread = async || {
        let request = with_key(&customer.key, all(Format::Csv));
        gateway.as_customer(|accounts| async move { accounts.export_statement(request).await }).await
    };
    let _held = (unread().await.unwrap(), unread().await.unwrap());
    assert_eq!(reason(&unread().await.map(drop).unwrap_err()), ErrorReason::TooManyOpen);
    let mut ours = all(Format::Csv);
    ours.from_unix_ms = 1;
    assert!(export(&gateway, &other.key, ours).await.is_ok());
}
