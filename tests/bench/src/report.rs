//! The table, the file, the page.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};

use crate::args::RunArgs;
use crate::figure::{Better, Figure};

/// The files and the page of one bench.
#[derive(Debug, Clone, Copy)]
pub struct Report {
    /// Names `NAME.json`, `NAME-machine.json` and the page's markers `bench-NAME`.
    pub name: &'static str,
    /// The figures in the order in which they are shown.
    pub order: &'static [&'static str],
}

/// What limits the worth of all figures of a run.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Shorter than the definitions want.
    pub short: bool,
    /// Both sides had a core of their own.
    pub pinned: bool,
}

/// Where and when the figures were measured.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Machine {
    /// The day, UTC.
    pub date: String,
    /// The commit of the work tree, `+` if it was changed.
    pub commit: String,
    /// The processor's model.
    pub processor: String,
    /// Its cores that this process may use.
    pub cores: usize,
    /// The kernel.
    pub kernel: String,
    /// What the figures rest on, with its version: an engine's library, a database.
    pub engine: String,
    /// The load average when the run began: neighbours make noise.
    pub load_average: String,
    /// The run's minutes.
    pub minutes: f64,
}

impl Report {
    /// Marks, writes and shows the figures of a run; fills the page if the arguments name one. Answers the table.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn publish(
        &self,
        args: &RunArgs,
        mut figures: Vec<Figure>,
        limits: Limits,
        machine: &Machine,
    ) -> anyhow::Result<String> {
        let measured_at = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        for figure in &mut figures {
            (figure.short, figure.pinned, figure.measured_at) = (limits.short, limits.pinned, measured_at);
        }
        let figures = self.write(&args.out, figures, machine, args.keep)?;
        args.markdown.as_ref().map_or(Ok(()), |page| self.fill_page(page, &args.out))?;
        Ok(table(&figures))
    }

    /// Puts the table of the last run, in `folder`, between the markers of a page.
    ///
    /// # Errors
    /// When there was no run, or the page has no markers.
    pub fn fill_page(&self, page: &Path, folder: &Path) -> anyhow::Result<()> {
        let (figures, machine) = self.read(folder)?;
        let text = self.fill(&std::fs::read_to_string(page)?, &figures, &machine)?;
        Ok(std::fs::write(page, text)?)
    }

    /// Writes the figures, and keeps those of the last run that are not among them if asked to.
    fn write(
        &self,
        folder: &Path,
        mut figures: Vec<Figure>,
        machine: &Machine,
        keep: bool,
    ) -> anyhow::Result<Vec<Figure>> {
        std::fs::create_dir_all(folder)?;
        if keep && let Ok((old, _)) = self.read(folder) {
            figures.extend(
                old.into_iter().filter(|old| !figures.iter().any(|new| new.id == old.id)).collect::<Vec<_>>(),
            );
        }
        figures.sort_by_key(|figure| self.order.iter().position(|id| *id == figure.id));
        let [of_figures, of_machine] = self.files();
        std::fs::write(folder.join(of_figures), serde_json::to_string_pretty(&figures)? + "\n")?;
        std::fs::write(folder.join(of_machine), serde_json::to_string_pretty(machine)? + "\n")?;
        Ok(figures)
    }

    /// Reads what the last run wrote.
    fn read(&self, folder: &Path) -> anyhow::Result<(Vec<Figure>, Machine)> {
        let text = |name: &str| {
            let path = folder.join(name);
            std::fs::read_to_string(&path).with_context(|| path.display().to_string())
        };
        let [of_figures, of_machine] = self.files();
        Ok((serde_json::from_str(&text(&of_figures)?)?, serde_json::from_str(&text(&of_machine)?)?))
    }

    fn files(&self) -> [String; 2] {
        [format!("{}.json", self.name), format!("{}-machine.json", self.name)]
    }

    /// Puts table and machine between the markers of a page.
    fn fill(&self, page: &str, figures: &[Figure], machine: &Machine) -> anyhow::Result<String> {
        let [begin, end] = ["begin", "end"].map(|edge| format!("<!-- bench-{}: {edge} -->", self.name));
        let (head, rest) =
            page.split_once(&begin).with_context(|| format!("the page has no line {begin}"))?;
        let (_, tail) = rest.split_once(&end).with_context(|| format!("the page has no line {end}"))?;
        ensure!(!figures.is_empty(), "there are no figures");
        let mut text = format!("{head}{begin}\n");
        let Machine { date, commit, processor, cores, kernel, engine, load_average, minutes } = machine;
        let _ = writeln!(
            text,
            "Measured {date} at commit {commit}: {processor}, {cores} cores, Linux {kernel}, {engine}; load average \
             {load_average} at the start; {minutes:.0} minutes.\n"
        );
        text.push_str("| id | ours | baseline | ratio | 95 % bound | goal | unit | verdict |\n|---|---|---|---|---|---|---|---|\n");
        for figure in figures {
            let _ = writeln!(
                text,
                "| {} | {:.2} | {:.2} | {:.3} | {:.3} | {} | {} | {} |",
                figure.id,
                figure.ours,
                figure.baseline,
                figure.ratio,
                bound(figure),
                goal(figure),
                figure.unit,
                figure.verdict()
            );
        }
        text.push('\n');
        for figure in figures.iter().filter(|figure| !figure.notes.is_empty()) {
            let notes: Vec<String> =
                figure.notes.iter().map(|(name, value)| format!("{name} {value:.2}")).collect();
            let _ = writeln!(text, "- {}: {}.", figure.id, notes.join(", "));
        }
        Ok(text + &end + tail)
    }
}

/// The table for a terminal, with the further numbers below.
fn table(figures: &[Figure]) -> String {
    let mut text = format!(
        "{:<4} {:>11} {:>11} {:>7} {:>7} {:>8}  {:<24} {}\n",
        "", "ours", "baseline", "ratio", "bound", "goal", "unit", "verdict"
    );
    for figure in figures {
        let goal = goal(figure);
        let bound = format!("{:.3}", bound(figure));
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{:<4} {:>11.3} {:>11.3} {:>7.3} {bound:>7} {goal:>8}  {:<24} {}",
            figure.id,
            figure.ours,
            figure.baseline,
            figure.ratio,
            figure.unit,
            figure.verdict()
        );
    }
    for figure in figures {
        let notes: Vec<String> =
            figure.notes.iter().map(|(name, value)| format!("{name} {value:.3}")).collect();
        let _ = writeln!(text, "  {}: {}", figure.id, notes.join(", "));
    }
    text
}

fn goal(figure: &Figure) -> String {
    match (figure.better, figure.goal) {
        (_, None) => "none".to_owned(),
        (Better::Higher, Some(goal)) => format!(">= {goal}"),
        (Better::Lower, Some(goal)) => format!("<= {goal}"),
    }
}

const fn bound(figure: &Figure) -> f64 {
    match figure.better {
        Better::Higher => figure.lower_bound,
        Better::Lower => figure.upper_bound,
    }
}

#[cfg(test)]
mod tests;
