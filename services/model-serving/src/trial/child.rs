//! The child's side.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};

use super::{Limits, Order, Report, ServiceKeys};
use crate::Config;
use crate::adapters::onnxruntime::{OnnxRuntime, SessionOptions};
use crate::cancel::CancelToken;
use crate::domain::model::ModelId;
use crate::error::chain;
use crate::loading::{Instances, Loader};
use crate::memory::process_memory;
use crate::repository::VersionFolder;

/// The most bytes of an order.
const MAX_ORDER_BYTES: u64 = 1024 * 1024;
/// The most a file may grow to: the report and what the engine says before it dies.
const MAX_FILE_BYTES: u64 = 1024 * 1024;
/// Time on processors between the signal that ends the trial and the one that cannot be caught.
const CPU_LIMIT_SLACK_SECONDS: u64 = 5;

/// The whole life of a trial process: reads an order, loads what it names within its limits, reports. The process
/// should end with the code that is answered and do nothing else.
pub fn run() -> ExitCode {
    let report = match order() {
        Ok(order) => try_out(&order),
        Err(error) => failed(format!("the trial was called wrongly: {error}")),
    };
    let written = serde_json::to_vec(&report).map_err(io::Error::other);
    match written.and_then(|bytes| io::stdout().write_all(&bytes)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn order() -> io::Result<Order> {
    let mut bytes = Vec::new();
    io::stdin().take(MAX_ORDER_BYTES).read_to_end(&mut bytes)?;
    serde_json::from_slice(&bytes).map_err(io::Error::other)
}

fn failed(reason: String) -> Report {
    let out_of_memory = ["bad_alloc", "allocate memory", "out of memory", "Out of memory", "os error 12"];
    let out_of_memory = out_of_memory.iter().any(|sign| reason.contains(sign));
    Report::Failed { reason, out_of_memory }
}

fn try_out(order: &Order) -> Report {
    match limit(order).map_err(|error| error.to_string()).and_then(|()| load(order)) {
        Ok(instance_bytes) => Report::Loaded { instance_bytes },
        Err(reason) => failed(reason),
    }
}

/// All limits but that of memory, which is counted from what the engine itself takes.
fn limit(order: &Order) -> io::Result<()> {
    let limits: &Limits = &order.limits;
    // An orphan has nobody to report to; one that was orphaned before gets no signal any more.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if rustix::process::getppid().map(|parent| parent.as_raw_nonzero().get()) != Some(order.parent) {
        return Err(io::Error::other("the process that asked for the trial is gone"));
    }
    rustix::thread::set_no_new_privs(true)?;
    let cpu_seconds = limits.cpu_time.as_secs().max(1);
    set(Resource::Core, 0, 0)?;
    set(Resource::Fsize, MAX_FILE_BYTES, MAX_FILE_BYTES)?;
    set(Resource::Cpu, cpu_seconds, cpu_seconds.saturating_add(CPU_LIMIT_SLACK_SECONDS))
}

fn set(resource: Resource, current: u64, maximum: u64) -> io::Result<()> {
    Ok(setrlimit(resource, Rlimit { current: Some(current), maximum: Some(maximum) })?)
}

fn load(order: &Order) -> Result<u64, String> {
    let ServiceKeys { intra_threads, max_inference_message_bytes, .. } = order.service;
    let options = SessionOptions { intra_threads, max_output_bytes: max_inference_message_bytes };
    let engine = OnnxRuntime::try_new(&order.library, options).map_err(|error| error.to_string())?;
    let version =
        order.version.parse().map_err(|_| "the trial was called with a wrong version".to_owned())?;
    let path = order.root.join(&order.model).join(&order.version);
    let folder = VersionFolder { id: ModelId { name: order.model.clone(), version }, path };
    let loader = Loader::new(Arc::new(engine), config(order), Instances::One);

    // The largest size so far is forgotten, so that the engine's start does not count.
    drop(fs::write("/proc/self/clear_refs", "5"));
    let before = process_memory();
    let address_space = before.address_space_bytes.saturating_add(order.limits.memory_bytes);
    set(Resource::As, address_space, address_space).map_err(|error| error.to_string())?;

    let cancel = CancelToken::default();
    let model =
        loader.load_copy(&folder, order.model_digest, None, &cancel).map_err(|error| chain(&error))?;
    let after = process_memory();
    model.stop();
    Ok(after.most_resident_bytes.saturating_sub(before.resident_bytes))
}

fn config(order: &Order) -> Config {
    let ServiceKeys {
        intra_threads,
        queue_capacity,
        queue_bytes,
        max_text_bytes,
        max_items,
        max_batch_rows,
        max_inference_message_bytes,
    } = order.service.clone();
    Config {
        intra_threads,
        queue_capacity,
        queue_bytes,
        max_text_bytes,
        max_items,
        max_batch_rows,
        max_inference_message_bytes,
        ..Config::new(&order.root)
    }
}
