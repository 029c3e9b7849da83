//! Statements as files.

use ailayer_client::CallError;
use ailayer_client::account::StatementFormat;
use futures::stream::{BoxStream, StreamExt as _};

use crate::args::StatementForm;
use crate::exit::Failure;
use crate::output::Output;

impl From<StatementForm> for StatementFormat {
    fn from(form: StatementForm) -> Self {
        match form {
            StatementForm::Csv => Self::Csv,
            StatementForm::Jsonl => Self::JsonLines,
        }
    }
}

/// Writes the parts of a file as they come. A file that was cut ends with an error and its exit code.
pub async fn write(
    mut parts: BoxStream<'static, Result<String, CallError>>,
    out: &Output,
) -> Result<(), Failure> {
    while let Some(part) = parts.next().await {
        if !out.part(&part?)? {
            break;
        }
    }
    Ok(())
}
