//! What operators see on a service's metrics page.

use anyhow::Context as _;

use super::services::Service;
use super::{Stage, http};

impl Stage {
    /// The value of a metric whose line begins with `name`, has this label, as in `state="HELD"`; any if that is empty.
    pub async fn metric(&self, service: Service, name: &str, label: &str) -> anyhow::Result<f64> {
        let (_, page) = http::get(self.process_of(service).addresses().admin, "/metrics").await?;
        let mut lines = page.lines().filter(|line| line.starts_with(name) && line.contains(label));
        let value = lines.next().and_then(|line| line.rsplit(' ').next());
        let value = value.with_context(|| format!("{} has no metric {name} with {label}", service.name()))?;
        Ok(value.parse()?)
    }
}
