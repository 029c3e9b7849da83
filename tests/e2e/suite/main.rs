//! A paid inference on real processes: Bitcoin Core, a Lightning node on each side, the model, PostgreSQL, the log.
//!
//! Written from the specification: each scenario states what must hold at the payer's own node, at the gateway, in
//! the audit log and in the books. `cargo test -p ailayer-e2e -- --list` names them, `-- crash` runs some.

mod harness;
mod scenarios;
mod stage;

use std::process::ExitCode;

use harness::{Arguments, Sample};

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(message) => return harness::refuse(&message),
    };
    let mut sample = match Sample::from_environment() {
        Ok(sample) => sample,
        Err(message) => return harness::refuse(&message),
    };
    let scenarios = scenarios::all(&mut sample);
    ailayer_platform::crypto::install_provider();
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(harness::run(scenarios, &arguments, &sample)),
        Err(error) => harness::refuse(&error.to_string()),
    }
}
