//! One loaded graph.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;

use ort::error::ErrorCode;
use ort::session::{RunOptions, Session, SessionInputValue, SessionOutputs};
use ort::value::{Outlet, ValueType};

use super::{metadata, values};
use crate::cancel::CancelToken;
use crate::domain::signature::{Signature, TensorSpec};
use crate::domain::tensor::NamedTensor;
use crate::ports::{EngineError, InferenceSession, SessionError};

/// A session, used by one thread at a time.
pub(super) struct OrtSession {
    session: Session,
    signature: Signature,
    max_output_bytes: usize,
}

impl OrtSession {
    pub(super) fn try_new(session: Session, max_output_bytes: usize) -> Result<Self, EngineError> {
        let specs = |outlets: &[Outlet]| outlets.iter().map(spec_of).collect::<Result<Vec<_>, _>>();
        let signature = Signature { inputs: specs(session.inputs())?, outputs: specs(session.outputs())? };
        Ok(Self { session, signature, max_output_bytes })
    }
}

fn spec_of(outlet: &Outlet) -> Result<TensorSpec, EngineError> {
    let unsupported = || {
        EngineError::Unsupported(format!(
            "tensor '{}' is {}, which is not served",
            outlet.name(),
            outlet.dtype()
        ))
    };
    let ValueType::Tensor { ty, shape, .. } = outlet.dtype() else { return Err(unsupported()) };
    let datatype = values::datatype_of(*ty).ok_or_else(unsupported)?;
    Ok(TensorSpec { name: outlet.name().to_owned(), datatype, shape: shape.to_vec() })
}

impl InferenceSession for OrtSession {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn properties(&self) -> BTreeMap<String, String> {
        metadata::properties_of(&self.session)
    }

    fn execution_provider(&self) -> &'static str {
        // The only provider that sessions are made with; it is an error if it cannot be had.
        "CPUExecutionProvider"
    }

    fn max_output_bytes(&self) -> usize {
        self.max_output_bytes
    }

    fn run(
        &mut self,
        inputs: &[NamedTensor],
        outputs: &[String],
        calls: usize,
        cancel: &CancelToken,
    ) -> Result<Vec<NamedTensor>, SessionError> {
        // A terminated set of options stays terminated: each run has its own.
        let options = Arc::new(RunOptions::new().map_err(failed)?);
        let _hook = cancel.on_cancel({
            let options = Arc::clone(&options);
            move || {
                if let Err(error) = options.terminate() {
                    tracing::warn!(error = %error, "a run could not be cancelled");
                }
            }
        });
        let run_inputs = inputs
            .iter()
            .map(|input| Ok((Cow::from(input.name.as_str()), values::view(&input.tensor)?)))
            .collect::<ort::Result<Vec<(Cow<'_, str>, SessionInputValue<'_>)>>>()
            .map_err(failed)?;
        let values = self.session.run_with_options(run_inputs, &options).map_err(|error| {
            if cancel.is_cancelled() { SessionError::Cancelled } else { run_error(error) }
        })?;
        copy_outputs(&values, outputs, self.max_output_bytes.saturating_mul(calls.max(1)))
    }
}

/// Copies the wanted outputs out: an output keeps its session's memory alive, and may be read slowly.
fn copy_outputs(
    values: &SessionOutputs<'_>,
    wanted: &[String],
    limit: usize,
) -> Result<Vec<NamedTensor>, SessionError> {
    let mut copies = Vec::with_capacity(wanted.len());
    let mut bytes = 0_usize;
    for name in wanted {
        let (_, value) = values
            .iter()
            .find(|(output, _)| output == name)
            .ok_or_else(|| SessionError::Failed(format!("output '{name}' is missing").into()))?;
        let within = |bytes| match bytes > limit {
            true => Err(SessionError::OutputTooLarge { bytes, limit }),
            false => Ok(bytes),
        };
        within(bytes.saturating_add(values::byte_len(&value)))?;
        let tensor = values::copy(&value).map_err(SessionError::Failed)?;
        // How long strings are is only known now.
        bytes = within(bytes.saturating_add(tensor.byte_len()))?;
        copies.push(NamedTensor { name: name.clone(), tensor });
    }
    Ok(copies)
}

fn failed(error: ort::Error) -> SessionError {
    SessionError::Failed(Box::new(error))
}

fn run_error(error: ort::Error) -> SessionError {
    match error.code() {
        ErrorCode::InvalidArgument => SessionError::Refused(Box::new(error)),
        _ => failed(error),
    }
}

/// The cause of a failed run.
pub(super) type Cause = Box<dyn Error + Send + Sync>;
