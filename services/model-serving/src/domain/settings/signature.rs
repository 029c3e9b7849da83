//! A model's settings against its graph.

use super::{ModelSettings, PadFill, WarmUpData, WarmUpInput};
use crate::domain::datatype::Datatype;
use crate::domain::manifest::{Manifest, ManifestError, key_error};
use crate::domain::signature::{Signature, TensorSpec};

impl ModelSettings {
    /// Refuses settings that do not fit the graph; the error names the key and the tensor.
    pub fn check_signature(&self, graph: &Signature) -> Result<(), ManifestError> {
        check_declared("input", &self.declared_inputs, &graph.inputs)?;
        check_declared("output", &self.declared_outputs, &graph.outputs)?;
        // Without `input` the file leaves the shapes to the graph.
        if !self.declared_inputs.is_empty() {
            let undeclared =
                graph.inputs.iter().find(|spec| find(&self.declared_inputs, &spec.name).is_none());
            if let Some(TensorSpec { name, .. }) = undeclared {
                return Err(key_error("input", format!("the graph's input '{name}' is not declared")));
            }
        }
        self.check_batch_dimension(graph)?;
        self.check_padded_inputs(graph)?;
        self.check_warm_up_inputs(graph)
    }

    /// What the model takes and gives: the graph's signature, narrowed to what is declared. The declarations must have
    /// passed [`Self::check_signature`].
    pub fn served_signature(&self, graph: &Signature) -> Signature {
        let narrowed = |declared: &[TensorSpec], specs: &[TensorSpec]| {
            let served =
                specs.iter().filter(|spec| declared.is_empty() || find(declared, &spec.name).is_some());
            served.map(|spec| find(declared, &spec.name).unwrap_or(spec).clone()).collect()
        };
        Signature {
            inputs: narrowed(&self.declared_inputs, &graph.inputs),
            outputs: narrowed(&self.declared_outputs, &graph.outputs),
        }
    }

    /// Rows can only be joined where every tensor's first dimension takes any size.
    fn check_batch_dimension(&self, graph: &Signature) -> Result<(), ManifestError> {
        let key = match (self.batching.max_rows, self.batching.max_request_rows) {
            // The self-test of a text model looks at its tensors.
            _ if self.manifest != Manifest::Tensor => return Ok(()),
            (2.., _) => "batching.max_rows",
            (_, Some(_)) => "batching.max_request_rows",
            _ => return Ok(()),
        };
        let fixed = graph.inputs.iter().chain(&graph.outputs).find(|spec| spec.shape.first() != Some(&-1));
        match fixed {
            Some(TensorSpec { name, shape, .. }) => {
                let message = format!(
                    "the first dimension of '{name}', {shape:?}, is no batch: it does not take any size"
                );
                Err(key_error(key, message))
            }
            None => Ok(()),
        }
    }

    fn check_padded_inputs(&self, graph: &Signature) -> Result<(), ManifestError> {
        for (index, padded) in self.batching.padded_inputs.iter().enumerate() {
            let key = |name: &str| format!("batching.padded_inputs[{index}].{name}");
            let Some(spec) = graph.input(&padded.name) else {
                return Err(key_error(&key("name"), format!("the graph has no input '{}'", padded.name)));
            };
            if spec.shape.iter().skip(1).filter(|dimension| **dimension < 0).count() != 1 {
                let message =
                    format!("'{}' must have exactly one free dimension besides the batch", padded.name);
                return Err(key_error(&key("name"), message));
            }
            let fits = match padded.fill {
                PadFill::Value(value) => holds(spec.datatype, value),
                PadFill::Mask => holds(spec.datatype, 0.0),
                PadFill::Position => is_integer(spec.datatype),
            };
            if !fits {
                return Err(key_error(
                    &key("value"),
                    format!("does not fit {} of '{}'", spec.datatype, padded.name),
                ));
            }
        }
        Ok(())
    }

    fn check_warm_up_inputs(&self, graph: &Signature) -> Result<(), ManifestError> {
        for (index, sample) in self.warm_up.iter().enumerate() {
            let WarmUpData::Tensors(inputs) = &sample.data else { continue };
            let key = format!("warm_up[{index}].inputs");
            for (at, input) in inputs.iter().enumerate() {
                if inputs.iter().take(at).any(|earlier| earlier.name == input.name) {
                    return Err(key_error(&key, format!("'{}' is given twice", input.name)));
                }
                self.check_warm_up_input(&key, graph, input, sample.rows)?;
            }
            let missing = graph.inputs.iter().find(|spec| inputs.iter().all(|input| input.name != spec.name));
            if let Some(TensorSpec { name, .. }) = missing {
                return Err(key_error(&key, format!("'{name}' is missing")));
            }
        }
        Ok(())
    }

    fn check_warm_up_input(
        &self,
        key: &str,
        graph: &Signature,
        input: &WarmUpInput,
        rows: usize,
    ) -> Result<(), ManifestError> {
        let Some(spec) = graph.input(&input.name) else {
            return Err(key_error(key, format!("the graph has no input '{}'", input.name)));
        };
        let shape = self.warm_up_shape(input, rows);
        if input.datatype != spec.datatype || !crate::domain::shape::fits(&spec.shape, &shape) {
            let message = format!(
                "'{}' is {} {:?}, but the graph takes {} {:?}",
                input.name, input.datatype, shape, spec.datatype, spec.shape
            );
            return Err(key_error(key, message));
        }
        Ok(())
    }

    /// The whole shape of a sample's tensor.
    pub fn warm_up_shape(&self, input: &WarmUpInput, rows: usize) -> Vec<i64> {
        let batch = (!self.batching.literal_shapes).then(|| i64::try_from(rows).unwrap_or(i64::MAX));
        batch.into_iter().chain(input.shape.iter().copied()).collect()
    }
}

fn find<'a>(specs: &'a [TensorSpec], name: &str) -> Option<&'a TensorSpec> {
    specs.iter().find(|spec| spec.name == name)
}

/// Every declared tensor must be the graph's, and no wider.
fn check_declared(field: &str, declared: &[TensorSpec], graph: &[TensorSpec]) -> Result<(), ManifestError> {
    for (index, tensor) in declared.iter().enumerate() {
        let key = |name: &str| format!("{field}[{index}].{name}");
        let Some(spec) = find(graph, &tensor.name) else {
            return Err(key_error(&key("name"), format!("the graph has no {field} '{}'", tensor.name)));
        };
        if spec.datatype != tensor.datatype {
            let message =
                format!("'{}' is {} in the graph, not {}", tensor.name, spec.datatype, tensor.datatype);
            return Err(key_error(&key("data_type"), message));
        }
        if !crate::domain::shape::fits(&spec.shape, &tensor.shape) {
            let message = format!(
                "'{}' is {:?} in the graph, which does not take {:?} (the batch, if any, in front)",
                tensor.name, spec.shape, tensor.shape
            );
            return Err(key_error(&key("dims"), message));
        }
    }
    Ok(())
}

fn is_integer(datatype: Datatype) -> bool {
    datatype.name().starts_with("INT") || datatype.name().starts_with("UINT")
}

/// True if the type can hold the number: integers exactly, floating-point numbers rounded.
fn holds(datatype: Datatype, value: f64) -> bool {
    let integer = |least: f64, most: f64| value.fract() == 0.0 && (least..=most).contains(&value);
    match datatype.name() {
        "BOOL" => value == 0.0 || value == 1.0,
        "INT8" => integer(f64::from(i8::MIN), f64::from(i8::MAX)),
        "INT16" => integer(f64::from(i16::MIN), f64::from(i16::MAX)),
        "INT32" => integer(f64::from(i32::MIN), f64::from(i32::MAX)),
        // Beyond 2^53 a double is no longer every integer, and no pad value lies there.
        "INT64" => integer(-(2_f64.powi(53)), 2_f64.powi(53)),
        "UINT8" => integer(0.0, f64::from(u8::MAX)),
        "UINT16" => integer(0.0, f64::from(u16::MAX)),
        "UINT32" => integer(0.0, f64::from(u32::MAX)),
        "UINT64" => integer(0.0, 2_f64.powi(53)),
        "BYTES" => false,
        _ => true,
    }
}
