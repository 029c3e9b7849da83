//! `ailayer`: the services, their supervisor, a paying client and an offline verifier in one binary.

use std::process::ExitCode;

use clap::Parser as _;

mod args;
mod buy;
mod channel;
mod customer;
mod demo;
mod exit;
mod model;
mod operator;
mod output;
mod serve;
mod statement;
mod status;
mod tensors;
mod up;
mod verify;

fn main() -> ExitCode {
    let args = args::Args::parse();
    if let args::Command::TrialLoad = args.command {
        // Before anything else takes memory or starts threads.
        return ailayer_model_serving::trial::run();
    }
    ailayer_platform::crypto::install_provider();
    let out = output::Output::new(args.json);
    match run(args.command, &out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            out.failure(&failure);
            ExitCode::from(failure.exit.code())
        }
    }
}

fn run(command: args::Command, out: &output::Output) -> Result<(), exit::Failure> {
    // Verification is offline by construction: it runs before there is a runtime to talk with.
    if let args::Command::Verify(args) = command {
        return verify::run(&args, out);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(exit::internal)?;
    runtime.block_on(async {
        match command {
            args::Command::Serve(args) => serve::run(args).await,
            args::Command::Up(args) => up::run(args, out).await,
            args::Command::Demo(args) => demo::run(args, out).await,
            args::Command::Buy(args) => buy::run(*args, out).await,
            args::Command::Fetch(args) => buy::fetch(*args, out).await,
            args::Command::Verify(args) => verify::run(&args, out),
            args::Command::Model(args) => model::run(args, out).await,
            args::Command::Channel(args) => channel::run(args, out).await,
            args::Command::Status(args) => status::run(args, out).await,
            args::Command::Run(args) => customer::run(args, out).await,
            args::Command::Balance(args) => customer::balance(args, out).await,
            args::Command::Statement(args) => customer::statement(args, out).await,
            args::Command::Deposit(args) => customer::deposit(args, out).await,
            args::Command::Operator(args) => operator::new_key(args, out),
            args::Command::Account(args) => operator::account(args, out).await,
            args::Command::Key(args) => operator::key(args, out).await,
            args::Command::Price(args) => operator::price(args, out).await,
            args::Command::Brake(args) => operator::brake(args, out).await,
            args::Command::Adjust(args) => operator::adjust(args, out).await,
            args::Command::Suspense(args) => operator::suspense(args, out).await,
            args::Command::Reconcile(args) => operator::reconcile(args, out).await,
            // Done before there was a runtime.
            args::Command::TrialLoad => Ok(()),
        }
    })
}
