//! kill -9 of anything behind a durable write of anything: of the writer itself, of another service, of PostgreSQL.
//!
//! The writer dies by its own hand at its crash point. When another one is to die, the writer stands still there, so that
//! nothing but this write has happened; it goes on when the victim is on its way up again.

use std::time::Duration;

use ailayer_platform::crash::HALT;
use anyhow::ensure;

use super::services::Service;
use super::{Stage, wait};

/// How long a service may take to its crash point.
const TO_THE_POINT: Duration = Duration::from_secs(30);

/// Who dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    /// The service that has written.
    Writer,
    /// Another one.
    Service(Service),
    /// The server that has the write.
    Postgres,
}

/// A death behind a write.
#[derive(Debug, Clone, Copy)]
pub struct Blow {
    /// Who writes.
    pub writer: Service,
    /// The crash point behind the write.
    pub point: &'static str,
    /// Who dies.
    pub victim: Victim,
}

impl Blow {
    /// Whether this service dies.
    pub fn kills(&self, service: Service) -> bool {
        match self.victim {
            Victim::Writer => self.writer == service,
            Victim::Service(victim) => victim == service,
            Victim::Postgres => false,
        }
    }
}

impl Stage {
    /// Makes a service ready for its part.
    pub async fn prepare(&self, blow: Blow) -> anyhow::Result<()> {
        match blow.victim {
            Victim::Writer => self.arm(blow.writer, blow.point).await,
            _ => self.arm(blow.writer, &format!("{HALT}{}", blow.point)).await,
        }
    }

    /// Whether the writer is dead or still at its point.
    pub fn is_at_the_point(&self, blow: Blow) -> bool {
        let process = self.process_of(blow.writer).process();
        match blow.victim {
            Victim::Writer => !process.is_running(),
            _ => process.is_halted(),
        }
    }

    /// Waits for the write, and kills the victim behind it. The writer goes on, the victim is on its way up again.
    pub async fn fall(&self, blow: Blow) -> anyhow::Result<()> {
        if blow.victim == Victim::Writer {
            return self.wait_for_crash(blow.writer, TO_THE_POINT).await;
        }
        wait::until("the writer halts at its point", TO_THE_POINT, || async {
            let is_running = self.process_of(blow.writer).process().is_running();
            ensure!(is_running, "{} has died instead of halting", blow.writer.name());
            Ok(self.is_at_the_point(blow))
        })
        .await?;
        match blow.victim {
            Victim::Writer => {}
            Victim::Postgres => {
                self.network.backbone.postgres.kill9().await?;
                self.network.backbone.postgres.restart().await?;
            }
            Victim::Service(victim) => {
                self.process_of(victim).kill9().await?;
                // It may not get ready before the writer answers it.
                self.process_of(victim).launch(None)?;
            }
        }
        self.resume(blow.writer)
    }

    /// Waits until everything is there again. A model server that hangs is to be resumed before.
    pub async fn recover(&self, blow: Blow) -> anyhow::Result<()> {
        if blow.victim == Victim::Writer {
            return self.restart(blow.writer).await;
        }
        for service in Service::ALL {
            self.process_of(service).wait_until_ready().await?;
        }
        if blow.kills(Service::Payment) { self.reconnect(Service::Payment).await } else { Ok(()) }
    }

    /// Both.
    pub async fn strike(&self, blow: Blow) -> anyhow::Result<()> {
        self.fall(blow).await?;
        self.recover(blow).await
    }
}
