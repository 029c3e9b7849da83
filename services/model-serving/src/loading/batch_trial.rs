//! Tries out whether rows of a tensor model may share a run: what cannot be shown is refused.
//!
//! Two rows run alone, and together in both orders; every answer must be what it was alone. Where the settings pad rows,
//! the same with rows of two lengths, which also tells which dimensions of the outputs are as long as the rows.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::noise::noise;
use crate::cancel::CancelToken;
use crate::domain::batch::{Padding, Trimmed, gather, scatter};
use crate::domain::datatype::Datatype;
use crate::domain::settings::{ModelSettings, PadFill, WarmUpData, WarmUpInput, WarmUpSource};
use crate::domain::shape::element_count;
use crate::domain::signature::{Signature, TensorSpec};
use crate::domain::tensor::{NamedTensor, Tensor, TensorData};
use crate::ports::{InferenceSession, SessionError};

/// The size of dimensions that take any, where no sample says one.
const FREE: i64 = 4;

/// What was found out.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    /// Why rows must not share a run; none if they may.
    pub refused: Option<String>,
    /// How rows of unequal length share one, if the settings want that and it works.
    pub padding: Option<Padding>,
    /// Why they do not, although the settings want it.
    pub padding_refused: Option<String>,
}

/// Two rows of noise or of a sample.
struct Rows([Vec<NamedTensor>; 2]);

/// Where the elements of the rows come from.
#[derive(Debug, Clone, Copy)]
enum Source {
    /// Made up; whole numbers lie under this.
    Noise(u32),
    /// The files of a sample, for the second row backwards.
    Files,
}

/// Not to be shown, and why; or the load is cancelled.
#[derive(Debug)]
enum Unproven {
    Because(String),
    Cancelled,
}

/// Runs the rows. Blocks; an error only if the token is cancelled.
///
/// `files` are the samples' files by name.
pub(super) fn run(
    session: &mut dyn InferenceSession,
    settings: &ModelSettings,
    files: &BTreeMap<String, Bytes>,
    cancel: &CancelToken,
) -> Result<Found, SessionError> {
    let signature = session.signature().clone();
    let outputs: Vec<String> = signature.outputs.iter().map(|spec| spec.name.clone()).collect();
    let padding = Padding::of(&settings.batching.padded_inputs, &signature);
    let mut trial = Trial { session, outputs, cancel };
    let maker = Maker { settings, signature: &signature, files, padding: padding.as_ref() };
    let (refused, source) = match trial.first_that_runs(&maker) {
        Ok((rows, alone, source)) => (trial.equal(&rows, &alone, None).err(), Some(source)),
        Err(unproven) => (Some(unproven), None),
    };
    let refused = reason(refused)?;
    let (mut padded, mut padding_refused) = (None, None);
    if let (Some(padding), None, Some(source)) = (&padding, &refused, source) {
        match trial.unequal(&maker, padding, source) {
            Ok(padding) => padded = Some(padding),
            Err(unproven) => padding_refused = reason(Some(unproven))?,
        }
    }
    Ok(Found { refused, padding: padded, padding_refused })
}

fn reason(unproven: Option<Unproven>) -> Result<Option<String>, SessionError> {
    match unproven {
        None => Ok(None),
        Some(Unproven::Because(reason)) => Ok(Some(reason)),
        Some(Unproven::Cancelled) => Err(SessionError::Cancelled),
    }
}

struct Trial<'a> {
    session: &'a mut dyn InferenceSession,
    outputs: Vec<String>,
    cancel: &'a CancelToken,
}

impl Trial<'_> {
    fn run(&mut self, inputs: &[NamedTensor], calls: usize) -> Result<Vec<NamedTensor>, Unproven> {
        self.session.run(inputs, &self.outputs, calls, self.cancel).map_err(|error| match error {
            SessionError::Cancelled => Unproven::Cancelled,
            error => Unproven::Because(crate::error::chain(&error)),
        })
    }

    fn alone(&mut self, rows: &Rows) -> Result<[Vec<NamedTensor>; 2], Unproven> {
        let Rows([first, second]) = rows;
        Ok([self.run(first, 1)?, self.run(second, 1)?])
    }

    /// The first kind of rows that the graph takes, and what it answers to each alone.
    fn first_that_runs(
        &mut self,
        maker: &Maker<'_>,
    ) -> Result<(Rows, [Vec<NamedTensor>; 2], Source), Unproven> {
        let mut why = None;
        for source in [Source::Noise(100), Source::Noise(2), Source::Files] {
            let outcome = maker.rows(source, [None, None]).map_err(Unproven::Because);
            match outcome.and_then(|rows| Ok((self.alone(&rows)?, rows))) {
                Ok((alone, rows)) => return Ok((rows, alone, source)),
                Err(Unproven::Cancelled) => return Err(Unproven::Cancelled),
                Err(Unproven::Because(reason)) => why = why.or(Some(reason)),
            }
        }
        let why = why.unwrap_or_default();
        Err(Unproven::Because(format!("made-up rows do not run, give a warm_up sample with files ({why})")))
    }

    /// Rows together against rows alone, in both orders.
    fn equal(
        &mut self,
        rows: &Rows,
        alone: &[Vec<NamedTensor>; 2],
        padding: Option<&Padding>,
    ) -> Result<(), Unproven> {
        for order in [[0, 1], [1, 0]] {
            let pick = |index: usize| rows.0.get(index).map_or(&[][..], Vec::as_slice);
            let requests = order.map(pick);
            let answers = self.together(&requests, padding)?;
            for (index, answer) in order.into_iter().zip(answers) {
                let expected = alone.get(index).map_or(&[][..], Vec::as_slice);
                for (expected, answer) in expected.iter().zip(&answer) {
                    if !expected.tensor.agrees(&answer.tensor) {
                        return Err(Unproven::Because(format!(
                            "a row of '{}' is another beside other rows than alone",
                            answer.name
                        )));
                    }
                }
            }
        }
        Ok(())
    }

    fn together(
        &mut self,
        requests: &[&[NamedTensor]],
        padding: Option<&Padding>,
    ) -> Result<Vec<Vec<NamedTensor>>, Unproven> {
        let fault = |error| Unproven::Because(format!("rows do not go together: {error}"));
        let outputs = self.run(&gather(requests, padding).map_err(fault)?, requests.len())?;
        scatter(outputs, &vec![1; requests.len()], &widths(requests, padding), padding).map_err(fault)
    }

    /// Rows of two lengths, after it was found out which dimensions of the outputs follow.
    fn unequal(&mut self, maker: &Maker<'_>, padding: &Padding, source: Source) -> Result<Padding, Unproven> {
        let long = maker.usual_width().max(2);
        let short = (long / 2).max(1);
        let rows = maker.rows(source, [Some(short), Some(long)]).map_err(Unproven::Because)?;
        let alone = self.alone(&rows)?;
        let [of_short, of_long] = &alone;
        let padding = padding.clone().with_outputs(follow(of_short, of_long, short, long)?);
        self.equal(&rows, &alone, Some(&padding))?;
        Ok(padding)
    }
}

/// The lengths of requests' rows; 0 where nothing is padded.
fn widths(requests: &[&[NamedTensor]], padding: Option<&Padding>) -> Vec<usize> {
    let width = |inputs: &&[NamedTensor]| padding.and_then(|padding| padding.width_of(inputs)).unwrap_or(0);
    requests.iter().map(width).collect()
}

/// The dimensions of outputs that are as long as the rows.
fn follow(
    of_short: &[NamedTensor],
    of_long: &[NamedTensor],
    short: i64,
    long: i64,
) -> Result<Vec<Trimmed>, Unproven> {
    let mut follow = Vec::new();
    for (shorter, longer) in of_short.iter().zip(of_long) {
        let dimensions = shorter.tensor.shape().iter().zip(longer.tensor.shape());
        for (axis, (shorter_by, longer_by)) in dimensions.enumerate() {
            match (*shorter_by, *longer_by) {
                (a, b) if a == b => {}
                (a, b) if a == short && b == long => {
                    follow.push(Trimmed { name: longer.name.clone(), axis });
                }
                _ => {
                    let name = &longer.name;
                    return Err(Unproven::Because(format!(
                        "a dimension of '{name}' changes with the rows' length and is not that length"
                    )));
                }
            }
        }
    }
    Ok(follow)
}

/// Makes rows.
struct Maker<'a> {
    settings: &'a ModelSettings,
    signature: &'a Signature,
    files: &'a BTreeMap<String, Bytes>,
    padding: Option<&'a Padding>,
}

impl Maker<'_> {
    /// Two rows, each with padded dimensions of a length; the usual one where none is given.
    fn rows(&self, source: Source, lengths: [Option<i64>; 2]) -> Result<Rows, String> {
        let [first, second] = lengths;
        let row = |number: u32, length: Option<i64>| {
            let one = |spec: &TensorSpec| self.input(spec, source, number, length);
            self.signature.inputs.iter().map(one).collect::<Result<Vec<_>, _>>()
        };
        Ok(Rows([row(0, first)?, row(1, second)?]))
    }

    /// The length of padded dimensions where none is given: that of the first sample.
    fn usual_width(&self) -> i64 {
        let widths = self.signature.inputs.iter().filter_map(|spec| {
            let (axis, _) = self.padding?.axis_of(&spec.name)?;
            self.shape(spec, None).get(axis).copied()
        });
        widths.max().unwrap_or(FREE)
    }

    fn sample(&self, name: &str) -> Option<&WarmUpInput> {
        let samples = self.settings.warm_up.iter().filter_map(|sample| match &sample.data {
            WarmUpData::Tensors(inputs) => Some(inputs),
            WarmUpData::Text(_) => None,
        });
        samples.flatten().find(|input| input.name == name)
    }

    /// The shape of one row.
    fn shape(&self, spec: &TensorSpec, length: Option<i64>) -> Vec<i64> {
        let mut shape = match self.sample(&spec.name) {
            Some(sample) => self.settings.warm_up_shape(sample, 1),
            None => spec.shape.iter().map(|size| if *size < 0 { FREE } else { *size }).collect(),
        };
        if let Some(batch) = shape.first_mut() {
            *batch = 1;
        }
        let axis = self.padding.and_then(|padding| padding.axis_of(&spec.name));
        if let (Some((axis, _)), Some(length)) = (axis, length)
            && let Some(size) = shape.get_mut(axis)
        {
            *size = length;
        }
        shape
    }

    fn input(
        &self,
        spec: &TensorSpec,
        source: Source,
        number: u32,
        length: Option<i64>,
    ) -> Result<NamedTensor, String> {
        let shape = self.shape(spec, length);
        let count = element_count(&shape).map_err(|error| error.to_string())?;
        let fill = self.padding.and_then(|padding| padding.axis_of(&spec.name)).map(|(_, fill)| fill);
        let bytes = match (fill, source) {
            // Elements that count, at positions from 0: what such inputs hold.
            (Some(PadFill::Mask), _) => whole(spec.datatype, count, |_| 1),
            (Some(PadFill::Position), _) => whole(spec.datatype, count, |index| index),
            (_, Source::Noise(most)) => noise(spec.datatype, count, number.wrapping_add(2), most),
            (_, Source::Files) => self.sampled(spec, count, number)?,
        };
        let data = TensorData::from_raw(spec.datatype, count, bytes.into());
        let data = data.map_err(|error| error.to_string())?;
        let tensor = Tensor::try_new(shape, data).map_err(|error| error.to_string())?;
        Ok(NamedTensor { name: spec.name.clone(), tensor })
    }

    /// A sample's elements as far as they are needed, forwards or backwards.
    fn sampled(&self, spec: &TensorSpec, count: usize, number: u32) -> Result<Vec<u8>, String> {
        let sample = self.sample(&spec.name).map(|sample| &sample.source);
        let file = match sample {
            Some(WarmUpSource::File(name)) => self.files.get(name),
            _ => None,
        };
        let size = spec.datatype.size();
        let (Some(file), Some(size)) = (file, size) else {
            return Ok(noise(spec.datatype, count, number.wrapping_add(2), 2));
        };
        let elements: Vec<&[u8]> = file.chunks_exact(size).take(count).collect();
        if elements.len() < count {
            return Err(format!("the sample's file of '{}' is too short", spec.name));
        }
        Ok(if number == 0 {
            elements.concat()
        } else {
            elements.into_iter().rev().collect::<Vec<_>>().concat()
        })
    }
}

/// Raw whole numbers of a type.
fn whole(datatype: Datatype, count: usize, number: impl Fn(usize) -> usize) -> Vec<u8> {
    let numbers = (0..count).map(|index| u16::try_from(number(index)).unwrap_or(u16::MAX));
    numbers
        .flat_map(|number| match datatype {
            Datatype::Bool => vec![u8::from(number != 0)],
            Datatype::Fp16 => half::f16::from_f32(f32::from(number)).to_le_bytes().to_vec(),
            Datatype::Bf16 => half::bf16::from_f32(f32::from(number)).to_le_bytes().to_vec(),
            Datatype::Fp32 => f32::from(number).to_le_bytes().to_vec(),
            Datatype::Fp64 => f64::from(number).to_le_bytes().to_vec(),
            integer => {
                u64::from(number).to_le_bytes().into_iter().take(integer.size().unwrap_or(8)).collect()
            }
        })
        .collect()
}
