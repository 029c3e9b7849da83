//! Headers and parameters to a [`CallContext`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ailayer_platform::server::deadline;
use ailayer_proto::inference::InferParameter;
use ailayer_proto::inference::infer_parameter::ParameterChoice;
use tonic::metadata::MetadataMap;

use crate::domain::call::CallContext;
use crate::domain::input_error::InputError;

/// Names the account a call is made for. The port is reached by the gateway only, which is believed.
pub(super) const ACCOUNT_HEADER: &str = "x-ailayer-account";
/// The longest account name in bytes.
const MAX_ACCOUNT_BYTES: usize = 128;

/// The context of a call without parameters.
///
/// The deadline is that of the gRPC call being served: to be asked in the call's own task.
pub(super) fn from_headers(headers: &MetadataMap) -> Result<CallContext, InputError> {
    let deadline = deadline::remaining().and_then(|left| Instant::now().checked_add(left));
    Ok(CallContext { account: account(headers)?, priority: 0, deadline })
}

/// What the headers of a stream say about each of its requests.
#[derive(Debug, Clone)]
pub(super) struct StreamContext {
    account: Arc<str>,
    /// When the stream's own time is up, if its caller named one.
    end: Option<Instant>,
    /// The longest that one request may take: a stream may last, a request of it may not.
    cap: Option<Duration>,
}

impl StreamContext {
    /// Reads the headers; to be called in the stream's own task before it begins.
    pub(super) fn try_new(headers: &MetadataMap) -> Result<Self, InputError> {
        let asked = deadline::requested_timeout(headers.as_ref());
        Ok(Self {
            account: account(headers)?,
            end: asked.and_then(|asked| Instant::now().checked_add(asked)),
            cap: deadline::remaining(),
        })
    }

    /// The context of a request that has arrived now.
    pub(super) fn of_request(&self) -> CallContext {
        let capped = self.cap.and_then(|cap| Instant::now().checked_add(cap));
        let deadline = nearer(self.end, capped);
        CallContext { account: Arc::clone(&self.account), priority: 0, deadline }
    }
}

fn nearer(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// The context of one inference: Triton's `priority` and `timeout` (microseconds) narrow what the headers say.
///
/// `priority` 0 and `timeout` 0 mean the model's default, as Triton has it.
pub(super) fn with_parameters(
    context: &CallContext,
    parameters: &HashMap<String, InferParameter>,
) -> Result<CallContext, InputError> {
    let mut context = context.clone();
    if let Some(parameter) = parameters.get("priority") {
        let field = "parameters.priority";
        let number = unsigned(field, parameter)?;
        context.priority = u32::try_from(number).map_err(|_| not_a(field, "a priority level"))?;
    }
    if let Some(parameter) = parameters.get("timeout") {
        let micros = unsigned("parameters.timeout", parameter)?;
        if micros > 0 {
            // One that lies beyond the clock's end is no deadline.
            let asked = Instant::now().checked_add(Duration::from_micros(micros));
            context.deadline = nearer(context.deadline, asked);
        }
    }
    Ok(context)
}

fn account(headers: &MetadataMap) -> Result<Arc<str>, InputError> {
    headers.get(ACCOUNT_HEADER).map_or_else(|| Ok(Arc::from("")), |value| account_of(value.as_bytes()))
}

fn account_of(bytes: &[u8]) -> Result<Arc<str>, InputError> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| {
        !text.is_empty()
            && text.len() <= MAX_ACCOUNT_BYTES
            && text.bytes().all(|byte| byte.is_ascii_graphic())
    });
    text.map(Arc::from).ok_or_else(|| InputError::Value {
        field: ACCOUNT_HEADER.to_owned(),
        detail: format!("an account has 1 to {MAX_ACCOUNT_BYTES} visible ASCII characters"),
    })
}

/// Clients send either integer type; Triton takes both.
fn unsigned(field: &str, parameter: &InferParameter) -> Result<u64, InputError> {
    match &parameter.parameter_choice {
        Some(ParameterChoice::Uint64Param(number)) => Ok(*number),
        Some(ParameterChoice::Int64Param(number)) => {
            u64::try_from(*number).map_err(|_| not_a(field, "a number from 0"))
        }
        _ => Err(not_a(field, "an integer")),
    }
}

fn not_a(field: &str, what: &str) -> InputError {
    InputError::Value { field: field.to_owned(), detail: format!("not {what}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(key: &str, choice: ParameterChoice) -> HashMap<String, InferParameter> {
        [(key.to_owned(), InferParameter { parameter_choice: Some(choice) })].into()
    }

    #[test]
    fn the_nearer_deadline_and_the_given_priority_count() {
        let soon = Instant::now() + Duration::from_millis(1);
        let base = CallContext { deadline: Some(soon), ..Default::default() };
        let late = parameters("timeout", ParameterChoice::Uint64Param(60_000_000));
        assert_eq!(with_parameters(&base, &late).unwrap().deadline, Some(soon));
        assert!(with_parameters(&CallContext::default(), &late).unwrap().deadline > Some(soon));
        let none = parameters("timeout", ParameterChoice::Int64Param(0));
        assert_eq!(with_parameters(&CallContext::default(), &none).unwrap().deadline, None);
        let endless = parameters("timeout", ParameterChoice::Uint64Param(u64::MAX));
        assert!(with_parameters(&base, &endless).unwrap().deadline.is_some());
        let first = parameters("priority", ParameterChoice::Uint64Param(1));
        assert_eq!(with_parameters(&base, &first).unwrap().priority, 1);
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for choice in [
            ParameterChoice::Int64Param(-1),
            ParameterChoice::StringParam("1".to_owned()),
            ParameterChoice::DoubleParam(1.0),
            ParameterChoice::BoolParam(true),
        ] {
            for key in ["priority", "timeout"] {
                assert!(with_parameters(&CallContext::default(), &parameters(key, choice.clone())).is_err());
            }
        }
        let beyond = parameters("priority", ParameterChoice::Uint64Param(1 << 32));
        assert!(with_parameters(&CallContext::default(), &beyond).is_err());
    }

    #[test]
    fn an_account_is_short_and_visible() {
        let read = |text: &str| {
            let mut headers = MetadataMap::new();
            headers.insert(ACCOUNT_HEADER, text.parse().unwrap());
            from_headers(&headers).map(|context| context.account.to_string())
        };
        assert_eq!(read("acct-7").unwrap(), "acct-7");
        assert_eq!(from_headers(&MetadataMap::new()).unwrap().account.as_ref(), "");
        for bad in ["", "a b", &"a".repeat(MAX_ACCOUNT_BYTES + 1)] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
