//! The whole run: servers and texts as they are needed, then each measurement.

use std::cell::Cell;
use std::path::PathBuf;
use std::sync::Arc;

use ailayer_bench::cores::{Cores, pin};
use ailayer_bench::corpus::Corpus;
use ailayer_bench::figure::Figure;
use ailayer_bench::machine::describe;
use ailayer_bench::report::{Limits, Machine};
use ailayer_bench::schedule::lengths;
use ailayer_bench::server::{Launch, Server, itself};
use ailayer_bench::setup::{newest_version, setup};
use ailayer_model_serving::Config;
use ailayer_model_serving::raw::RawModel;
use anyhow::Context as _;
use tempfile::TempDir;

use crate::args::{Args, Id, REPORT};
use crate::arms::Ground;
use crate::experiments::{latency, memory, mixed_lengths, overload, short_texts, sustained};
use crate::plan::Plan;
use crate::raw_arm::RawArm;
use crate::repository::repository;

const LENGTHS_SEED: u64 = 0x1E46;

/// What the servers are made of.
struct Stage {
    args: Args,
    version: PathBuf,
    library: PathBuf,
    cores: Option<Cores>,
    place: TempDir,
}

/// Measures what the arguments name and writes the figures; answers the table.
pub async fn run(args: Args) -> anyhow::Result<String> {
    let cores = args.run.cores();
    let library = setup("ORT_DYLIB_PATH")?;
    let machine = describe(library.file_name().unwrap_or_default().to_string_lossy().into_owned());
    if let Some(cores) = cores {
        pin(cores.generator)?;
    }
    let models = args.models.clone().map_or_else(|| setup("AILAYER_MODELS"), Ok)?;
    let version = newest_version(&models, &args.model)?;
    std::fs::create_dir_all(&args.run.out)?;
    let stage = Stage { version, library, cores, place: tempfile::tempdir()?, args };
    let plan = Plan::new(&stage.args)?;
    let figures = stage.measure(&plan).await?;
    let limits = Limits { short: plan.is_short, pinned: cores.is_some() };
    let machine = Machine { minutes: plan.pace.minutes(), ..machine };
    REPORT.publish(&stage.args.run, figures, limits, &machine)
}

impl Stage {
    async fn measure(&self, plan: &Plan) -> anyhow::Result<Vec<Figure>> {
        let wants = |ids: &[Id]| self.args.wants(ids);
        let null = self.null("null", self.cores.map(|cores| cores.generator)).await?;
        let ground = Ground { raw: self.raw()?, null, plan: plan.clone(), rate: Cell::new(0.0) };
        let mut figures = Vec::new();
        let batching = self.server("batching", self.args.max_batch_rows, false).await?;
        if wants(&[Id::S1, Id::K2]) {
            let corpus = corpus(&ground.raw, vec![128; 128]).await?;
            if wants(&[Id::S1]) {
                eprint!("\nS1 ");
                figures.push(sustained::measure(&ground, &batching, &corpus).await.context("S1")?);
            }
            if wants(&[Id::K2]) {
                eprint!("\nK2 ");
                figures.push(overload::measure(&ground, &batching, &corpus).await.context("K2")?);
            }
        }
        let single = match wants(&[Id::S3, Id::S4]) {
            true => Some(self.server("single", Some(1), false).await?),
            false => None,
        };
        let short = corpus(&ground.raw, vec![16; 256]).await?;
        if wants(&[Id::S2a, Id::S2b, Id::S3]) {
            eprint!("\nS2a S2b S3 ");
            let off = single.as_ref().filter(|_| wants(&[Id::S3]));
            let all = short_texts::measure(&ground, &batching, off, &short).await.context("S2, S3")?;
            let named = |figure: &Figure| {
                self.args.only.is_empty() || self.args.only.iter().any(|id| id.name() == figure.id)
            };
            figures.extend(all.into_iter().filter(named));
        }
        if wants(&[Id::S4])
            && let Some(single) = &single
        {
            eprint!("\nS4 ");
            let most = ground.raw.with(|model| model.max_input_tokens()).await?;
            let mixed = corpus(&ground.raw, lengths(LENGTHS_SEED, 512, most)).await?;
            figures.push(mixed_lengths::measure(&ground, &batching, single, &mixed).await.context("S4")?);
        }
        stop(single).await?;
        if wants(&[Id::S5a]) {
            eprint!("\nS5a ");
            let hop = self.null("hop", self.cores.map(|cores| cores.server)).await?;
            figures.push(latency::light(&ground, &batching, &hop, &short).await.context("S5a")?);
            stop(Some(hop)).await?;
        }
        if wants(&[Id::S5b]) {
            eprint!("\nS5b ");
            figures.push(latency::heavy(&ground, &batching, &short).await.context("S5b")?);
        }
        stop(Some(batching)).await?;
        if wants(&[Id::Mem]) {
            eprint!("\nMEM ");
            let server = self.server("memory", self.args.max_batch_rows, true).await?;
            figures.push(memory::measure(&ground, &server, &short).await.context("MEM")?);
            stop(Some(server)).await?;
        }
        eprintln!();
        stop(Some(ground.null)).await?;
        Ok(figures)
    }

    fn config(&self, rows: Option<usize>) -> Config {
        let mut config = Config::new(self.place.path());
        config.onnxruntime_library = Some(self.library.clone());
        config.max_batch_rows = rows.unwrap_or(config.max_batch_rows);
        config
    }

    fn raw(&self) -> anyhow::Result<RawArm> {
        let (config, version) = (self.config(None), self.version.clone());
        RawArm::start(self.cores.map(|cores| cores.server), move || RawModel::load(&config, &version))
    }

    async fn null(&self, name: &str, core: Option<usize>) -> anyhow::Result<Server> {
        let dimensions = 384.to_string();
        let mut launch = self.launch(name, core)?;
        launch.command = vec![itself()?, "null".to_owned(), "--dimensions".to_owned(), dimensions];
        launch.announcing().await
    }

    async fn server(&self, name: &str, rows: Option<usize>, identity: bool) -> anyhow::Result<Server> {
        let place = self.place.path().join(name);
        let config = repository(&place, &self.version, &self.config(rows), &self.args.model, identity)?;
        self.launch(name, self.cores.map(|cores| cores.server))?.serving(&config).await
    }

    fn launch(&self, name: &str, core: Option<usize>) -> anyhow::Result<Launch> {
        let command = match &self.args.server {
            Some(command) => command.split_whitespace().map(str::to_owned).collect(),
            None => vec![itself()?, "serve".to_owned()],
        };
        Ok(Launch { command, core, log: self.args.run.out.join(format!("{name}.log")) })
    }
}

async fn corpus(raw: &RawArm, lengths: Vec<usize>) -> anyhow::Result<Arc<Corpus>> {
    Ok(Arc::new(raw.with(move |model| Corpus::build(model, &lengths, LENGTHS_SEED)).await??))
}

async fn stop(server: Option<Server>) -> anyhow::Result<()> {
    match server {
        Some(server) => server.stop().await,
        None => Ok(()),
    }
}
