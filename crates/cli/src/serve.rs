//! `ailayer serve SERVICE`: one service in the foreground.

use std::env;
use std::error::Error;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use ailayer_platform::config::{ConfigError, PlatformConfig, load};
use ailayer_platform::tasks::Shutdown;
use ailayer_platform::telemetry;
use serde::de::DeserializeOwned;

use crate::args::{ServeArgs, Service};
use crate::exit::{Exit, Failure, chain, configuration, internal};

/// Runs the service until SIGTERM or SIGINT, then drains it.
pub async fn run(args: ServeArgs) -> Result<(), Failure> {
    let file = args.config.as_deref();
    match args.service {
        Service::Gateway => {
            let config: ailayer_gateway::Config =
                checked(ailayer_gateway::NAME, file, |c: &ailayer_gateway::Config| c.validate())?;
            let _telemetry = start_telemetry(ailayer_gateway::NAME, &config.platform)?;
            ended(ailayer_gateway::run(config, signals()?).await)
        }
        Service::ModelServing => {
            without_engine_telemetry()?;
            let config: ailayer_model_serving::Config =
                checked(ailayer_model_serving::NAME, file, |c: &ailayer_model_serving::Config| c.validate())?;
            let _telemetry = start_telemetry(ailayer_model_serving::NAME, &config.platform)?;
            ended(ailayer_model_serving::run(config, signals()?).await)
        }
        Service::Payment => {
            let config: ailayer_payment::Config =
                checked(ailayer_payment::NAME, file, |c: &ailayer_payment::Config| c.validate())?;
            let _telemetry = start_telemetry(ailayer_payment::NAME, &config.platform)?;
            ended(ailayer_payment::run(config, signals()?).await)
        }
        Service::Indexer => {
            let config: ailayer_indexer::Config =
                checked(ailayer_indexer::NAME, file, |c: &ailayer_indexer::Config| c.validate())?;
            let _telemetry = start_telemetry(ailayer_indexer::NAME, &config.platform)?;
            ended(ailayer_indexer::run(config, signals()?).await)
        }
        Service::Audit => {
            let config: ailayer_audit::Config =
                checked(ailayer_audit::NAME, file, |c: &ailayer_audit::Config| c.validate())?;
            let _telemetry = start_telemetry(ailayer_audit::NAME, &config.platform)?;
            ended(ailayer_audit::run(config, signals()?).await)
        }
    }
}

/// Begins anew, as the same process, where ONNX Runtime's environment does not say yet that nothing is to be collected: what it
/// would store in the user's home before it can be told otherwise grows with every process that is killed.
fn without_engine_telemetry() -> Result<(), Failure> {
    let (name, value) = ailayer_model_serving::trial::NO_TELEMETRY;
    if env::var_os(name).is_some() {
        return Ok(());
    }
    let program = env::current_exe().map_err(internal)?;
    Err(internal(Command::new(program).args(env::args_os().skip(1)).env(name, value).exec()))
}

fn checked<C: DeserializeOwned>(
    service: &str,
    file: Option<&Path>,
    validate: impl Fn(&C) -> Result<(), ConfigError>,
) -> Result<C, Failure> {
    let config = load(service, file).map_err(configuration)?;
    validate(&config).map_err(configuration)?;
    Ok(config)
}

fn start_telemetry(
    service: &'static str,
    platform: &PlatformConfig,
) -> Result<telemetry::TelemetryGuard, Failure> {
    telemetry::init(service, &platform.telemetry).map_err(configuration)
}

fn signals() -> Result<Shutdown, Failure> {
    Shutdown::on_signals().map_err(internal)
}

fn ended(outcome: Result<(), impl Error + 'static>) -> Result<(), Failure> {
    outcome.map_err(|error| Failure::new(Exit::Internal, chain(&error)))
}
