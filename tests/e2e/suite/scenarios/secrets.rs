//! Logs are read by people and machines that may not spend money or open jobs.

use std::path::Path;

use anyhow::{Context as _, ensure};

use crate::stage::Stage;
use crate::stage::services::Service;

/// Secret files are small; channel state and databases are not.
const MAX_SECRET_BYTES: u64 = 1_024;

/// Searches the logs of the whole run, at debug level, for every secret that the run has used.
pub async fn no_log_holds_any(stage: &Stage) -> anyhow::Result<()> {
    let deal = stage.buy().await?;
    stage.expect_settled(&deal).await?;
    let mut secrets = stage.secrets();
    let url = stage.network.backbone.postgres.url("ailayer");
    let password = url.split('@').next().and_then(|head| head.rsplit(':').next()).context("no password")?;
    secrets.push(("the database's password".to_owned(), password.to_owned()));
    let password = stage.network.backbone.bitcoind.rpc_password();
    secrets.push(("bitcoind's password".to_owned(), password.to_owned()));
    for service in [Service::Gateway, Service::Payment, Service::Audit] {
        let folder = stage.network.backbone.data_dir.path().join(service.name());
        let files = secret_files(&folder)?;
        ensure!(!files.is_empty(), "{} keeps no secret in {}", service.name(), folder.display());
        secrets.extend(files);
    }
    for service in Service::ALL {
        let log = std::fs::read_to_string(stage.process_of(service).log_file())?;
        ensure!(log.contains("listening"), "{} has logged nothing", service.name());
        for (what, secret) in &secrets {
            ensure!(!log.contains(secret), "the log of {} holds {what}", service.name());
        }
        let panic = log.lines().find(|line| line.contains("panicked at"));
        ensure!(panic.is_none(), "{} panicked: {}", service.name(), panic.unwrap_or_default());
    }
    // The search can find something: a job's id is no secret.
    let log = std::fs::read_to_string(stage.network.gateway.log_file())?;
    ensure!(log.contains(&deal.key().job_id.to_string()), "the gateway's log does not name the job");
    Ok(())
}

/// What small files in a service's folder hold, as text or hexadecimal, line by line.
fn secret_files(folder: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if !metadata.is_file() || metadata.len() == 0 || metadata.len() > MAX_SECRET_BYTES {
            continue;
        }
        let bytes = std::fs::read(entry.path())?;
        let name = entry.path().display().to_string();
        match String::from_utf8(bytes) {
            Ok(text) => {
                let lines = text.lines().map(str::trim).filter(|line| line.len() >= 16);
                found.extend(lines.map(|line| (name.clone(), line.to_owned())));
            }
            Err(bytes) => found.push((name, hex::encode(bytes.into_bytes()))),
        }
    }
    Ok(found)
}
