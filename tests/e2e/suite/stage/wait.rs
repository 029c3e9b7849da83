//! Waiting for conditions.

use std::time::{Duration, Instant};

use ailayer_client::CallError;
use anyhow::bail;

const POLL: Duration = Duration::from_millis(50);

/// Waits until `holds` says yes. An error of the condition is the end; use [`found`] for one that may pass.
pub async fn until<F>(what: &str, limit: Duration, mut holds: impl FnMut() -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<bool>>,
{
    let began = Instant::now();
    loop {
        if holds().await? {
            return Ok(());
        }
        if began.elapsed() >= limit {
            bail!("waited {limit:?} in vain until {what}");
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Waits until `look` finds what is looked for; the last error is told when it does not.
pub async fn found<T, F>(what: &str, limit: Duration, mut look: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<T>>,
{
    let began = Instant::now();
    loop {
        match look().await {
            Ok(value) => return Ok(value),
            Err(error) if began.elapsed() >= limit => {
                return Err(error.context(format!("waited {limit:?} in vain for {what}")));
            }
            Err(_) => tokio::time::sleep(POLL).await,
        }
    }
}

/// Calls again while the service, or the way to it, is at fault: as every client may, calls being idempotent.
pub async fn answered<T, F>(limit: Duration, mut call: impl FnMut() -> F) -> Result<T, CallError>
where
    F: Future<Output = Result<T, CallError>>,
{
    let began = Instant::now();
    loop {
        match call().await {
            Err(error) if error.is_transient() && began.elapsed() < limit => tokio::time::sleep(POLL).await,
            outcome => return outcome,
        }
    }
}
