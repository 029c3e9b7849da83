//! MEM: whether memory grows with requests.

use std::cell::{Cell, RefCell};

use ailayer_bench::client::Client;
use ailayer_bench::corpus::{Corpus, Ring};
use ailayer_bench::figure::{Better, Figure};
use ailayer_bench::server::Server;
use ailayer_bench::statistics::slope;
use ailayer_bench::usage::resident_mib;
use ailayer_proto::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use ailayer_proto::inference::model_infer_request::InferInputTensor;
use ailayer_proto::inference::{InferTensorContents, ModelInferRequest};
use anyhow::{Context as _, ensure};
use bytes::Bytes;

use super::short_texts::CONCURRENCY;
use crate::args::Id;
use crate::arms::Ground;

/// The most MiB that 100,000 requests may add.
const ALLOWANCE: f64 = 1.0;
/// Memory is read so often in a phase.
const READINGS: usize = 200;
/// The share of a phase that fills arenas and pools, and does not count.
const WARM_UP: f64 = 0.25;
/// The identity model's name in the repository.
pub const IDENTITY: &str = "identity";

/// Measures MEM on a server of its own, which has the identity model, too.
pub async fn measure(ground: &Ground, server: &Server, corpus: &Corpus) -> anyhow::Result<Figure> {
    let started = resident_mib(server.process)?;
    let channel = |call: usize| {
        let position = call.checked_rem(server.channels.len())?;
        server.channels.get(position).cloned()
    };
    let identity = phase(server, ground.plan.identity_requests, async |call| {
        let mut client = GrpcInferenceServiceClient::new(channel(call).context("no connection")?);
        let value = i64::try_from(call)?;
        let answer = client.model_infer(request(value, call % 2 == 0)).await?.into_inner();
        let typed = answer.outputs.first().and_then(|output| output.contents.as_ref());
        let right = match answer.raw_output_contents.first() {
            Some(raw) => raw[..] == value.to_le_bytes(),
            None => typed.is_some_and(|contents| contents.int64_contents == [value]),
        };
        ensure!(right, "the identity model answered another value than {value}");
        Ok(())
    })
    .await?;
    let (client, ring) = (Client::new(&server.channels, &ground.plan.model), Ring::default());
    let texts = phase(server, ground.plan.memory_texts, async |call| {
        client.embed_next(call, corpus, &ring).await.map(drop)
    })
    .await?;
    let worse = identity.max(texts);
    Ok(Figure::of(
        Id::Mem.name(),
        Better::Lower,
        ALLOWANCE,
        "MiB per 100,000 requests",
        &[(worse, ALLOWANCE, worse / ALLOWANCE)],
    )
    .void_if(worse.is_nan(), "too few readings")
    .note("identity slope", identity)
    .note("embedding slope", texts)
    .note("resident MiB at the start", started)
    .note("resident MiB at the end", resident_mib(server.process)?))
}

/// One value, raw or typed in turn.
fn request(value: i64, raw: bool) -> ModelInferRequest {
    let contents = InferTensorContents { int64_contents: vec![value], ..Default::default() };
    let input = InferInputTensor {
        name: "in".to_owned(),
        datatype: "INT64".to_owned(),
        shape: vec![1],
        contents: (!raw).then_some(contents),
        ..Default::default()
    };
    let raw_input_contents: Vec<Bytes> =
        if raw { vec![Bytes::copy_from_slice(&value.to_le_bytes())] } else { Vec::new() };
    ModelInferRequest {
        model_name: IDENTITY.to_owned(),
        inputs: vec![input],
        raw_input_contents,
        ..Default::default()
    }
}

/// Makes `count` calls, 32 at a time; answers the growth in MiB per 100,000 calls after the warm-up.
async fn phase(
    server: &Server,
    count: usize,
    call: impl AsyncFn(usize) -> anyhow::Result<()>,
) -> anyhow::Result<f64> {
    let step = (count / READINGS).max(1);
    let (next, readings) = (Cell::new(0_usize), RefCell::new(Vec::new()));
    let worker = async || {
        loop {
            let number = next.get();
            if number >= count {
                return anyhow::Ok(());
            }
            next.set(number + 1);
            call(number).await?;
            if number % step == 0 && number as f64 >= count as f64 * WARM_UP {
                readings.borrow_mut().push((number as f64 / 100_000.0, resident_mib(server.process)?));
            }
        }
    };
    futures::future::try_join_all((0..CONCURRENCY).map(|_| worker())).await?;
    Ok(slope(&readings.into_inner()))
}
