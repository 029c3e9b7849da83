//! `ModelStatistics`.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ailayer_proto::inference::{
    InferBatchStatistics, InferStatistics, MemoryUsage, ModelStatistics, ModelStatisticsRequest,
    ModelStatisticsResponse, StatisticDuration,
};
use tonic::Status;

use super::Rpc;
use crate::domain::statistics::{DurationSum, Statistics};
use crate::model::Model;

pub(super) async fn model_statistics(
    rpc: &Rpc,
    request: ModelStatisticsRequest,
) -> Result<ModelStatisticsResponse, Status> {
    let ModelStatisticsRequest { name, version } = request;
    if name.is_empty() {
        return Ok(response(&rpc.catalog().ready()));
    }
    rpc.with_model("ModelStatistics", &name, &version, async |model| {
        let ready = rpc.catalog().ready();
        let id = &model.info().id;
        let asked = |other: &Arc<Model>| {
            let other = &other.info().id;
            other.name == id.name && (version.is_empty() || other.version == id.version)
        };
        Ok(response(&ready.into_iter().filter(asked).collect::<Vec<_>>()))
    })
    .await
}

fn response(models: &[Arc<Model>]) -> ModelStatisticsResponse {
    ModelStatisticsResponse { model_stats: models.iter().map(|model| entry(model)).collect() }
}

fn entry(model: &Model) -> ModelStatistics {
    let id = &model.info().id;
    let statistics = model.metrics().statistics();
    let since_1970 = statistics.last_inference.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
    let batch_stats = statistics.batches.iter().map(|(rows, runs)| InferBatchStatistics {
        batch_size: u64::try_from(*rows).unwrap_or(u64::MAX),
        compute_input: Some(duration(runs.compute_input)),
        compute_infer: Some(duration(runs.compute_infer)),
        compute_output: Some(duration(runs.compute_output)),
    });
    ModelStatistics {
        name: id.name.clone(),
        version: id.version.to_string(),
        last_inference: since_1970.map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
        inference_count: statistics.inferences,
        execution_count: statistics.executions,
        inference_stats: Some(requests(&statistics)),
        batch_stats: batch_stats.collect(),
        memory_usage: memory_usage(model.memory_bytes()),
        response_stats: Default::default(),
    }
}

/// Nothing if it is not known.
fn memory_usage(bytes: u64) -> Vec<MemoryUsage> {
    let usage = MemoryUsage { r#type: "CPU".to_owned(), id: 0, byte_size: bytes };
    if bytes == 0 { Vec::new() } else { vec![usage] }
}

fn requests(statistics: &Statistics) -> InferStatistics {
    InferStatistics {
        success: Some(duration(statistics.success)),
        fail: Some(duration(statistics.fail)),
        queue: Some(duration(statistics.queue)),
        compute_input: Some(duration(statistics.compute_input)),
        compute_infer: Some(duration(statistics.compute_infer)),
        compute_output: Some(duration(statistics.compute_output)),
        // No answer is ever kept; clients expect the entries all the same.
        cache_hit: Some(StatisticDuration::default()),
        cache_miss: Some(StatisticDuration::default()),
    }
}

fn duration(sum: DurationSum) -> StatisticDuration {
    StatisticDuration { count: sum.count, ns: nanos(sum.total) }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
