//! Services that are killed, crashed, hung, reconfigured and brought back.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt as _;
use std::sync::PoisonError;
use std::time::Duration;

use ailayer_devnet::{ServiceProcess, Signal};
use ailayer_platform::crash::HALT;
use anyhow::{Context as _, ensure};
use rustix::process::Signal as UnixSignal;

use super::{PATIENCE, Stage, configuration_file, wait};

/// Pause between two looks at a process that is to die or to stand still.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A service of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// Follows the chain.
    Indexer,
    /// Keeps the log.
    Audit,
    /// Runs models.
    ModelServing,
    /// Owns the Lightning node.
    Payment,
    /// Sells answers.
    Gateway,
}

impl Service {
    /// All of them, in the order in which they start.
    pub const ALL: [Self; 5] = [Self::Indexer, Self::Audit, Self::ModelServing, Self::Payment, Self::Gateway];

    /// The name that `ailayer serve` knows, which is also its table's.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Indexer => "indexer",
            Self::Audit => "audit",
            Self::ModelServing => "model-serving",
            Self::Payment => "payment",
            Self::Gateway => "gateway",
        }
    }
}

impl Stage {
    /// The process of a service.
    pub fn process_of(&self, service: Service) -> &ServiceProcess {
        match service {
            Service::Indexer => &self.network.indexer,
            Service::Audit => &self.network.audit,
            Service::ModelServing => &self.network.model_serving,
            Service::Payment => &self.network.payment,
            Service::Gateway => &self.network.gateway,
        }
    }

    /// Kills a service with SIGKILL. It comes back with [`Stage::restart`] or after the scenario.
    pub async fn kill(&self, service: Service) -> anyhow::Result<()> {
        self.disturb(service);
        Ok(self.process_of(service).kill9().await?)
    }

    /// Starts a service (again), without a crash point, and waits until it can do its work.
    pub async fn restart(&self, service: Service) -> anyhow::Result<()> {
        let process = self.process_of(service);
        process.kill9().await?;
        process.restart().await?;
        self.reconnect(service).await
    }

    /// Starts a service again so that it kills itself when it passes `point`, or halts if `halt:` is before the name.
    ///
    /// Ends when it is ready, or has passed the point already: work that an earlier process left may take it there first.
    pub async fn arm(&self, service: Service, point: &str) -> anyhow::Result<()> {
        self.disturb(service);
        let process = self.process_of(service);
        process.kill9().await?;
        process.launch(Some(point))?;
        tokio::select! {
            passed = self.wait_for_point(service, point) => return passed,
            ready = process.wait_until_ready() => {
                // The same look at the process that says "not ready" may find it dead at its point.
                if ready.is_err() && !process.process().is_running() {
                    return self.wait_for_crash(service, Duration::ZERO).await;
                }
                ready?;
            }
        }
        self.reconnect(service).await?;
        self.reopen_channels().await
    }

    /// Waits without a limit until a service is dead, or halted if `halt:` is before the point's name.
    async fn wait_for_point(&self, service: Service, point: &str) -> anyhow::Result<()> {
        let process = self.process_of(service).process();
        let is_to_halt = point.starts_with(HALT);
        while if is_to_halt { !process.is_halted() } else { process.is_running() } {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        if is_to_halt { Ok(()) } else { self.wait_for_crash(service, Duration::ZERO).await }
    }

    /// Starts a service that does not run, so that it kills itself when it passes `point`, and waits for that.
    pub async fn crash_again(&self, service: Service, point: &str, limit: Duration) -> anyhow::Result<()> {
        self.disturb(service);
        self.process_of(service).launch(Some(point))?;
        self.wait_for_crash(service, limit).await
    }

    /// Waits until a service has died at its crash point.
    pub async fn wait_for_crash(&self, service: Service, limit: Duration) -> anyhow::Result<()> {
        let status = self.process_of(service).wait_for_exit(limit).await;
        let status = status.with_context(|| format!("{} did not pass its crash point", service.name()))?;
        let killed = Some(UnixSignal::KILL.as_raw());
        ensure!(status.signal() == killed, "{} ended by itself instead: {status}", service.name());
        Ok(())
    }

    /// Makes a service hang: its sockets stay open and nobody answers.
    pub fn hang(&self, service: Service) -> anyhow::Result<()> {
        Ok(self.process_of(service).process().signal(Signal::STOP)?)
    }

    /// Lets a service that hangs go on.
    pub fn resume(&self, service: Service) -> anyhow::Result<()> {
        Ok(self.process_of(service).process().signal(Signal::CONT)?)
    }

    /// Restarts a service with other values for keys of its table, until the end of the scenario.
    pub async fn reconfigure(&self, service: Service, values: &[(&str, toml::Value)]) -> anyhow::Result<()> {
        let mut file: toml::Table = self.configuration.parse()?;
        let table = file.get_mut(service.name()).and_then(toml::Value::as_table_mut);
        let table = table.with_context(|| format!("the configuration has no table {}", service.name()))?;
        for (key, value) in values {
            table.insert((*key).to_owned(), value.clone());
        }
        self.disturb(service);
        std::fs::write(configuration_file(&self.network), toml::to_string(&file)?)?;
        self.restart(service).await
    }

    /// Undoes what a scenario did to services, and waits until trade is possible and no money is locked.
    pub async fn put_in_order(&self) -> anyhow::Result<()> {
        let mut restart = std::mem::take(&mut *self.disturbed());
        for service in Service::ALL {
            if !self.process_of(service).process().is_running() {
                restart.insert(service);
            } else {
                self.resume(service)?;
            }
        }
        std::fs::write(configuration_file(&self.network), &self.configuration)?;
        for service in restart {
            self.restart(service).await.with_context(|| format!("restarting {}", service.name()))?;
        }
        for service in Service::ALL {
            self.process_of(service).wait_until_ready().await?;
        }
        self.reopen_channels().await?;
        self.wait_channels().await?;
        wait::until("no money is locked", PATIENCE, || async {
            Ok(self.payment.balances().await?.held_msat == 0)
        })
        .await
    }

    /// A node looks for a peer that went away once a minute; scenarios do not wait for that. Ends when every channel
    /// is usable or closed.
    pub(super) async fn reconnect(&self, service: Service) -> anyhow::Result<()> {
        if service != Service::Payment {
            return Ok(());
        }
        let address = self.seller_address()?;
        for payer in [&self.buyer, &self.stranger] {
            wait::found("a connection to the seller", PATIENCE, || async {
                Ok(payer.connect(&self.seller.node_id, &address).await?)
            })
            .await?;
            wait::until("the channel is usable or closed", PATIENCE, || async {
                Ok(!payer.has_channel() || payer.balances().await?.outbound_msat > 0)
            })
            .await?;
        }
        Ok(())
    }

    pub(super) fn disturb(&self, service: Service) {
        self.disturbed().insert(service);
    }

    fn disturbed(&self) -> std::sync::MutexGuard<'_, BTreeSet<Service>> {
        self.disturbed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
