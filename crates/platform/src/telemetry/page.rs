//! The metrics page of the admin port, in Prometheus text format.

use std::sync::{LazyLock, PoisonError, RwLock};

use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::metrics::reader::MetricReader;
use prometheus::{Registry, TextEncoder};

/// One registry a process, as there is one meter provider a process.
static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::new);

/// Writes a part of the page in Prometheus text format, each time it is asked for.
type Section = fn(&mut String);

/// What services add to the page under names that are not OpenTelemetry's.
static SECTIONS: RwLock<Vec<Section>> = RwLock::new(Vec::new());

/// Adds a section to the page, for metrics whose names somebody else has fixed. Twice the same is once.
pub fn add_section(section: Section) {
    let mut sections = SECTIONS.write().unwrap_or_else(PoisonError::into_inner);
    if !sections.iter().any(|other| std::ptr::fn_addr_eq(*other, section)) {
        sections.push(section);
    }
}

/// The reader that feeds the page.
pub fn reader() -> Result<impl MetricReader, OTelSdkError> {
    opentelemetry_prometheus::exporter().with_registry(REGISTRY.clone()).build()
}

/// The page, or what is wrong with it.
pub fn render() -> Result<String, String> {
    let mut page =
        TextEncoder::new().encode_to_string(&REGISTRY.gather()).map_err(|error| error.to_string())?;
    let sections = SECTIONS.read().unwrap_or_else(PoisonError::into_inner).clone();
    for section in sections {
        section(&mut page);
    }
    Ok(page)
}
