//! The end of a log file, for error messages.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

const MAX_BYTES: u64 = 16 * 1024;
const MAX_LINES: usize = 25;

/// The last lines written at or after byte `start`, indented. Never fails: says so instead.
pub(super) fn since(path: &Path, start: u64) -> String {
    match read(path, start) {
        Ok(text) if text.trim().is_empty() => format!("  (nothing was logged to {})", path.display()),
        Ok(text) => {
            let lines: Vec<_> = text.lines().collect();
            let first = lines.len().saturating_sub(MAX_LINES);
            let shown: Vec<_> = lines.iter().skip(first).map(|line| format!("  | {line}")).collect();
            format!("{}\n  (full log: {})", shown.join("\n"), path.display())
        }
        Err(error) => format!("  (the log {} cannot be read: {error})", path.display()),
    }
}

fn read(path: &Path, start: u64) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(start.max(length.saturating_sub(MAX_BYTES))))?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
