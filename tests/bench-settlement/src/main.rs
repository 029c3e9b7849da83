//! Benchmarks of what settling costs, each a ratio of two things measured in the same run.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people at a terminal")]

use std::process::ExitCode;

use ailayer_bench::announce;
use ailayer_bench::null::Null;
use ailayer_platform::config::TelemetryConfig;
use ailayer_platform::{crypto, telemetry};
use clap::Parser as _;

mod args;
mod bank;
mod bench;
mod books;
mod customers;
mod database;
mod debits;
mod experiments;
mod meter;
mod pgbench;
mod platform;
mod processes;
mod relay;
mod rows;
mod sink;
mod unbooked;

use args::{Args, Command, Role, Unbooked};
use relay::Relay;

fn main() -> ExitCode {
    crypto::install_provider();
    let command = Command::parse();
    let ended = match command.role {
        Some(Role::Null { dimensions }) => announce::serve(|| Ok(Null::new(dimensions).routes())),
        Some(Role::Relay { model }) => announce::serve(|| Relay::routes(model)),
        Some(Role::Serve { service: Unbooked::Gateway, config }) => unbooked::serve(&config),
        Some(Role::Markdown { file, out }) => args::REPORT.fill_page(&file, &out),
        None => measure(command.args),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ailayer-bench-settlement: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(args: Args) -> anyhow::Result<()> {
    // One thread: generator and writer have one core together, as pgbench has.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // The writer counts and traces what it does, as in the service.
        let quiet =
            TelemetryConfig { log_filter: "warn,sqlx=error".to_owned(), ..TelemetryConfig::default() };
        let _telemetry = telemetry::init(ailayer_gateway::NAME, &quiet)?;
        println!("{}", bench::run(args).await?);
        Ok(())
    })
}
