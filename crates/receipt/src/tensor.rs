//! Tensors as they are ordered, stored, digested and answered: raw and row-major, as the Open Inference Protocol sends them.

use ailayer_primitives::Digest;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::statement::MAX_TEXT_BYTES;

/// Domain of [`Inference::digest`].
const INPUT: &[u8] = b"ailayer.infer.input.v1\0";
/// Domain of [`Tensors::digest`].
const OUTPUT: &[u8] = b"ailayer.infer.output.v1\0";
/// The most dimensions of a tensor.
const MAX_RANK: usize = 16;
/// The most tensors, or names of outputs, that are read back; far above every limit of an order.
const MAX_COUNT: usize = 1 << 10;

/// A tensor that is none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TensorError {
    /// No tensors.
    #[error("there are no tensors")]
    None,
    /// Too many tensors.
    #[error("there are more than {MAX_COUNT} tensors")]
    TooMany,
    /// Empty, too long, or with control characters.
    #[error("the name of tensor {0} must be 1 to {MAX_TEXT_BYTES} bytes without control characters")]
    Name(usize),
    /// Two tensors of one name.
    #[error("two tensors are named {0:?}")]
    Twice(String),
    /// Not a data type of the protocol.
    #[error("tensor {0:?} is of no known data type")]
    Datatype(String),
    /// Too many dimensions, or more elements than can be.
    #[error("tensor {0:?} has an impossible shape")]
    Shape(String),
    /// The contents are not as long as shape and data type want.
    #[error("tensor {name:?} has {found} bytes, and its shape and data type want {wanted}")]
    Contents {
        /// Which tensor.
        name: String,
        /// Its length in bytes.
        found: usize,
        /// What it should be.
        wanted: u64,
    },
    /// Elements of text that are not each behind their length, or not as many as the shape wants.
    #[error(
        "the elements of tensor {0:?} are not each behind their length, or not as many as its shape wants"
    )]
    Elements(String),
    /// Bytes that are not the form of tensors.
    #[error("the bytes are no tensors")]
    Malformed,
}

/// A named tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// Its name in the model.
    pub name: String,
    /// Its data type as the Open Inference Protocol names it, e.g. `FP32`.
    pub datatype: String,
    /// Its dimensions. None for a single element.
    pub shape: Vec<u64>,
    /// Its elements, row-major and little-endian; of `BYTES` each behind its length (u32le).
    pub contents: Vec<u8>,
}

impl Tensor {
    /// Checks that data type, shape and contents go together. `index` names a tensor without a name.
    fn check(&self, index: usize) -> Result<(), TensorError> {
        if self.name.is_empty() || self.name.len() > MAX_TEXT_BYTES || self.name.chars().any(char::is_control)
        {
            return Err(TensorError::Name(index));
        }
        let impossible = || TensorError::Shape(self.name.clone());
        if self.shape.len() > MAX_RANK {
            return Err(impossible());
        }
        let elements = self.shape.iter().try_fold(1_u64, |product, side| product.checked_mul(*side));
        let elements = elements.ok_or_else(impossible)?;
        if self.datatype == "BYTES" {
            return self.check_elements(elements);
        }
        let size = element_bytes(&self.datatype).ok_or_else(|| TensorError::Datatype(self.name.clone()))?;
        let wanted = elements.checked_mul(size).ok_or_else(impossible)?;
        let found = self.contents.len();
        if u64::try_from(found) == Ok(wanted) {
            return Ok(());
        }
        Err(TensorError::Contents { name: self.name.clone(), found, wanted })
    }

    fn check_elements(&self, elements: u64) -> Result<(), TensorError> {
        let (mut rest, mut found) = (self.contents.as_slice(), 0_u64);
        while let Some((length, behind)) = rest.split_first_chunk::<4>() {
            let length = usize::try_from(u32::from_le_bytes(*length)).ok();
            let behind = length.and_then(|length| behind.get(length..));
            rest = behind.ok_or_else(|| TensorError::Elements(self.name.clone()))?;
            found = found.saturating_add(1);
        }
        if rest.is_empty() && found == elements {
            Ok(())
        } else {
            Err(TensorError::Elements(self.name.clone()))
        }
    }
}

/// The bytes of one element; none for `BYTES` and for what is no data type.
pub fn element_bytes(datatype: &str) -> Option<u64> {
    match datatype {
        "BOOL" | "INT8" | "UINT8" => Some(1),
        "INT16" | "UINT16" | "FP16" | "BF16" => Some(2),
        "INT32" | "UINT32" | "FP32" => Some(4),
        "INT64" | "UINT64" | "FP64" => Some(8),
        _ => None,
    }
}

/// What a model says of a tensor that it takes or gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// Its name.
    pub name: String,
    /// Its data type.
    pub datatype: String,
    /// Its dimensions; none for one of any length.
    pub shape: Vec<Option<u64>>,
}

impl TensorSpec {
    fn check(&self, tensor: &Tensor) -> Result<(), Misfit> {
        if tensor.datatype != self.datatype {
            return Err(Misfit::Datatype { name: self.name.clone(), wanted: self.datatype.clone() });
        }
        let fits = |(wanted, found): (&Option<u64>, &u64)| wanted.is_none_or(|wanted| wanted == *found);
        if tensor.shape.len() == self.shape.len() && self.shape.iter().zip(&tensor.shape).all(fits) {
            return Ok(());
        }
        let side = |side: &Option<u64>| side.map_or_else(|| "any".to_owned(), |side| side.to_string());
        let wanted = self.shape.iter().map(side).collect::<Vec<_>>().join(", ");
        Err(Misfit::Shape { name: self.name.clone(), wanted })
    }
}

/// Why a model does not take what it is asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Misfit {
    /// An input that the model does not have.
    #[error("the model has no input {0:?}")]
    NoInput(String),
    /// An input that is not there.
    #[error("input {0:?} is missing")]
    Missing(String),
    /// Another data type.
    #[error("input {name:?} must be of type {wanted}")]
    Datatype {
        /// Which input.
        name: String,
        /// What it should be.
        wanted: String,
    },
    /// Another shape.
    #[error("input {name:?} must have the shape [{wanted}]")]
    Shape {
        /// Which input.
        name: String,
        /// What it should be.
        wanted: String,
    },
    /// An output that the model does not have, or one that is wanted twice.
    #[error("the model has no output {0:?}, or it is wanted twice")]
    NoOutput(String),
}

/// Tensors with different names, each whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensors(Vec<Tensor>);

impl Tensors {
    /// Checks them.
    pub fn try_new(tensors: Vec<Tensor>) -> Result<Self, TensorError> {
        match tensors.len() {
            0 => return Err(TensorError::None),
            count if count > MAX_COUNT => return Err(TensorError::TooMany),
            _ => {}
        }
        tensors.iter().enumerate().try_for_each(|(index, tensor)| tensor.check(index))?;
        let mut names: Vec<&str> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
        names.sort_unstable();
        if let Some([twice, _]) = names.array_windows::<2>().find(|[one, next]| one == next) {
            return Err(TensorError::Twice((*twice).to_owned()));
        }
        Ok(Self(tensors))
    }

    /// In order.
    pub fn as_slice(&self) -> &[Tensor] {
        &self.0
    }

    /// The tensors themselves.
    pub fn into_vec(self) -> Vec<Tensor> {
        self.0
    }

    /// The bytes of all contents together: what is metered.
    pub fn content_bytes(&self) -> u64 {
        self.0.iter().map(|tensor| u64::try_from(tensor.contents.len()).unwrap_or(u64::MAX)).sum()
    }

    /// The digest of an output: SHA-256("ailayer.infer.output.v1\0" || the byte form).
    pub fn digest(&self) -> Digest {
        let mut hash = Sha256::new().chain_update(OUTPUT);
        self.each_part(&mut |part| hash.update(part));
        Digest::new(hash.finalize().into())
    }

    /// The byte form: u32be count, then for each tensor its name and data type, u32be rank, u64be dimensions, and its contents;
    /// name, data type and contents each behind its length (u64be).
    pub fn write(&self, bytes: &mut Vec<u8>) {
        self.each_part(&mut |part| bytes.extend_from_slice(part));
    }

    /// The byte form piece by piece: nothing is copied to be digested.
    fn each_part(&self, to: &mut impl FnMut(&[u8])) {
        to(&count(self.0.len()));
        for tensor in &self.0 {
            part(to, tensor.name.as_bytes());
            part(to, tensor.datatype.as_bytes());
            to(&count(tensor.shape.len()));
            tensor.shape.iter().for_each(|side| to(&side.to_be_bytes()));
            part(to, &tensor.contents);
        }
    }

    /// Reads the byte form from the front of `rest`, and checks the tensors.
    pub fn read(rest: &mut &[u8]) -> Result<Self, TensorError> {
        let tensors = (0..read_count(rest)?).map(|_| read_tensor(rest));
        Self::try_new(tensors.collect::<Result<_, _>>()?)
    }
}

/// What a tensor model is asked: its inputs, and which of its outputs are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inference {
    /// The inputs.
    pub inputs: Tensors,
    /// Names of outputs; none for all of them.
    pub outputs: Vec<String>,
}

impl Inference {
    /// Checks that a model with these inputs and outputs takes it. What only the model can know, such as which values make sense, is
    /// not checked.
    pub fn check(&self, inputs: &[TensorSpec], outputs: &[TensorSpec]) -> Result<(), Misfit> {
        let given = self.inputs.as_slice();
        for tensor in given {
            let spec = inputs.iter().find(|spec| spec.name == tensor.name);
            spec.ok_or_else(|| Misfit::NoInput(tensor.name.clone()))?.check(tensor)?;
        }
        let is_given = |spec: &&TensorSpec| given.iter().any(|tensor| tensor.name == spec.name);
        if let Some(missing) = inputs.iter().find(|spec| !is_given(spec)) {
            return Err(Misfit::Missing(missing.name.clone()));
        }
        for (index, name) in self.outputs.iter().enumerate() {
            let is_there = outputs.iter().any(|spec| spec.name == *name);
            if !is_there || self.outputs.iter().take(index).any(|earlier| earlier == name) {
                return Err(Misfit::NoOutput(name.clone()));
            }
        }
        Ok(())
    }

    /// The digest of a request: SHA-256("ailayer.infer.input.v1\0" || [`Self::to_bytes`]).
    pub fn digest(&self) -> Digest {
        let mut hash = Sha256::new().chain_update(INPUT);
        self.each_part(&mut |part| hash.update(part));
        Digest::new(hash.finalize().into())
    }

    /// The byte form: that of the inputs, then u32be count of the wanted outputs and each name behind its length (u64be).
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.each_part(&mut |part| bytes.extend_from_slice(part));
        bytes
    }

    fn each_part(&self, to: &mut impl FnMut(&[u8])) {
        self.inputs.each_part(to);
        to(&count(self.outputs.len()));
        self.outputs.iter().for_each(|name| part(to, name.as_bytes()));
    }

    /// Reads the byte form.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TensorError> {
        let mut rest = bytes;
        let inputs = Tensors::read(&mut rest)?;
        let outputs = (0..read_count(&mut rest)?).map(|_| read_text(&mut rest)).collect::<Result<_, _>>()?;
        if rest.is_empty() { Ok(Self { inputs, outputs }) } else { Err(TensorError::Malformed) }
    }
}

/// Counts are bounded far below.
fn count(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}

fn part(to: &mut impl FnMut(&[u8]), part: &[u8]) {
    to(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
    to(part);
}

fn read_tensor(rest: &mut &[u8]) -> Result<Tensor, TensorError> {
    let (name, datatype) = (read_text(rest)?, read_text(rest)?);
    let rank = read_count(rest)?;
    let shape = (0..rank).map(|_| Ok(u64::from_be_bytes(take(rest)?))).collect::<Result<_, TensorError>>()?;
    Ok(Tensor { name, datatype, shape, contents: read_part(rest)?.to_vec() })
}

fn read_count(rest: &mut &[u8]) -> Result<usize, TensorError> {
    let count = usize::try_from(u32::from_be_bytes(take(rest)?)).map_err(|_| TensorError::Malformed)?;
    if count > MAX_COUNT { Err(TensorError::Malformed) } else { Ok(count) }
}

fn read_text(rest: &mut &[u8]) -> Result<String, TensorError> {
    String::from_utf8(read_part(rest)?.to_vec()).map_err(|_| TensorError::Malformed)
}

fn read_part<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], TensorError> {
    let length = usize::try_from(u64::from_be_bytes(take(rest)?)).map_err(|_| TensorError::Malformed)?;
    let (part, left) = rest.split_at_checked(length).ok_or(TensorError::Malformed)?;
    *rest = left;
    Ok(part)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], TensorError> {
    let (taken, left) = rest.split_first_chunk::<N>().ok_or(TensorError::Malformed)?;
    *rest = left;
    Ok(*taken)
}

#[cfg(test)]
mod tests;
