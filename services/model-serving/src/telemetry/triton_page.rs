//! Triton's metrics under its own names, which the exporter would alter: dashboards and autoscalers ask for them.

use std::fmt::Write as _;
use std::time::Duration;

use super::model_metrics::loaded;
use crate::domain::model::ModelId;
use crate::domain::statistics::{Outcome, Statistics};

type Value = fn(&Statistics) -> u64;

/// Name, kind, help and value of each metric that has one series a version.
const METRICS: [(&str, &str, &str, Value); 9] = [
    (
        "nv_inference_request_success",
        "counter",
        "Number of successful inference requests, all batch sizes",
        |s| s.success.count,
    ),
    (
        "nv_inference_count",
        "counter",
        "Number of inferences performed (does not include cached requests)",
        |s| s.inferences,
    ),
    (
        "nv_inference_exec_count",
        "counter",
        "Number of model executions performed (does not include cached requests)",
        |s| s.executions,
    ),
    (
        "nv_inference_pending_request_count",
        "gauge",
        "Instantaneous number of pending requests awaiting execution per-model.",
        |s| u64::try_from(s.pending).unwrap_or(u64::MAX),
    ),
    (
        "nv_inference_request_duration_us",
        "counter",
        "Cumulative inference request duration in microseconds (includes cached requests)",
        |s| micros(s.success.total),
    ),
    (
        "nv_inference_queue_duration_us",
        "counter",
        "Cumulative inference queuing duration in microseconds (includes cached requests)",
        |s| micros(s.queue.total),
    ),
    (
        "nv_inference_compute_input_duration_us",
        "counter",
        "Cumulative compute input duration in microseconds (does not include cached requests)",
        |s| micros(s.compute_input.total),
    ),
    (
        "nv_inference_compute_infer_duration_us",
        "counter",
        "Cumulative compute inference duration in microseconds (does not include cached requests)",
        |s| micros(s.compute_infer.total),
    ),
    (
        "nv_inference_compute_output_duration_us",
        "counter",
        "Cumulative inference compute output duration in microseconds (does not include cached requests)",
        |s| micros(s.compute_output.total),
    ),
];

const FAILURE: &str = "nv_inference_request_failure";

/// Appends the section: one series a loaded version and metric, four of [`FAILURE`].
pub fn write(page: &mut String) {
    write_all(page, &loaded());
}

fn write_all(page: &mut String, models: &[(ModelId, Statistics)]) {
    if models.is_empty() {
        return;
    }
    // Writing to a string cannot fail.
    for (name, kind, help, value) in METRICS {
        let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (id, statistics) in models {
            let _ = writeln!(
                page,
                "{name}{{model=\"{}\",version=\"{}\"}} {}",
                id.name,
                id.version,
                value(statistics)
            );
        }
    }
    let help = "Number of failed inference requests, all batch sizes";
    let _ = writeln!(page, "# HELP {FAILURE} {help}\n# TYPE {FAILURE} counter");
    for (id, statistics) in models {
        for (failure, count) in Outcome::FAILURES.iter().zip(statistics.failures) {
            let (model, version, reason) = (&id.name, id.version, failure.name());
            let _ = writeln!(
                page,
                "{FAILURE}{{model=\"{model}\",reason=\"{reason}\",version=\"{version}\"}} {count}"
            );
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_labels_are_tritons() {
        let mut statistics = Statistics { inferences: 7, pending: 2, ..Default::default() };
        statistics.queue.total = Duration::from_micros(1500);
        statistics.failures = [1, 2, 3, 4];
        let id = ModelId { name: "m".to_owned(), version: "3".parse().unwrap() };
        let mut page = String::new();
        write_all(&mut page, &[(id, statistics)]);
        for line in [
            r#"nv_inference_count{model="m",version="3"} 7"#,
            r#"nv_inference_pending_request_count{model="m",version="3"} 2"#,
            r#"nv_inference_queue_duration_us{model="m",version="3"} 1500"#,
            r#"nv_inference_request_failure{model="m",reason="REJECTED",version="3"} 1"#,
            r#"nv_inference_request_failure{model="m",reason="OTHER",version="3"} 4"#,
            "# TYPE nv_inference_pending_request_count gauge",
            "# TYPE nv_inference_request_success counter",
        ] {
            assert!(page.lines().any(|other| other == line), "{line} in {page}");
        }
    }
}
