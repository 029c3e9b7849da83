//! `input` and `output`.

use super::fields::Fields;
use crate::domain::datatype::Datatype;
use crate::domain::manifest::ManifestError;
use crate::domain::signature::TensorSpec;

/// More than any model has; bounds the work of comparing names.
const MAX_TENSORS: usize = 1_024;
/// ONNX Runtime's tensors have fewer.
const MAX_RANK: usize = 32;

const REFUSED: &[(&str, &str)] = &[
    ("reshape", "the graph's own shapes are served; give dims as the graph has them"),
    ("is_non_linear_format_io", "layouts are those of ONNX"),
];

/// The declared inputs, the batch dimension put in front if the file leaves it out.
pub(super) fn inputs(fields: &Fields<'_>, batched: bool) -> Result<Vec<TensorSpec>, ManifestError> {
    let understood =
        ["name", "data_type", "dims", "format", "is_shape_tensor", "allow_ragged_batch", "optional"];
    let inputs = fields.messages("input")?;
    for input in &inputs {
        input.check(&understood, REFUSED)?;
        if !matches!(input.word("format")?, None | Some("FORMAT_NONE" | "0")) {
            return Err(input.error("format", "layouts of pictures have no meaning here; remove it"));
        }
        for (flag, reason) in [
            ("is_shape_tensor", "shape tensors belong to another engine"),
            (
                "allow_ragged_batch",
                "rows of unequal length are padded; say batching.padded_inputs in model.toml",
            ),
            ("optional", "every input of an ONNX graph is required"),
        ] {
            if input.flag(flag)? {
                return Err(input.error(flag, reason));
            }
        }
    }
    tensors(fields, "input", &inputs, batched)
}

/// The declared outputs.
pub(super) fn outputs(fields: &Fields<'_>, batched: bool) -> Result<Vec<TensorSpec>, ManifestError> {
    let outputs = fields.messages("output")?;
    for output in &outputs {
        // Labels only matter to the classification of outputs, which a request that asks for it is refused.
        output.check(&["name", "data_type", "dims", "label_filename", "is_shape_tensor"], REFUSED)?;
        if output.flag("is_shape_tensor")? {
            return Err(output.error("is_shape_tensor", "shape tensors belong to another engine"));
        }
    }
    tensors(fields, "output", &outputs, batched)
}

fn tensors(
    fields: &Fields<'_>,
    field: &str,
    messages: &[Fields<'_>],
    batched: bool,
) -> Result<Vec<TensorSpec>, ManifestError> {
    if messages.len() > MAX_TENSORS {
        return Err(fields.error(field, format!("must be at most {MAX_TENSORS}")));
    }
    let mut specs: Vec<TensorSpec> = Vec::with_capacity(messages.len());
    for message in messages {
        let name = message.text("name")?.filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| message.error("name", "is missing"))?;
        if specs.iter().any(|earlier| earlier.name == name) {
            return Err(message.error("name", format!("'{name}' is declared twice")));
        }
        let mut shape = if batched { vec![-1] } else { Vec::new() };
        shape.extend(dims(message, -1)?);
        specs.push(TensorSpec { name, datatype: datatype(message)?, shape });
    }
    Ok(specs)
}

/// `dims`, each at least 1, or -1 where `least` allows any size.
pub(super) fn dims(message: &Fields<'_>, least: i64) -> Result<Vec<i64>, ManifestError> {
    let dims = message.integers("dims")?;
    if dims.len() > MAX_RANK {
        return Err(message.error("dims", format!("must be at most {MAX_RANK}")));
    }
    if dims.iter().any(|dim| *dim < least || *dim == 0) {
        let allowed = if least < 0 { "must be from 1, or -1 for any size" } else { "must be from 1" };
        return Err(message.error("dims", allowed));
    }
    Ok(dims)
}

/// `data_type`: `TYPE_FP32`; a string is called BYTES on the wire.
pub(super) fn datatype(message: &Fields<'_>) -> Result<Datatype, ManifestError> {
    let word = message.word("data_type")?.ok_or_else(|| message.error("data_type", "is missing"))?;
    let name = match word {
        "TYPE_STRING" => Some("BYTES"),
        word => word.strip_prefix("TYPE_"),
    };
    name.and_then(|name| name.parse().ok())
        .ok_or_else(|| message.error("data_type", format!("'{word}' is not a served data type")))
}
