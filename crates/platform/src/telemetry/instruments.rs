//! Metric instruments without OpenTelemetry in their signatures.

use opentelemetry::{KeyValue, global, metrics};

/// The instrumentation scope of every instrument.
const SCOPE: &str = "ailayer";

/// Attributes of one measurement: names and values, few and bounded (never an id).
pub type Attributes<'a> = &'a [(&'static str, &'a str)];

fn key_values(attributes: Attributes<'_>) -> Vec<KeyValue> {
    attributes.iter().map(|(name, value)| KeyValue::new(*name, (*value).to_owned())).collect()
}

/// Counts things that only grow in number.
#[derive(Debug, Clone)]
pub struct Counter(metrics::Counter<u64>);

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64, attributes: Attributes<'_>) {
        self.0.add(n, &key_values(attributes));
    }
}

/// Records a distribution.
#[derive(Debug, Clone)]
pub struct Histogram(metrics::Histogram<f64>);

impl Histogram {
    /// Records one value in the instrument's unit.
    pub fn record(&self, value: f64, attributes: Attributes<'_>) {
        self.0.record(value, &key_values(attributes));
    }
}

/// Shows a present value.
#[derive(Debug, Clone)]
pub struct Gauge(metrics::Gauge<i64>);

impl Gauge {
    /// Replaces the value.
    pub fn set(&self, value: i64, attributes: Attributes<'_>) {
        self.0.record(value, &key_values(attributes));
    }
}

/// Makes a counter. Names are dot separated; the unit is metadata in UCUM (`{request}`, `s`, `By`).
pub fn counter(name: &'static str, unit: &'static str, description: &'static str) -> Counter {
    let meter = global::meter(SCOPE);
    Counter(meter.u64_counter(name).with_unit(unit).with_description(description).build())
}

/// Makes a histogram. Durations are recorded in seconds.
pub fn histogram(name: &'static str, unit: &'static str, description: &'static str) -> Histogram {
    let meter = global::meter(SCOPE);
    let mut builder = meter.f64_histogram(name).with_unit(unit).with_description(description);
    if unit == "s" {
        builder = builder.with_boundaries(SECONDS.to_vec());
    }
    Histogram(builder.build())
}

/// Makes a gauge.
pub fn gauge(name: &'static str, unit: &'static str, description: &'static str) -> Gauge {
    let meter = global::meter(SCOPE);
    Gauge(meter.i64_gauge(name).with_unit(unit).with_description(description).build())
}

/// Takes one value with its attributes, while metrics are collected.
pub type Observe<'a> = &'a mut dyn FnMut(u64, Attributes<'_>);

/// Makes a counter that is asked for its values when metrics are collected. A series that it tells no more ends.
pub fn observed_counter(
    name: &'static str,
    unit: &'static str,
    description: &'static str,
    values: impl Fn(Observe<'_>) + Send + Sync + 'static,
) {
    let meter = global::meter(SCOPE);
    meter
        .u64_observable_counter(name)
        .with_unit(unit)
        .with_description(description)
        .with_callback(move |observer| {
            values(&mut |value, attributes| observer.observe(value, &key_values(attributes)));
        })
        .build();
}

/// Makes a gauge that is asked for its values when metrics are collected. A series that it tells no more ends.
pub fn observed_gauge(
    name: &'static str,
    unit: &'static str,
    description: &'static str,
    values: impl Fn(Observe<'_>) + Send + Sync + 'static,
) {
    let meter = global::meter(SCOPE);
    meter
        .u64_observable_gauge(name)
        .with_unit(unit)
        .with_description(description)
        .with_callback(move |observer| {
            values(&mut |value, attributes| observer.observe(value, &key_values(attributes)));
        })
        .build();
}

/// Bucket bounds for durations: OpenTelemetry's advice for RPC, with finer steps below 5 ms.
const SECONDS: [f64; 16] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0];
