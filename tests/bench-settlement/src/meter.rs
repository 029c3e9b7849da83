//! Time on cores, of both sides.

use ailayer_bench::usage::{Of, processor_seconds};

/// Whose time counts.
#[derive(Debug, Clone, Copy)]
pub struct Meter {
    /// PostgreSQL's first process.
    pub server: u32,
    /// The generator's side.
    pub client: Of,
}

/// Seconds on a core.
#[derive(Debug, Clone, Copy)]
pub struct Spent {
    /// By PostgreSQL, with a process a connection.
    pub server: f64,
    /// By the generator.
    pub client: f64,
}

impl Meter {
    /// So far.
    pub fn read(self) -> anyhow::Result<Spent> {
        let server = processor_seconds(Of::Family(self.server))?;
        Ok(Spent { server, client: processor_seconds(self.client)? })
    }
}

impl Spent {
    /// Since an earlier reading.
    pub fn since(self, before: Self) -> Self {
        Self { server: self.server - before.server, client: self.client - before.client }
    }
}
