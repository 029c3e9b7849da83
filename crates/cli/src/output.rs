//! What the program prints: lines for people, or one JSON object a result with `--json`.
//!
//! Results go to standard output, progress to standard error, so that results can be piped.
use std::fmt;
use std::io::{self, Write};

use serde::Serialize;

use crate::exit::{Exit, Failure};

/// How results are printed.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
}

impl Output {
    /// With `json`, results are JSON and progress is left out.
    pub const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether results are JSON.
    pub const fn is_json(self) -> bool {
        self.json
    }

    /// Prints a result: `text` for people, `value` as JSON.
    pub fn result(self, value: &impl Serialize, text: impl fmt::Display) {
        if self.json {
            match serde_json::to_string_pretty(value) {
                Ok(json) => write_line(io::stdout(), json),
                Err(error) => write_line(io::stderr(), format_args!("error: {error}")),
            }
        } else {
            write_line(io::stdout(), text);
        }
    }

    /// Prints a line on the way to a result.
    pub fn progress(self, line: impl fmt::Display) {
        if !self.json {
            write_line(io::stderr(), line);
        }
    }

    /// Prints a line of a story that is itself the result, as `demo` tells one.
    pub fn line(self, line: impl fmt::Display) {
        if !self.json {
            write_line(io::stdout(), line);
        }
    }

    /// Writes a part of a file as it is. False if nobody reads any more.
    ///
    /// # Errors
    /// When it cannot be written: what was written before is no whole file.
    pub fn part(self, text: &str) -> Result<bool, Failure> {
        match io::stdout().write_all(text.as_bytes()) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(Failure::new(Exit::Internal, format_args!("standard output: {error}"))),
        }
    }

    /// Prints why the program fails.
    pub fn failure(self, failure: &Failure) {
        if self.json {
            let error = serde_json::json!({
                "error": { "exit_code": failure.exit.code(), "message": failure.message, "reason": failure.reason_name() }
            });
            write_line(io::stdout(), format_args!("{error:#}"));
        } else {
            let reason = failure.reason_name().map(|reason| format!(" [{reason}]")).unwrap_or_default();
            write_line(io::stderr(), format_args!("error: {}{reason}", failure.message));
        }
    }
}

/// A reader that went away (`ailayer … | head`) is no reason to fail.
fn write_line(mut out: impl Write, line: impl fmt::Display) {
    let _ = writeln!(out, "{line}");
}
