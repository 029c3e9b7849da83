//! What the figures were measured on.

use std::fs;
use std::process::Command;

use crate::report::Machine;

/// Asks the system; what it does not say stays empty. `engine` is what the figures rest on, with its version.
pub fn describe(engine: String) -> Machine {
    let said = |program: &str, arguments: &[&str]| {
        let output =
            Command::new(program).args(arguments).output().ok().filter(|output| output.status.success());
        output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
    };
    let changed = if said("git", &["status", "--porcelain"]).is_empty() { "" } else { "+" };
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    Machine {
        date: said("date", &["-u", "+%Y-%m-%d"]),
        commit: said("git", &["rev-parse", "--short", "HEAD"]) + changed,
        processor: model.map(|(_, name)| name.to_owned()).unwrap_or_default(),
        cores: std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        kernel: said("uname", &["-r"]),
        engine,
        load_average: load.split_whitespace().next().unwrap_or_default().to_owned(),
        minutes: 0.0,
    }
}
