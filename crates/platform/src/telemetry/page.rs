//! The metrics page of the admin port, in Prometheus text format.

use std::sync::LazyLock;

use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::metrics::reader::MetricReader;
use prometheus::{Registry, TextEncoder};

/// One registry a process, as there is one meter provider a process.
static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::new);

/// The reader that feeds the page.
pub fn reader() -> Result<impl MetricReader, OTelSdkError> {
    opentelemetry_prometheus::exporter().with_registry(REGISTRY.clone()).build()
}

/// The page, or what is wrong with it.
pub fn render() -> Result<String, String> {
    TextEncoder::new().encode_to_string(&REGISTRY.gather()).map_err(|error| error.to_string())
}
