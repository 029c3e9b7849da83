//! What a graph takes and gives.

use super::datatype::Datatype;
use super::input_error::InputError;
use super::shape;

/// One input or output of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// The name.
    pub name: String,
    /// The data type.
    pub datatype: Datatype,
    /// The shape; -1 where any size is taken.
    pub shape: Vec<i64>,
}

/// The inputs and outputs of a graph, in its own order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The inputs, every one required.
    pub inputs: Vec<TensorSpec>,
    /// The outputs.
    pub outputs: Vec<TensorSpec>,
}

impl Signature {
    /// The input of that name.
    pub fn input(&self, name: &str) -> Option<&TensorSpec> {
        self.inputs.iter().find(|spec| spec.name == name)
    }

    /// The output of that name.
    pub fn output(&self, name: &str) -> Option<&TensorSpec> {
        self.outputs.iter().find(|spec| spec.name == name)
    }

    /// Checks that the names are inputs of the graph, each once, and none is missing.
    pub fn check_input_names(&self, names: &[&str]) -> Result<(), InputError> {
        for (index, name) in names.iter().enumerate() {
            let field = || format!("inputs[{index}].name");
            if self.input(name).is_none() {
                return Err(InputError::UnknownTensor { field: field(), name: (*name).to_owned() });
            }
            if names.iter().take(index).any(|earlier| earlier == name) {
                return Err(InputError::DuplicateTensor { field: field(), name: (*name).to_owned() });
            }
        }
        match self.inputs.iter().find(|spec| !names.contains(&spec.name.as_str())) {
            Some(missing) => Err(InputError::MissingInput { name: missing.name.clone() }),
            None => Ok(()),
        }
    }

    /// Resolves the outputs asked for, in the order asked; none asked means all, in the graph's order.
    pub fn select_outputs(&self, names: &[&str]) -> Result<Vec<String>, InputError> {
        if names.is_empty() {
            return Ok(self.outputs.iter().map(|spec| spec.name.clone()).collect());
        }
        let mut selected: Vec<String> = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let field = || format!("outputs[{index}].name");
            if self.output(name).is_none() {
                return Err(InputError::UnknownTensor { field: field(), name: (*name).to_owned() });
            }
            if selected.iter().any(|earlier| earlier == name) {
                return Err(InputError::DuplicateTensor { field: field(), name: (*name).to_owned() });
            }
            selected.push((*name).to_owned());
        }
        Ok(selected)
    }
}

impl TensorSpec {
    /// Checks data type and shape of the tensor sent as `inputs[index]`.
    pub fn check(&self, index: usize, datatype: &str, shape: &[i64]) -> Result<(), InputError> {
        if datatype != self.datatype.name() {
            return Err(InputError::Datatype {
                field: format!("inputs[{index}].datatype"),
                expected: self.datatype,
                actual: datatype.to_owned(),
            });
        }
        let field = || format!("inputs[{index}].shape");
        shape::byte_count(shape, self.datatype)
            .map_err(|problem| InputError::BadShape { field: field(), problem })?;
        if !shape::fits(&self.shape, shape) {
            return Err(InputError::Shape {
                field: field(),
                expected: self.shape.clone(),
                actual: shape.to_vec(),
            });
        }
        Ok(())
    }
}
