//! Benchmarks of the serving path, each a ratio to the bare engine in the same run.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people at a terminal")]

use std::process::ExitCode;

use clap::Parser as _;

mod args;
mod arms;
mod artefacts;
mod bench;
mod client;
mod cores;
mod corpus;
mod counters;
mod experiments;
mod figure;
mod generator;
mod machine;
mod null;
mod plan;
mod random;
mod raw_arm;
mod report;
mod run;
mod schedule;
mod serve;
mod server;
mod statistics;
mod usage;

use args::{Args, Command, Role};

fn main() -> ExitCode {
    let command = Command::parse();
    let ended = match command.role {
        Some(Role::Serve { config }) => serve::serve(&config),
        Some(Role::Null { dimensions }) => null::serve(dimensions),
        Some(Role::Markdown { file, out }) => markdown(&file, &out),
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
    let (out, page) = (args.out.clone(), args.markdown.clone());
    let figures = runtime.block_on(bench::run(args))?;
    println!("{}", report::table(&figures));
    page.map_or(Ok(()), |page| markdown(&page, &out))
}

fn markdown(page: &std::path::Path, out: &std::path::Path) -> anyhow::Result<()> {
    let (figures, machine) = report::read(out)?;
    let text = report::fill(&std::fs::read_to_string(page)?, &figures, &machine)?;
    Ok(std::fs::write(page, text)?)
}
