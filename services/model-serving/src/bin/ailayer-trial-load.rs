//! Tries a model out for a service whose own program cannot: set `trial_executable` to this one.

use std::process::ExitCode;

fn main() -> ExitCode {
    ailayer_model_serving::trial::run()
}
