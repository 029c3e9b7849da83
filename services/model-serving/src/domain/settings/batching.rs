//! What runs together.

use std::time::Duration;

use serde::Deserialize;

/// Enough for 128 rows of 128 tokens; the table of service times lowers it where big batches lose.
pub const DEFAULT_MAX_BATCH_TOKENS: usize = 16_384;
/// The most rows a file may ask for.
pub const MAX_ROWS: usize = 4_096;
/// The most tokens a file may ask for; bounds the memory of one run.
pub const MAX_TOKENS: usize = 16 * 1024 * 1024;
/// The longest a row may be made to wait for company.
pub const MAX_DELAY: Duration = Duration::from_secs(10);

/// What runs together in one call to the engine.
#[derive(Debug, Clone, PartialEq)]
pub struct Batching {
    /// The most rows of a batch; 1 runs every request alone, whatever rows it brings itself.
    pub max_rows: usize,
    /// The most rows of one request; none leaves it to the message limit. Triton's `max_batch_size`.
    pub max_request_rows: Option<usize>,
    /// The most tokens of a batch: rows times padded width. Counts for text models only.
    pub max_tokens: usize,
    /// How long an entry may wait for company while an instance is idle. 0: never, because on a CPU waiting gains
    /// nothing; while the instances are busy, batches fill by themselves.
    pub max_delay: Duration,
    /// The first dimension is no batch: Triton's `max_batch_size: 0`. Requests never share a run.
    pub literal_shapes: bool,
    /// Inputs whose rows may be made equally long. Empty: only rows of the same shape share a batch.
    pub padded_inputs: Vec<PaddedInput>,
}

/// How an input's rows are made equally long.
#[derive(Debug, Clone, PartialEq)]
pub struct PaddedInput {
    /// The input's name.
    pub name: String,
    /// Where the padding goes.
    pub side: PadSide,
    /// What it is.
    pub fill: PadFill,
}

/// Where padding goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PadSide {
    /// After the row's own elements.
    #[default]
    Right,
    /// Before the row's own elements.
    Left,
}

/// What padding is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PadFill {
    /// This number, converted to the input's data type.
    Value(f64),
    /// 0: the input is a mask, 1 at elements that count.
    Mask,
    /// The row's nearest element again: the input holds positions, and any other number could leave the graph's table.
    Position,
}

impl Batching {
    /// Every request alone.
    pub const fn off() -> Self {
        Self {
            max_rows: 1,
            max_request_rows: None,
            max_tokens: DEFAULT_MAX_BATCH_TOKENS,
            max_delay: Duration::ZERO,
            literal_shapes: false,
            padded_inputs: Vec::new(),
        }
    }

    /// True if requests may share a run.
    pub const fn is_on(&self) -> bool {
        self.max_rows > 1 && !self.literal_shapes
    }
}
