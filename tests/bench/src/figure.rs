//! One figure with its goal.

use serde::{Deserialize, Deserializer, Serialize};

use crate::statistics::{median, median_bounds};

/// How much less than the goal the bound may be.
const SLACK: f64 = 0.03;

/// Which way is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// More is better: the lower bound counts.
    Higher,
    /// Less is better: the upper bound counts.
    Lower,
}

/// A row of the table and of the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Figure {
    /// S1, S2a, …
    pub id: String,
    /// Our side, median over the rounds.
    #[serde(deserialize_with = "number")]
    pub ours: f64,
    /// The other side, median over the rounds.
    #[serde(deserialize_with = "number")]
    pub baseline: f64,
    /// What is held against the goal: the median of the rounds' ratios; for S5a of their differences.
    #[serde(deserialize_with = "number")]
    pub ratio: f64,
    /// The goal; none for what is only reported.
    pub goal: Option<f64>,
    /// The unit of both sides.
    pub unit: String,
    /// Which way is good.
    pub better: Better,
    /// 95 % of the medians lie above it.
    #[serde(deserialize_with = "number")]
    pub lower_bound: f64,
    /// 95 % of the medians lie below it.
    #[serde(deserialize_with = "number")]
    pub upper_bound: f64,
    /// The ratio reaches the goal, if there is one, and its bound misses it by 0.03 at most, and nothing makes it void.
    pub holds: bool,
    /// A baseline varied by more than a tenth, in a rerun, too.
    pub noisy: bool,
    /// Why the figure says nothing; empty if it does.
    pub void: String,
    /// Shorter than the definition wants.
    pub short: bool,
    /// Both sides had a core of their own.
    pub pinned: bool,
    /// Seconds since 1970.
    pub measured_at: u64,
    /// One a round.
    #[serde(deserialize_with = "numbers")]
    pub rounds: Vec<f64>,
    /// Further numbers, with their units in their names.
    pub notes: Vec<(String, f64)>,
}

/// What is no number is `null` in the file.
fn number<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
}

fn numbers<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f64>, D::Error> {
    let numbers: Vec<Option<f64>> = Vec::deserialize(from)?;
    Ok(numbers.into_iter().map(|number| number.unwrap_or(f64::NAN)).collect())
}

impl Figure {
    /// A figure of rounds; each has our side, the other side, and what is held against the goal.
    pub fn of(id: &str, better: Better, goal: f64, unit: &str, rounds: &[(f64, f64, f64)]) -> Self {
        Self::new(id, better, Some(goal), unit, rounds)
    }

    /// A figure that has no goal. Less is better.
    pub fn reported(id: &str, unit: &str, rounds: &[(f64, f64, f64)]) -> Self {
        Self::new(id, Better::Lower, None, unit, rounds)
    }

    fn new(id: &str, better: Better, goal: Option<f64>, unit: &str, rounds: &[(f64, f64, f64)]) -> Self {
        let column = |pick: fn(&(f64, f64, f64)) -> f64| rounds.iter().map(pick).collect::<Vec<f64>>();
        let ratios = column(|round| round.2);
        let (lower_bound, upper_bound) = median_bounds(&ratios);
        let ratio = median(&ratios);
        let holds = match (better, goal) {
            (_, None) => true,
            (Better::Higher, Some(goal)) => ratio >= goal && lower_bound >= goal - SLACK,
            (Better::Lower, Some(goal)) => ratio <= goal && upper_bound <= goal + SLACK,
        };
        Self {
            id: id.to_owned(),
            ours: median(&column(|round| round.0)),
            baseline: median(&column(|round| round.1)),
            ratio,
            goal,
            unit: unit.to_owned(),
            better,
            lower_bound,
            upper_bound,
            holds,
            noisy: false,
            void: String::new(),
            short: false,
            pinned: true,
            measured_at: 0,
            rounds: ratios,
            notes: Vec::new(),
        }
    }

    /// The same figure, marked if any round was noisy.
    #[must_use]
    pub fn noisy_if(mut self, noisy: bool) -> Self {
        self.noisy = noisy;
        self
    }

    /// The same figure with a further number; without it if it is none.
    #[must_use]
    pub fn note(mut self, name: &str, value: f64) -> Self {
        if value.is_finite() {
            self.notes.push((name.to_owned(), value));
        }
        self
    }

    /// The same figure, worth nothing if `condition` holds.
    #[must_use]
    pub fn void_if(mut self, condition: bool, reason: &str) -> Self {
        if condition {
            self.holds = false;
            if !self.void.is_empty() {
                self.void.push_str("; ");
            }
            self.void.push_str(reason);
        }
        self
    }

    /// `holds`, `misses`, `reported` or `void`, with what limits its worth.
    pub fn verdict(&self) -> String {
        let mut words = vec![match (self.holds, self.void.is_empty()) {
            (true, _) if self.goal.is_none() => "reported".to_owned(),
            (true, _) => "holds".to_owned(),
            (false, true) => "misses".to_owned(),
            (false, false) => format!("void: {}", self.void),
        }];
        let marks = [(self.noisy, "noisy"), (self.short, "SHORT"), (!self.pinned, "UNPINNED")];
        words.extend(marks.iter().filter(|(set, _)| *set).map(|(_, word)| (*word).to_owned()));
        words.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(better: Better, goal: f64, ratios: &[f64]) -> Figure {
        let rounds: Vec<_> = ratios.iter().map(|ratio| (*ratio, 1.0, *ratio)).collect();
        Figure::of("S1", better, goal, "texts/s", &rounds)
    }

    #[test]
    fn a_figure_holds_by_its_median_and_its_bound() {
        assert!(figure(Better::Higher, 0.97, &[0.98; 7]).holds);
        assert!(!figure(Better::Higher, 0.97, &[0.96; 7]).holds);
        let wide = [0.98, 0.98, 0.98, 0.98, 0.90, 0.90, 0.90];
        assert!(!figure(Better::Higher, 0.97, &wide).holds);
        assert!(figure(Better::Lower, 1.1, &[1.05; 7]).holds);
        assert!(!figure(Better::Lower, 1.1, &[1.2; 7]).holds);
        assert!(!figure(Better::Lower, 1.1, &[f64::NAN; 7]).holds);
    }

    #[test]
    fn what_has_no_goal_is_reported() {
        let reported = Figure::reported("L4", "bytes", &[(700.0, 140.0, 5.0)]);
        assert_eq!((reported.holds, reported.verdict().as_str()), (true, "reported"));
    }

    #[test]
    fn void_is_never_held() {
        let void = figure(Better::Higher, 0.9, &[1.0]).void_if(true, "too little was sent");
        assert_eq!((void.holds, void.verdict().as_str()), (false, "void: too little was sent"));
    }
}
