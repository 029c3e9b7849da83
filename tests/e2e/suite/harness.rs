//! Runs named scenarios one after the other in one runtime, and speaks as cargo's own test harness does.
//!
//! Scenarios share a network, and clients, payers and pools die with the runtime that made them. `#[tokio::test]` makes
//! a runtime a test; hence this.
#![expect(clippy::print_stdout, reason = "reports to the person or script that runs the tests")]

mod arguments;
mod sample;

use std::io::Write as _;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::stage::Stage;
pub use arguments::Arguments;
pub use sample::Sample;

/// Longer than any scenario takes on a busy machine: a hang is a failure with a name.
const TIME_LIMIT: Duration = Duration::from_secs(150);

type Run = Box<dyn for<'a> Fn(&'a Stage) -> BoxFuture<'a, anyhow::Result<()>>>;

/// One story with its assertions.
pub struct Scenario {
    name: String,
    run: Body,
    /// Runs only if a filter is given and selects it.
    only_if_named: bool,
}

enum Body {
    /// Needs nothing that runs.
    Alone(Box<dyn Fn() -> BoxFuture<'static, anyhow::Result<()>>>),
    /// Plays on the shared network, which is in order before and put in order afterwards.
    OnStage(Run),
}

impl Scenario {
    /// A scenario that brings what it needs.
    pub fn alone<F>(name: impl Into<String>, run: impl Fn() -> F + 'static) -> Self
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        Self { name: name.into(), run: Body::Alone(Box::new(move || run().boxed())), only_if_named: false }
    }

    /// A scenario on the shared network.
    pub fn on_stage(
        name: impl Into<String>,
        run: impl for<'a> Fn(&'a Stage) -> BoxFuture<'a, anyhow::Result<()>> + 'static,
    ) -> Self {
        Self { name: name.into(), run: Body::OnStage(Box::new(run)), only_if_named: false }
    }

    /// The same, left out of a run of everything.
    pub fn only_if_named(self) -> Self {
        Self { only_if_named: true, ..self }
    }
}

/// Runs what the arguments select.
pub async fn run(scenarios: Vec<Scenario>, arguments: &Arguments, sample: &Sample) -> ExitCode {
    let total = scenarios.len();
    let is_due = |it: &Scenario| !it.only_if_named || arguments.list || arguments.has_filters();
    let selected: Vec<_> =
        scenarios.into_iter().filter(|it| is_due(it) && arguments.selects(&it.name)).collect();
    if arguments.list {
        selected.iter().for_each(|scenario| println!("{}: test", scenario.name));
        println!("\n{} tests, 0 benchmarks", selected.len());
        return ExitCode::SUCCESS;
    }
    println!("\nrunning {} tests", selected.len());
    if !arguments.has_filters() {
        println!("{sample}");
    }
    let (began, count) = (Instant::now(), selected.len());
    let mut stage = None;
    let mut failures = Vec::new();
    for scenario in selected {
        let started = Instant::now();
        print!("test {} ... ", scenario.name);
        // The line says what hangs.
        std::io::stdout().flush().ok();
        let outcome = play(&scenario, &mut stage).await;
        let took = started.elapsed().as_secs_f64();
        match outcome {
            Ok(()) => println!("ok ({took:.1} s)"),
            Err(error) => {
                println!("FAILED ({took:.1} s)");
                println!("{}", indented(&error));
                failures.push((scenario.name, error));
            }
        }
        if let Some(Ok(stage)) = &stage {
            stage.take_notes().iter().for_each(|note| println!("    note: {note}"));
        }
    }
    if let Some(Ok(stage)) = stage {
        if !failures.is_empty() {
            stage.network.backbone.data_dir.keep();
        }
        if let Ok(stage) = Arc::try_unwrap(stage)
            && let Err(error) = stage.stop().await
        {
            failures.push(("the end of the network".to_owned(), error));
        }
    }
    report(count, total, &failures, began.elapsed())
}

type SharedStage = Result<Arc<Stage>, String>;

async fn play(scenario: &Scenario, shared: &mut Option<SharedStage>) -> anyhow::Result<()> {
    match &scenario.run {
        Body::Alone(run) => bounded(run()).await,
        Body::OnStage(run) => {
            if shared.is_none() {
                let started = bounded(Stage::start().boxed()).await;
                *shared = Some(started.map(Arc::new).map_err(|error| format!("{error:#}")));
            }
            let stage = match shared {
                Some(Ok(stage)) => Arc::clone(stage),
                Some(Err(error)) => return Err(anyhow!("the network did not start: {error}")),
                None => return Err(anyhow!("there is no network")),
            };
            bounded(stage.put_in_order().boxed())
                .await
                .context("the network is not in order before the scenario")?;
            bounded(run(&stage)).await
        }
    }
}

/// The outcome, a panic and a hang included.
async fn bounded<T>(run: BoxFuture<'_, anyhow::Result<T>>) -> anyhow::Result<T> {
    let caught = AssertUnwindSafe(run).catch_unwind();
    match tokio::time::timeout(TIME_LIMIT, caught).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(panic)) => Err(anyhow!("panicked: {}", words_of(panic.as_ref()))),
        Err(_elapsed) => Err(anyhow!("did not end within {TIME_LIMIT:?}")),
    }
}

fn words_of(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without words")
}

fn indented(error: &anyhow::Error) -> String {
    format!("{error:#}").lines().map(|line| format!("    {line}\n")).collect()
}

/// The last lines are those of cargo's harness: scripts count by them.
fn report(count: usize, total: usize, failures: &[(String, anyhow::Error)], took: Duration) -> ExitCode {
    if !failures.is_empty() {
        println!("\nfailures:");
        failures.iter().for_each(|(name, _)| println!("    {name}"));
    }
    let word = if failures.is_empty() { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {word}. {} passed; {} failed; 0 ignored; 0 measured; {} filtered out; finished in {:.2}s\n",
        count.saturating_sub(failures.len()),
        failures.len(),
        total.saturating_sub(count),
        took.as_secs_f64()
    );
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Says why nothing is run.
pub fn refuse(message: &str) -> ExitCode {
    println!("error: {message}");
    ExitCode::from(2)
}
