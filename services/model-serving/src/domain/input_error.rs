//! Why a call's input is refused.

use super::datatype::Datatype;
use super::shape::ShapeError;

/// What is wrong with tensors or texts that a client sent. Found before anything is queued.
///
/// Names from the client are shown shortened: an error travels in HTTP headers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// A tensor the model does not have.
    #[error("{field}: the model has no tensor '{}'", shown(.name))]
    UnknownTensor {
        /// Where in the request.
        field: String,
        /// What was asked for.
        name: String,
    },
    /// The same tensor twice.
    #[error("{field}: '{}' appears twice", shown(.name))]
    DuplicateTensor {
        /// Where in the request.
        field: String,
        /// The tensor.
        name: String,
    },
    /// An input the model needs.
    #[error("inputs: the model's input '{}' is missing", shown(.name))]
    MissingInput {
        /// The input.
        name: String,
    },
    /// A parameter whose meaning is not served; ignoring it would answer something else.
    #[error("{field}: parameter '{}' is not offered", shown(.name))]
    ParameterNotOffered {
        /// Where in the request.
        field: String,
        /// The parameter.
        name: String,
    },
    /// A data type other than the model's.
    #[error("{field}: data type '{}', the model takes {expected}", shown(.actual))]
    Datatype {
        /// Where in the request.
        field: String,
        /// What the graph declares.
        expected: Datatype,
        /// What was sent.
        actual: String,
    },
    /// A shape other than the model's.
    #[error("{field}: shape {}, the model takes {expected:?} (-1 is any size)", shown(&format!("{actual:?}")))]
    Shape {
        /// Where in the request.
        field: String,
        /// What the graph declares.
        expected: Vec<i64>,
        /// What was sent.
        actual: Vec<i64>,
    },
    /// A shape that describes no tensor.
    #[error("{field}: {problem}")]
    BadShape {
        /// Where in the request.
        field: String,
        /// What is wrong with it.
        problem: ShapeError,
    },
    /// The contents do not fill the shape, or are in the wrong place.
    #[error("{field}: {detail}")]
    Contents {
        /// Where in the request.
        field: String,
        /// What is wrong.
        detail: String,
    },
    /// A value that the model cannot take, such as a token id outside the vocabulary.
    #[error("{field}: {detail}")]
    Value {
        /// Where in the request.
        field: String,
        /// What is wrong.
        detail: String,
    },
    /// Nothing to work on.
    #[error("{field}: empty")]
    Empty {
        /// Where in the request.
        field: String,
    },
    /// Over a limit.
    #[error("{field}: {detail}")]
    TooLarge {
        /// Where in the request.
        field: String,
        /// The limit, and by what it was exceeded if that is known.
        detail: String,
    },
}

/// The longest piece of a client's text that an error repeats.
const SHOWN_CHARS: usize = 64;

/// A client's text, short and printable enough for an error message.
pub fn shown(text: &str) -> String {
    let mut short: String =
        text.chars().take(SHOWN_CHARS).map(|c| if c.is_control() { '?' } else { c }).collect();
    if text.chars().nth(SHOWN_CHARS).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_stays_short() {
        let error = InputError::UnknownTensor { field: "inputs[0].name".into(), name: "x\n".repeat(1 << 20) };
        assert!(error.to_string().len() < 200);
        assert!(!error.to_string().contains('\n'));
        let shape = InputError::Shape { field: "s".into(), expected: vec![-1], actual: vec![7; 1 << 20] };
        assert!(shape.to_string().len() < 200);
    }
}
