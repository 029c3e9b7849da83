//! Traces, metrics and logs.
//!
//! The only module that names OpenTelemetry: the rest of the project uses `tracing` for spans and
//! logs, and the small instruments below for metrics, so that an upgrade of the SDK stays here.
//! Metrics are always readable on the admin port; traces and metrics are also pushed by OTLP when a
//! collector is configured. A collector that is down or slow drops data, never requests.

use std::io::IsTerminal as _;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{KeyValue, global};
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use thiserror::Error;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use crate::config::TelemetryConfig;

mod filter;
mod instruments;
mod page;
mod propagation;

use filter::EachTime;
pub use instruments::{
    Counter, Gauge, Histogram, Observe, counter, gauge, histogram, observed_counter, observed_gauge,
};
pub use page::{add_section as add_metrics_section, render as render_metrics};
pub(crate) use propagation::{adopt_parent, inject_current};

/// Why telemetry could not start.
#[derive(Debug, Error)]
pub enum TelemetryError {
    /// The log filter does not parse.
    #[error("platform.telemetry.log_filter: {0}")]
    Filter(String),
    /// The OTLP exporter or the metrics page could not be built.
    #[error("telemetry: {0}")]
    Exporter(String),
    /// Telemetry was started before in this process.
    #[error("telemetry was started twice")]
    Twice,
}

/// Keeps the exporters; dropping it flushes what is buffered.
#[derive(Debug)]
pub struct TelemetryGuard {
    tracer: Option<SdkTracerProvider>,
    meter: SdkMeterProvider,
}

impl Drop for TelemetryGuard {
    fn drop(&mut self) {
        // A collector that is gone must not keep the process: both calls are bounded by the SDK.
        if let Some(tracer) = &self.tracer {
            let _ = tracer.shutdown();
        }
        let _ = self.meter.shutdown();
    }
}

/// Starts logs, traces and metrics for this process. Called once, by the binary.
pub fn init(service: &'static str, config: &TelemetryConfig) -> Result<TelemetryGuard, TelemetryError> {
    let exporter = |error: &dyn std::fmt::Display| TelemetryError::Exporter(error.to_string());
    let resource = Resource::builder()
        .with_service_name(format!("ailayer-{service}"))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();

    let mut meters = SdkMeterProvider::builder().with_resource(resource.clone());
    meters = meters.with_reader(page::reader().map_err(|error| exporter(&error))?);
    let mut tracer = None;
    if let Some(endpoint) = &config.otlp_endpoint {
        let metrics = opentelemetry_otlp::MetricExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint)
            .build()
            .map_err(|error| exporter(&error))?;
        meters = meters.with_periodic_exporter(metrics);
        let spans = opentelemetry_otlp::SpanExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint)
            .build()
            .map_err(|error| exporter(&error))?;
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(config.sample_ratio)));
        tracer = Some(
            SdkTracerProvider::builder()
                .with_resource(resource)
                .with_sampler(sampler)
                .with_batch_exporter(spans)
                .build(),
        );
    }
    let meter = meters.build();
    global::set_meter_provider(meter.clone());
    global::set_text_map_propagator(TraceContextPropagator::new());

    let filter =
        EnvFilter::try_new(&config.log_filter).map_err(|error| TelemetryError::Filter(error.to_string()))?;
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let lines = if config.log_json { lines.json().boxed() } else { lines.boxed() };
    // Without an exporter there is still a tracer, so that trace ids exist and travel.
    let local = SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOn).build();
    let spans =
        tracing_opentelemetry::layer().with_tracer(tracer.as_ref().unwrap_or(&local).tracer("ailayer"));
    tracing_subscriber::registry()
        .with(lines.with_filter(EachTime(filter)))
        .with(spans.with_filter(EachTime(EnvFilter::new("info,h2=off,hyper=off,tonic=off,tower=off"))))
        .try_init()
        .map_err(|_| TelemetryError::Twice)?;
    Ok(TelemetryGuard { tracer, meter })
}
