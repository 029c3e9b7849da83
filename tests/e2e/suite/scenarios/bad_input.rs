//! Input that must be refused: a typed error with a reason, no panic, no money.

use ailayer_client::gateway::{JobKey, Order, Task};
use ailayer_client::{CallError, ErrorReason};
use ailayer_platform::error::{reason_of, violated_field};
use ailayer_primitives::{JobId, JobToken, Network, RequestId};
use ailayer_proto::ailayer::common::v1::Network as WireNetwork;
use ailayer_proto::ailayer::gateway::v1 as pb;
use anyhow::{Context as _, bail, ensure};
use futures::StreamExt as _;
use pb::create_quote_request::Task as WireTask;
use pb::gateway_service_client::GatewayServiceClient;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::stage::{MODEL, Stage};

const MIB: usize = 1 << 20;

/// A refusal that was expected, with its canonical code.
fn check(what: &str, error: &CallError, reason: ErrorReason, code: Code) -> anyhow::Result<()> {
    ensure!(error.reason() == Some(reason), "{what}: {:?} instead of {reason:?}: {error}", error.reason());
    ensure!(error.code() == code, "{what}: {:?} instead of {code:?}", error.code());
    Ok(())
}

/// What a buyer's client can be made to send.
pub async fn orders_that_cannot_be_served_are_refused(stage: &Stage) -> anyhow::Result<()> {
    let before_msat = stage.outbound_msat(&stage.buyer).await?;
    let jobs = stage.count("select count(*) from gateway.jobs").await?;
    let order = |change: fn(&mut Order)| {
        let mut order = stage.order(&["a text"]);
        change(&mut order);
        order
    };
    use ErrorReason::{
        InputEmpty, InputTooLarge, InvalidField, MessageTooLarge, ModelNotFound, WrongNetwork,
    };
    let cases = [
        ("an unknown model", ModelNotFound, order(|it| it.model_name = "gpt-none".to_owned())),
        ("an unknown version", ModelNotFound, order(|it| it.model_version = "999".to_owned())),
        ("no model", InvalidField, order(|it| it.model_name.clear())),
        ("no texts", InputEmpty, order(|it| it.task = Task::embed([""; 0]))),
        ("an empty text", InputEmpty, order(|it| it.task = Task::embed(["a", ""]))),
        ("a text of 1 MiB", InputTooLarge, order(|it| it.task = Task::embed(["a ".repeat(MIB / 2)]))),
        ("too many tokens", InputTooLarge, order(|it| it.task = Task::embed(["word ".repeat(2_000)]))),
        ("too many texts", InputTooLarge, order(|it| it.task = Task::embed(["a"; 1_000]))),
        ("another network", WrongNetwork, order(|it| it.network = Network::Signet)),
        ("the production network", WrongNetwork, order(|it| it.network = Network::Bitcoin)),
        (
            "an id that is not random",
            InvalidField,
            order(|it| {
                it.request_id = RequestId::new(Uuid::from_u128(0x6f1b_1d0e_6f3c_1f7c_9f5e_0a7f_3f0d_9c11));
            }),
        ),
        ("a message of 8 MiB", MessageTooLarge, order(|it| it.task = Task::embed(["a".repeat(8 * MIB)]))),
    ];
    for (what, reason, order) in cases {
        let Err(error) = stage.gateway.create_quote(&order).await else { bail!("{what} was quoted") };
        let code = match reason {
            ModelNotFound => Code::NotFound,
            MessageTooLarge => Code::ResourceExhausted,
            _ => Code::InvalidArgument,
        };
        check(what, &error, reason, code)?;
    }
    malformed_messages(stage).await?;
    ensure!(
        stage.count("select count(*) from gateway.jobs").await? == jobs,
        "a refused order has made a job"
    );
    stage.check_outbound(before_msat).await
}

/// What only a client of somebody else's making sends.
async fn malformed_messages(stage: &Stage) -> anyhow::Result<()> {
    let mut client = GatewayServiceClient::connect(stage.network.gateway.grpc_url()).await?;
    let embed = WireTask::Embed(pb::EmbedTask { texts: vec!["a text".to_owned()], truncate: false });
    let good = pb::CreateQuoteRequest {
        request_id: Uuid::new_v4().to_string(),
        model_name: MODEL.to_owned(),
        model_version: String::new(),
        task: Some(embed),
        network: WireNetwork::Regtest.into(),
        sealed_to: Vec::new(),
    };
    use ErrorReason::{InvalidField, WrongNetwork};
    let with = |change: fn(&mut pb::CreateQuoteRequest)| {
        let mut request = good.clone();
        change(&mut request);
        request
    };
    let cases = [
        ("no request id", "request_id", with(|it| it.request_id.clear())),
        ("a request id that is none", "request_id", with(|it| it.request_id = "42".to_owned())),
        ("the nil request id", "request_id", with(|it| it.request_id = Uuid::nil().to_string())),
        ("no task", "task", with(|it| it.task = None)),
        ("no network", "network", with(|it| it.network = 0)),
        ("a network that does not exist", "network", with(|it| it.network = 77)),
        ("a sealing key of one byte", "sealed_to", with(|it| it.sealed_to = vec![1])),
        ("a sealing key of 33 bytes", "sealed_to", with(|it| it.sealed_to = vec![9; 33])),
        ("a sealing key of 100 kB", "sealed_to", with(|it| it.sealed_to = vec![9; 100_000])),
        ("a sealing key of low order", "sealed_to", with(|it| it.sealed_to = vec![0; 32])),
        ("a name with a line break", "model_name", with(|it| it.model_name = "a\nb".to_owned())),
        ("a name of 100 kB", "model_name", with(|it| it.model_name = "a".repeat(100_000))),
    ];
    for (what, field, request) in cases {
        let Err(status) = client.create_quote(request).await else { bail!("{what} was quoted") };
        let reason = reason_of(&status);
        let expected = reason == Some(InvalidField) || (field == "network" && reason == Some(WrongNetwork));
        ensure!(expected, "{what}: {}", describe(&status));
        ensure!(status.code() == Code::InvalidArgument, "{what}: {}", describe(&status));
        ensure!(violated_field(&status).is_some_and(|it| it.contains(field)), "{what}: no word of {field}");
    }
    // A message that is small on the wire and large in memory.
    let empty = vec![pb::Tensor::default(); MIB];
    let empty = WireTask::Infer(pb::InferTask { inputs: empty, outputs: Vec::new() });
    let bomb = pb::CreateQuoteRequest { task: Some(empty), ..good.clone() };
    let refused = client.create_quote(bomb).await.err().context("a million empty tensors were quoted")?;
    ensure!(reason_of(&refused) == Some(ErrorReason::MessageTooLarge), "{}", describe(&refused));
    let no_key =
        client.get_job(pb::GetJobRequest { key: None }).await.err().context("a job without a key")?;
    let typed = [Some(InvalidField), Some(ErrorReason::JobNotFound)].contains(&reason_of(&no_key));
    ensure!(typed, "no key: {}", describe(&no_key));
    for (job_id, job_token) in [("", vec![]), ("42", vec![1; 16]), (&*Uuid::new_v4().to_string(), vec![1; 3])]
    {
        let key = Some(pb::JobKey { job_id: job_id.to_owned(), job_token });
        let refused = client.get_job(pb::GetJobRequest { key }).await.err().context("a malformed key")?;
        let typed = [Some(InvalidField), Some(ErrorReason::JobNotFound)].contains(&reason_of(&refused));
        ensure!(typed, "a malformed key ({job_id:?}): {}", describe(&refused));
    }
    Ok(())
}

fn describe(status: &Status) -> String {
    format!("{:?} {:?} {}", status.code(), reason_of(status), status.message())
}

/// Somebody else's token, no token and no such job answer the same, word for word.
pub async fn a_job_opens_for_its_token_only(stage: &Stage) -> anyhow::Result<()> {
    let (mine, theirs) = (stage.buy().await?, stage.quote().await?);
    stage.expect_settled(&mine).await?;
    let nobody = JobKey { job_id: JobId::new(Uuid::new_v4()), token: theirs.key().token };
    let unknown = refusals(stage, &nobody).await?;
    for (what, token) in [
        ("somebody else's token", theirs.key().token),
        ("a token of zeros", JobToken::new([0; 16])),
        ("the payment hash", JobToken::new(first_half(mine.purchase.payment_hash.0.as_bytes())?)),
    ] {
        let refused = refusals(stage, &JobKey { job_id: mine.key().job_id, token }).await?;
        ensure!(refused == unknown, "{what} is told from an unknown job: {refused:?} and {unknown:?}");
    }
    ensure!(unknown.iter().all(|(code, _)| *code == Code::NotFound), "unexpected: {unknown:?}");
    // The attempts have changed nothing: least of all the attempt to cancel.
    stage.expect_settled(&mine).await.map(drop)
}

fn first_half(bytes: &[u8]) -> anyhow::Result<[u8; 16]> {
    Ok(bytes.get(..16).context("too short")?.try_into()?)
}

/// What every RPC that needs a token says.
async fn refusals(stage: &Stage, key: &JobKey) -> anyhow::Result<Vec<(Code, String)>> {
    let watched = match stage.gateway.watch_job(key).await {
        Ok(mut jobs) => jobs.next().await.context("a stream without an answer")?.map(drop),
        Err(error) => Err(error),
    };
    let answers = [
        ("GetJob", stage.gateway.job(key).await.map(drop)),
        ("WatchJob", watched),
        ("CancelJob", stage.gateway.cancel_job(key).await.map(drop)),
        ("GetResult", stage.gateway.result(key).await.map(drop)),
        ("GetReceipt", stage.gateway.receipt(key).await.map(drop)),
    ];
    let mut refusals = Vec::new();
    for (what, answer) in answers {
        let Err(error) = answer else { bail!("{what} opened the job") };
        check(what, &error, ErrorReason::JobNotFound, Code::NotFound)?;
        refusals.push((error.code(), error.to_string()));
    }
    Ok(refusals)
}

/// Neither answer nor receipt before the money is there.
pub async fn nothing_is_given_out_before_it_is_paid(stage: &Stage) -> anyhow::Result<()> {
    let deal = stage.quote().await?;
    let answer = stage.gateway.result(deal.key()).await.err().context("an answer without payment")?;
    check("the answer", &answer, ErrorReason::ResultNotReady, Code::FailedPrecondition)?;
    let receipt = stage.gateway.receipt(deal.key()).await.err().context("a receipt without payment")?;
    check("the receipt", &receipt, ErrorReason::ResultNotReady, Code::FailedPrecondition)?;
    stage.pay(&deal).await?;
    stage.expect_settled(&deal).await.map(drop)
}
