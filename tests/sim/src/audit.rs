//! The audit log: takes an entry once, however often it is sent, and sometimes does not say so.

use ailayer_gateway::domain::job::Outcome;
use ailayer_primitives::{AmountMsat, JobId};

/// What a receipt commits to. Two attempts never sign the same: their nonces differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    pub job_id: JobId,
    pub attempt: u32,
    pub charge: AmountMsat,
    pub nonce: u64,
}

/// How a receipt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closing {
    pub receipt: Receipt,
    pub outcome: Outcome,
    pub amount: AmountMsat,
}

/// An entry; equal values stand for equal bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statement {
    Receipt(Receipt),
    Closing(Closing),
}

/// What befalls one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendFault {
    Fine,
    /// It never arrives.
    LostBefore,
    /// It is sequenced, and the answer does not come in time.
    LostAfter,
    /// The log does not take such bytes, and never will.
    Refused,
}

/// What the caller sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendError {
    /// Not known whether it is in the log.
    Late,
    /// It will never be.
    Refused,
}

/// The log.
#[derive(Debug, Default)]
pub struct Audit {
    entries: Vec<Statement>,
    pub is_down: bool,
}

impl Audit {
    /// Appends, and answers the index: of the first time, if the entry is there.
    pub fn append(&mut self, statement: Statement, fault: AppendFault) -> Result<usize, AppendError> {
        if self.is_down || fault == AppendFault::LostBefore {
            return Err(AppendError::Late);
        }
        let known = self.entries.iter().position(|entry| *entry == statement);
        if known.is_none() && fault == AppendFault::Refused {
            return Err(AppendError::Refused);
        }
        let index = known.unwrap_or(self.entries.len());
        if known.is_none() {
            self.entries.push(statement);
        }
        if fault == AppendFault::LostAfter { Err(AppendError::Late) } else { Ok(index) }
    }

    pub fn contains(&self, statement: Statement) -> bool {
        self.entries.contains(&statement)
    }

    pub fn receipts(&self) -> impl Iterator<Item = &Receipt> {
        self.entries.iter().filter_map(|entry| match entry {
            Statement::Receipt(receipt) => Some(receipt),
            Statement::Closing(_) => None,
        })
    }

    pub fn closings(&self) -> impl Iterator<Item = &Closing> {
        self.entries.iter().filter_map(|entry| match entry {
            Statement::Closing(closing) => Some(closing),
            Statement::Receipt(_) => None,
        })
    }
}
