//! `CreateDeposit` and `GetDeposit`.

use ailayer_primitives::AmountMsat;
use ailayer_proto::ailayer::gateway::v1 as pb;

use super::{Answer, Gateway, convert};
use crate::domain::api_key::Caller;
use crate::domain::deposit::DepositState;
use crate::error::AccountError;
use crate::store::deposits::{self, DepositRecord};

pub(super) async fn create_deposit(
    gateway: &Gateway,
    caller: &Caller,
    request: pb::CreateDepositRequest,
) -> Answer<pb::CreateDepositResponse> {
    let request_id = convert::request_id(&request.request_id)?;
    let amount = convert::amount("amount_msat", request.amount_msat)?;
    let record = gateway.deposits.create(caller, request_id, amount).await?;
    Ok(pb::CreateDepositResponse { deposit: Some(deposit(&record)) })
}

pub(super) async fn get_deposit(
    gateway: &Gateway,
    caller: &Caller,
    request: pb::GetDepositRequest,
) -> Answer<pb::GetDepositResponse> {
    let found = deposits::by_id(gateway.jobs.store().pool(), convert::id(&request.deposit_id)).await?;
    // Another account's deposit is as good as none.
    let record = found.filter(|record| record.account == caller.account).ok_or(AccountError::NoDeposit)?;
    Ok(pb::GetDepositResponse { deposit: Some(deposit(&record)) })
}

fn deposit(record: &DepositRecord) -> pb::Deposit {
    let state = match record.state {
        DepositState::Open => pb::DepositState::Open,
        DepositState::Taking => pb::DepositState::Taking,
        DepositState::Credited => pb::DepositState::Credited,
        DepositState::Expired => pb::DepositState::Expired,
        DepositState::Returned => pb::DepositState::Returned,
    };
    let invoice = record.invoice.as_ref();
    pb::Deposit {
        deposit_id: record.deposit_id.to_string(),
        state: state as i32,
        amount_msat: record.amount.msat(),
        credited_msat: record.credited.map_or(0, AmountMsat::msat),
        bolt11: invoice.map(|invoice| invoice.bolt11.clone()).unwrap_or_default(),
        payment_hash: invoice.map(|invoice| invoice.payment_hash.0.to_vec()).unwrap_or_default(),
        expiry_unix_s: record.expiry.to_s().0,
    }
}
