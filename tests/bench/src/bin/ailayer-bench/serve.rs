//! `ailayer-bench serve`: what `ailayer serve model-serving` is, in a binary that links no other service.

use std::path::Path;

use ailayer_model_serving::{Config, NAME, run};
use ailayer_platform::{config, tasks::Shutdown, telemetry};

/// Serves until SIGTERM, with the configuration, telemetry and runtime of the real binary.
pub fn serve(file: &Path) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let config: Config = config::load(NAME, Some(file))?;
        config.validate()?;
        let _telemetry = telemetry::init(NAME, &config.platform.telemetry)?;
        Ok(run(config, Shutdown::on_signals()?).await?)
    })
}
