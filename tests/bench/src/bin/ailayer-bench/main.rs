//! Benchmarks of the serving path, each a ratio to the bare engine in the same run.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people at a terminal")]

use std::process::ExitCode;

use ailayer_bench::{announce, null::Null};
use clap::Parser as _;

mod args;
mod arms;
mod bench;
mod experiments;
mod generator;
mod plan;
mod raw_arm;
mod repository;
mod serve;

use args::{Args, Command, Role};

fn main() -> ExitCode {
    let command = Command::parse();
    let ended = match command.role {
        Some(Role::Serve { config }) => serve::serve(&config),
        Some(Role::Null { dimensions }) => announce::serve(|| Ok(Null::new(dimensions).routes())),
        Some(Role::Markdown { file, out }) => args::REPORT.fill_page(&file, &out),
        None => measure(command.args),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ailayer-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(args: Args) -> anyhow::Result<()> {
    // One thread: the generator has one core, and the baseline a thread of its own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    println!("{}", runtime.block_on(bench::run(args))?);
    Ok(())
}
