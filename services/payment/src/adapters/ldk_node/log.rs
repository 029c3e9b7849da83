//! The node's log, through ours.

use ldk_node::logger::{LogLevel, LogRecord, LogWriter};

/// Forwards records under the target `ldk`, one level lower than LDK gives them: what is an error to a
/// library (no route, no fee estimate on regtest) is everyday to a service, which says itself what is wrong.
pub(super) struct TracingLog;

impl LogWriter for TracingLog {
    fn log(&self, record: LogRecord<'_>) {
        let LogRecord { level, args, module_path, line } = record;
        match level {
            LogLevel::Error => tracing::warn!(target: "ldk", module_path, line, "{args}"),
            LogLevel::Warn => tracing::info!(target: "ldk", module_path, line, "{args}"),
            LogLevel::Info => tracing::debug!(target: "ldk", module_path, line, "{args}"),
            LogLevel::Debug | LogLevel::Trace | LogLevel::Gossip => {
                tracing::trace!(target: "ldk", module_path, line, "{args}");
            }
        }
    }
}
