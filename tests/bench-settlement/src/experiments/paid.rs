//! E1: paid inferences against unpaid ones, of a real model.

use std::time::Instant;

use ailayer_bench::args::Pace;
use ailayer_bench::client::Client;
use ailayer_bench::corpus::{Corpus, Ring};
use ailayer_bench::figure::{Better, Figure};
use ailayer_bench::generator::closed_loop;
use ailayer_bench::null::MODEL;
use ailayer_bench::rounds::{any_noisy, median_of, ratios, rounds};
use ailayer_bench::run::{ArmRun, Done, Window};
use ailayer_bench::server::connect;
use ailayer_bench::setup::newest_version;
use ailayer_bench::usage::Of;
use ailayer_devnet::{Tool, Toolbox};
use ailayer_model_serving::Config;
use ailayer_model_serving::raw::RawModel;
use anyhow::Context as _;

use crate::args::Id;
use crate::platform::Platform;
use crate::processes::Processes;

const GOAL: f64 = 0.95;
const IN_FLIGHT: usize = 8;
const TOKENS: usize = 128;
const TEXTS: usize = 64;
const TEXTS_SEED: u64 = 0xE1;
/// The arms.
const UNPAID: usize = 0;
const PAID: usize = 1;

/// Measures E1. Model serving has a core for itself in both arms; whatever else runs shares the other.
pub async fn measure(platform: &Platform, pace: &Pace) -> anyhow::Result<Figure> {
    let corpus = corpus()?;
    let serving = &platform.network.model_serving;
    let gateway = platform.gateway(&[("SERVING__ENDPOINT", serving.grpc_url())]).await?;
    platform.leave_the_core_to_the_model(&gateway)?;
    let shop = platform.customers.at(&gateway.process.grpc_url())?;
    let model = Client::new(&connect(serving.addresses().grpc).await?, MODEL);
    let server = ("model-serving", Of::Process(platform.model_serving()?));
    let unpaid = Processes::new(vec![server, ("generator", Of::Process(std::process::id()))]);
    let path = [vec![server], platform.paid_path(&gateway.process)?].concat();
    let paid = Processes::new(path);
    let ring = Ring::default();
    let measured = rounds(pace, 2, UNPAID, async |arm| {
        let window = Window::after(pace.warm_up, pace.arm);
        let load = closed_loop(IN_FLIGHT, window, async |caller| {
            let sent = Instant::now();
            if arm == UNPAID {
                return Ok(model.embed_next(caller, &corpus, &ring).await?.since(sent));
            }
            let index = ring.next(&corpus);
            let bought = shop.run(caller, &corpus.text(index)?.text).await?;
            corpus.check(index, &bought.values).context("bought")?;
            Ok(Done { at: bought.at, count: 1, latency: bought.at.saturating_duration_since(sent) })
        });
        let processes = if arm == UNPAID { &unpaid } else { &paid };
        let (done, server_seconds_each) = processes.metered(window, load).await?;
        Ok(ArmRun { server_seconds_each, ..ArmRun::of_rate(&done, window) })
    })
    .await?;
    gateway.process.stop().await?;
    let rates = ratios(&measured, PAID, UNPAID, |run| run.rate)?;
    let core_us = |run: &ArmRun| run.server_seconds_each * 1e6;
    let figure = Figure::of(Id::E1.name(), Better::Higher, GOAL, "texts/s", &rates)
        .noisy_if(any_noisy(&measured))
        .note("p50 ms", median_of(&measured, PAID, ArmRun::p50_ms))
        .note("p99 ms", median_of(&measured, PAID, ArmRun::p99_ms))
        .note("unpaid p50 ms", median_of(&measured, UNPAID, ArmRun::p50_ms))
        .note("unpaid p99 ms", median_of(&measured, UNPAID, ArmRun::p99_ms))
        .note("unpaid model-serving core us a text", median_of(&measured, UNPAID, core_us));
    Ok(paid.note(figure, "text"))
}

/// Texts of exact length with what the bare engine answers. The engine is let go afterwards.
fn corpus() -> anyhow::Result<Corpus> {
    let toolbox = Toolbox::discover();
    let models = toolbox.path_of(Tool::Models)?;
    let mut config = Config::new(&models);
    config.onnxruntime_library = Some(toolbox.path_of(Tool::OnnxRuntime)?);
    let mut model = RawModel::load(&config, &newest_version(&models, MODEL)?)?;
    Corpus::build(&mut model, &[TOKENS; TEXTS], TEXTS_SEED)
}
