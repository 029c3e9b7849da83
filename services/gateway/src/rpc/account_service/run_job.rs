//! `RunJob`: a job that is paid from the balance, run to its end.

use ailayer_platform::error::Failure;
use ailayer_primitives::AmountMsat;
use ailayer_proto::ailayer::gateway::v1 as pb;
use ailayer_receipt::answer::Output;

use crate::domain::api_key::Caller;
use crate::domain::job::State;
use crate::domain::order::Order;
use crate::prepaid::{Ended, PrepaidOrder};
use crate::rpc::get_result::stored_answer;
use crate::rpc::{Answer, Gateway, convert};

pub(super) async fn run_job(
    gateway: &Gateway,
    caller: &Caller,
    request: pb::RunJobRequest,
) -> Answer<pb::RunJobResponse> {
    let ended = gateway.prepaid.run(caller, &order(gateway, request)?).await?;
    response(gateway, ended).await
}

fn order(gateway: &Gateway, request: pb::RunJobRequest) -> Result<PrepaidOrder, Failure> {
    let input = match request.task {
        Some(pb::run_job_request::Task::Embed(embed)) => convert::embed_input(embed),
        Some(pb::run_job_request::Task::Infer(infer)) => convert::infer_input(infer)?,
        None => return Err(Failure::invalid_field("task", "must say what to do")),
    };
    let max_price = match request.max_price_msat {
        0 => None,
        msat => Some(convert::amount("max_price_msat", msat)?),
    };
    let asked = Order {
        request_id: convert::request_id(&request.request_id)?,
        model_name: request.model_name,
        model_version: request.model_version,
        input,
        network: gateway.prepaid.settings.network,
        sealed_to: None,
    };
    Ok(PrepaidOrder { asked, max_price })
}

async fn response(gateway: &Gateway, Ended { record, answer }: Ended) -> Answer<pb::RunJobResponse> {
    let settled = record.job.state == State::Settled;
    // An answer that was erased after its retention is not there any more; the receipt is.
    let answer = match (settled && record.erased_at.is_none(), answer) {
        (false, _) => None,
        (true, Some(answer)) => Some(answer),
        (true, None) => Some(stored_answer(gateway, &record).await?),
    };
    let result = answer.map(|answer| match answer.into_output() {
        Output::Rows(rows) => pb::run_job_response::Result::Embed(convert::embed_result(rows)),
        Output::Tensors(tensors) => pb::run_job_response::Result::Infer(convert::infer_result(tensors)),
    });
    let charged = record.job.charge.filter(|_| settled);
    Ok(pb::RunJobResponse {
        job: Some(convert::job(&record)),
        job_token: gateway.keys.token(record.job_id).expose().to_vec(),
        quote: record.quote,
        charged_msat: charged.map_or(0, AmountMsat::msat),
        receipt: record.receipt.unwrap_or_default(),
        result,
    })
}
