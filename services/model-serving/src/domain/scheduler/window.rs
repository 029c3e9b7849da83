//! Which rows join a batch, so that little of it is padding.

use super::entry::EntryId;

/// The padding one more row may cost, in tokens: about what a run of its own would cost besides its tokens.
const MAX_PADDING_A_ROW: usize = 16;
/// The padding that may be spent, in hundredths of the tokens that ran.
const PADDING_PERCENT: i64 = 9;
/// Padding that was not spent may be spent later, up to so many tokens.
const MAX_CREDIT: i64 = 512;

/// Holds padding under a share of all tokens over time: batches of short rows may waste what those of long rows saved.
#[derive(Debug, Default)]
pub(super) struct PaddingCredit {
    /// In hundredths of a token; negative only after a row that is longer than its batch by itself allowed.
    hundredths: i64,
}

impl PaddingCredit {
    fn allows(&self, tokens: usize, padded: usize) -> bool {
        self.after(tokens, padded) >= 0
    }

    fn after(&self, tokens: usize, padded: usize) -> i64 {
        let earned = signed(tokens).saturating_mul(PADDING_PERCENT);
        let spent = signed(padded.saturating_sub(tokens)).saturating_mul(100);
        self.hundredths.saturating_add(earned).saturating_sub(spent)
    }

    /// Accounts for a batch.
    pub(super) fn settle(&mut self, window: &Window) {
        self.hundredths =
            self.after(window.tokens, window.padded(window.rows, window.width)).min(MAX_CREDIT * 100);
    }
}

/// The rows of a batch while it is filled.
#[derive(Debug)]
pub(super) struct Window {
    max_rows: usize,
    max_tokens: usize,
    rows: usize,
    width: usize,
    tokens: usize,
}

impl Window {
    /// A batch of one entry.
    pub(super) const fn new(max_rows: usize, max_tokens: usize, rows: usize, width: usize) -> Self {
        Self { max_rows, max_tokens, rows, width, tokens: rows.saturating_mul(width) }
    }

    pub(super) const fn rows(&self) -> usize {
        self.rows
    }

    pub(super) const fn width(&self) -> usize {
        self.width
    }

    pub(super) const fn tokens(&self) -> usize {
        self.tokens
    }

    /// Takes in the candidate that costs the least padding, if any may join.
    pub(super) fn take_cheapest(
        &mut self,
        candidates: [Option<(usize, EntryId)>; 2],
        rows_of: impl Fn(EntryId) -> usize,
        credit: &PaddingCredit,
    ) -> Option<EntryId> {
        let costed = candidates.into_iter().flatten().filter_map(|(width, id)| {
            let rows = rows_of(id);
            Some((self.padding_for(rows, width, credit)?, rows, width, id))
        });
        let (_, rows, width, id) = costed.min_by_key(|(padding, ..)| *padding)?;
        self.rows = self.rows.saturating_add(rows);
        self.width = self.width.max(width);
        self.tokens = self.tokens.saturating_add(rows.saturating_mul(width));
        Some(id)
    }

    /// The padding that rows of a width would add; none if they may not join.
    fn padding_for(&self, rows: usize, width: usize, credit: &PaddingCredit) -> Option<usize> {
        let joined = self.rows.checked_add(rows)?;
        let widest = self.width.max(width);
        let padded = self.padded(joined, widest);
        if joined > self.max_rows || padded > self.max_tokens {
            return None;
        }
        let tokens = self.tokens.saturating_add(rows.saturating_mul(width));
        let before = self.padded(self.rows, self.width).saturating_sub(self.tokens);
        let added = padded.saturating_sub(tokens).saturating_sub(before);
        let cheap =
            added == 0 || (added <= MAX_PADDING_A_ROW.saturating_mul(rows) && credit.allows(tokens, padded));
        cheap.then_some(added)
    }

    const fn padded(&self, rows: usize, width: usize) -> usize {
        rows.saturating_mul(width)
    }
}

fn signed(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
