//! What runs before a version is ready.

use crate::domain::datatype::Datatype;

/// The most samples a file may list.
pub const MAX_SAMPLES: usize = 64;
/// The most times a sample may run.
pub const MAX_COUNT: u32 = 1_000;

/// One request that runs before the version is ready.
#[derive(Debug, Clone, PartialEq)]
pub struct WarmUpSample {
    /// Names the sample in logs and errors; unique in its model.
    pub name: String,
    /// The rows of the batch: the texts, or the first dimension of every tensor; from 1. With literal shapes always 1,
    /// and then nothing is put in front of the shapes.
    pub rows: usize,
    /// How often it runs; from 1.
    pub count: u32,
    /// What it holds.
    pub data: WarmUpData,
}

/// What a sample holds.
#[derive(Debug, Clone, PartialEq)]
pub enum WarmUpData {
    /// The same text in every row; text models only.
    Text(String),
    /// Every input of the graph.
    Tensors(Vec<WarmUpInput>),
}

/// One input of a sample.
#[derive(Debug, Clone, PartialEq)]
pub struct WarmUpInput {
    /// The input's name.
    pub name: String,
    /// Its data type.
    pub datatype: Datatype,
    /// Its shape without the batch; no dimension is negative.
    pub shape: Vec<i64>,
    /// Its elements.
    pub source: WarmUpSource,
}

impl super::ModelSettings {
    /// The files that samples name.
    pub fn warm_up_files(&self) -> impl Iterator<Item = &str> {
        let tensors = self.warm_up.iter().flat_map(|sample| match &sample.data {
            WarmUpData::Text(_) => [].as_slice(),
            WarmUpData::Tensors(inputs) => inputs.as_slice(),
        });
        tensors.filter_map(|input| match &input.source {
            WarmUpSource::File(name) => Some(name.as_str()),
            WarmUpSource::Zero | WarmUpSource::Random => None,
        })
    }
}

/// Where a sample's elements come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WarmUpSource {
    /// Zeros.
    Zero,
    /// Seeded noise: the same at every start. Integers stay small enough to index a vocabulary of 100.
    Random,
    /// Raw little-endian elements of one row, from the file `warmup/<name>` in the model's folder.
    File(String),
}
