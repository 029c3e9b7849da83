//! The answer of a job and its byte form: what a gateway stores, and what a sealed result opens to.

use ailayer_primitives::Digest;
use thiserror::Error;

use crate::digest::{DigestError, embed_output_rows};
use crate::tensor::Tensors;

/// First byte of the byte form of embeddings.
const ROWS: u8 = 1;
/// First byte of the byte form of tensors.
const TENSORS: u8 = 2;
/// The most rows or dimensions that are read back; far above every limit of an order.
const MAX_SIDE: usize = 1 << 20;

/// One vector of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The numbers, all finite.
    pub values: Vec<f32>,
    /// The tokens of its text.
    pub input_tokens: u32,
    /// True if the text was cut.
    pub truncated: bool,
}

impl AsRef<[f32]> for Row {
    fn as_ref(&self) -> &[f32] {
        &self.values
    }
}

/// An answer that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AnswerError {
    /// No rows, rows without numbers, or of different lengths.
    #[error("the rows have no common length above zero")]
    Shape,
    /// The model answered a number that is infinite or none.
    #[error("row {0} holds a number that is not finite")]
    NotFinite(usize),
    /// Bytes that are not an answer.
    #[error("the bytes are no answer")]
    Malformed,
}

/// What a job has brought.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// One row a text, in order.
    Rows(Vec<Row>),
    /// The outputs of a tensor model.
    Tensors(Tensors),
}

/// The answer of a job, with the digest that its receipt commits to.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    output: Output,
    digest: Digest,
}

impl Answer {
    /// Checks embeddings and takes their digest.
    pub fn try_new(rows: Vec<Row>) -> Result<Self, AnswerError> {
        if rows.first().is_none_or(|row| row.values.is_empty()) {
            return Err(AnswerError::Shape);
        }
        if let Some(index) = rows.iter().position(|row| row.values.iter().any(|value| !value.is_finite())) {
            return Err(AnswerError::NotFinite(index));
        }
        let digest = embed_output_rows(&rows).map_err(|_: DigestError| AnswerError::Shape)?;
        Ok(Self { output: Output::Rows(rows), digest })
    }

    /// Takes the digest of what a tensor model has answered.
    pub fn of_tensors(tensors: Tensors) -> Self {
        Self { digest: tensors.digest(), output: Output::Tensors(tensors) }
    }

    /// What it says.
    pub const fn output(&self) -> &Output {
        &self.output
    }

    /// The same, to be kept.
    pub fn into_output(self) -> Output {
        self.output
    }

    /// The vectors of embeddings; none of tensors.
    pub fn vectors(&self) -> Vec<&[f32]> {
        match &self.output {
            Output::Rows(rows) => rows.iter().map(AsRef::as_ref).collect(),
            Output::Tensors(_) => Vec::new(),
        }
    }

    /// How many rows or tensors it has: a receipt's `usage.rows`.
    pub fn rows(&self) -> usize {
        match &self.output {
            Output::Rows(rows) => rows.len(),
            Output::Tensors(tensors) => tensors.as_slice().len(),
        }
    }

    /// The digest the receipt commits to.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The bytes of its numbers, or of its tensors' contents.
    pub fn content_bytes(&self) -> u64 {
        let bytes = |row: &Row| u64::try_from(row.values.len()).unwrap_or(u64::MAX).saturating_mul(4);
        match &self.output {
            Output::Rows(rows) => rows.iter().map(bytes).fold(0, u64::saturating_add),
            Output::Tensors(tensors) => tensors.content_bytes(),
        }
    }

    /// The tokens of all texts together; none of tensors.
    pub fn input_tokens(&self) -> u64 {
        match &self.output {
            Output::Rows(rows) => rows.iter().map(|row| u64::from(row.input_tokens)).sum(),
            Output::Tensors(_) => 0,
        }
    }

    /// The byte form. Of embeddings: 1, rows (u32le), dimensions (u32le), then for each row tokens (u32le), truncated (u8) and the
    /// numbers (f32le). Of tensors: 2, and [`Tensors::write`].
    pub fn to_bytes(&self) -> Vec<u8> {
        match &self.output {
            Output::Rows(rows) => write_rows(rows),
            Output::Tensors(tensors) => {
                let mut bytes = vec![TENSORS];
                tensors.write(&mut bytes);
                bytes
            }
        }
    }

    /// Reads the byte form and takes the digest anew, so that a damaged row is noticed.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, AnswerError> {
        let mut rest = bytes;
        match take::<1>(&mut rest)? {
            [ROWS] => read_rows(rest),
            [TENSORS] => {
                let tensors = Tensors::read(&mut rest).map_err(|_| AnswerError::Malformed)?;
                if rest.is_empty() { Ok(Self::of_tensors(tensors)) } else { Err(AnswerError::Malformed) }
            }
            _ => Err(AnswerError::Malformed),
        }
    }
}

fn write_rows(rows: &[Row]) -> Vec<u8> {
    let dimensions = rows.first().map_or(0, |row| row.values.len());
    let side = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    let mut bytes = vec![ROWS];
    bytes.extend(side(rows.len()));
    bytes.extend(side(dimensions));
    for row in rows {
        bytes.extend(row.input_tokens.to_le_bytes());
        bytes.push(u8::from(row.truncated));
        row.values.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
    }
    bytes
}

fn read_rows(mut rest: &[u8]) -> Result<Answer, AnswerError> {
    let (count, dimensions) = (side(&mut rest)?, side(&mut rest)?);
    let row_bytes =
        dimensions.checked_mul(4).and_then(|it| it.checked_add(5)).ok_or(AnswerError::Malformed)?;
    if count.checked_mul(row_bytes) != Some(rest.len()) {
        return Err(AnswerError::Malformed);
    }
    let rows = (0..count).map(|_| read_row(&mut rest, dimensions)).collect::<Result<_, _>>()?;
    Answer::try_new(rows)
}

fn read_row(rest: &mut &[u8], dimensions: usize) -> Result<Row, AnswerError> {
    let input_tokens = u32::from_le_bytes(take(rest)?);
    let truncated = take::<1>(rest)? != [0];
    let values = (0..dimensions).map(|_| take(rest).map(f32::from_le_bytes)).collect::<Result<_, _>>()?;
    Ok(Row { values, input_tokens, truncated })
}

fn side(rest: &mut &[u8]) -> Result<usize, AnswerError> {
    let length = usize::try_from(u32::from_le_bytes(take(rest)?)).map_err(|_| AnswerError::Malformed)?;
    if length > MAX_SIDE { Err(AnswerError::Malformed) } else { Ok(length) }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], AnswerError> {
    let (taken, left) = rest.split_first_chunk::<N>().ok_or(AnswerError::Malformed)?;
    *rest = left;
    Ok(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Tensor;

    fn row(values: &[f32]) -> Row {
        Row { values: values.to_vec(), input_tokens: 4, truncated: true }
    }

    #[test]
    fn the_stored_form_round_trips_bit_for_bit() {
        let answer = Answer::try_new(vec![row(&[0.1, -0.0]), row(&[f32::MIN_POSITIVE, 3.5])]).unwrap();
        let again = Answer::from_bytes(&answer.to_bytes()).unwrap();
        assert_eq!(again.digest(), answer.digest());
        assert_eq!(again, answer);
        assert_eq!(again.input_tokens(), 8);
    }

    fn tensors() -> Answer {
        let contents = 0.5_f32.to_le_bytes().to_vec();
        let tensor = Tensor { name: "y".to_owned(), datatype: "FP32".to_owned(), shape: vec![1], contents };
        Answer::of_tensors(Tensors::try_new(vec![tensor]).unwrap())
    }

    #[test]
    fn tensors_round_trip_too() {
        let again = Answer::from_bytes(&tensors().to_bytes()).unwrap();
        assert_eq!((again.rows(), again.input_tokens()), (1, 0));
        assert_eq!(again, tensors());
    }

    #[test]
    fn damaged_bytes_are_refused() {
        for bytes in [Answer::try_new(vec![row(&[1.0])]).unwrap().to_bytes(), tensors().to_bytes()] {
            for length in 0..bytes.len() {
                assert_eq!(Answer::from_bytes(&bytes[..length]), Err(AnswerError::Malformed));
            }
            let longer = [bytes.as_slice(), &[0]].concat();
            assert_eq!(Answer::from_bytes(&longer), Err(AnswerError::Malformed));
        }
        assert_eq!(Answer::from_bytes(&[3]), Err(AnswerError::Malformed));
        let huge = [&[ROWS][..], &u32::MAX.to_le_bytes(), &u32::MAX.to_le_bytes()].concat();
        assert_eq!(Answer::from_bytes(&huge), Err(AnswerError::Malformed));
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        assert_eq!(Answer::try_new(vec![]), Err(AnswerError::Shape));
        assert_eq!(Answer::try_new(vec![row(&[])]), Err(AnswerError::Shape));
        assert_eq!(Answer::try_new(vec![row(&[1.0]), row(&[1.0, 2.0])]), Err(AnswerError::Shape));
        assert_eq!(Answer::try_new(vec![row(&[1.0]), row(&[f32::NAN])]), Err(AnswerError::NotFinite(1)));
        assert_eq!(Answer::try_new(vec![row(&[f32::INFINITY])]), Err(AnswerError::NotFinite(0)));
    }
}
