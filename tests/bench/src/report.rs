//! The table, the file, the page.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};

use crate::figure::{Better, Figure};

const FIGURES: &str = "serving.json";
const MACHINE: &str = "serving-machine.json";
const BEGIN: &str = "<!-- bench-serving: begin -->";
const END: &str = "<!-- bench-serving: end -->";

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
    /// The engine's library.
    pub engine: String,
    /// The load average when the run began: neighbours make noise.
    pub load_average: String,
    /// The run's minutes.
    pub minutes: f64,
}

/// Writes the figures, and keeps those of the last run that are not among them if asked to.
pub fn write(
    folder: &Path,
    mut figures: Vec<Figure>,
    machine: &Machine,
    keep: bool,
) -> anyhow::Result<Vec<Figure>> {
    std::fs::create_dir_all(folder)?;
    if keep && let Ok((old, _)) = read(folder) {
        figures.extend(
            old.into_iter().filter(|old| !figures.iter().any(|new| new.id == old.id)).collect::<Vec<_>>(),
        );
    }
    figures.sort_by_key(|figure| ORDER.iter().position(|id| *id == figure.id));
    std::fs::write(folder.join(FIGURES), serde_json::to_string_pretty(&figures)? + "\n")?;
    std::fs::write(folder.join(MACHINE), serde_json::to_string_pretty(machine)? + "\n")?;
    Ok(figures)
}

const ORDER: [&str; 9] = ["S1", "S2a", "S2b", "S3", "S4", "S5a", "S5b", "K2", "MEM"];

/// Reads what the last run wrote.
pub fn read(folder: &Path) -> anyhow::Result<(Vec<Figure>, Machine)> {
    let text = |name: &str| {
        let path = folder.join(name);
        std::fs::read_to_string(&path).with_context(|| path.display().to_string())
    };
    Ok((serde_json::from_str(&text(FIGURES)?)?, serde_json::from_str(&text(MACHINE)?)?))
}

/// The table for a terminal, with the further numbers below.
pub fn table(figures: &[Figure]) -> String {
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

/// Puts table and machine between the markers of a page.
pub fn fill(page: &str, figures: &[Figure], machine: &Machine) -> anyhow::Result<String> {
    let (head, rest) = page.split_once(BEGIN).with_context(|| format!("the page has no line {BEGIN}"))?;
    let (_, tail) = rest.split_once(END).with_context(|| format!("the page has no line {END}"))?;
    ensure!(!figures.is_empty(), "there are no figures");
    let mut text = format!("{head}{BEGIN}\n");
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
    for figure in figures {
        let notes: Vec<String> =
            figure.notes.iter().map(|(name, value)| format!("{name} {value:.2}")).collect();
        let _ = writeln!(text, "- {}: {}.", figure.id, notes.join(", "));
    }
    Ok(text + END + tail)
}

fn goal(figure: &Figure) -> String {
    match figure.better {
        Better::Higher => format!(">= {}", figure.goal),
        Better::Lower => format!("<= {}", figure.goal),
    }
}

const fn bound(figure: &Figure) -> f64 {
    match figure.better {
        Better::Higher => figure.lower_bound,
        Better::Lower => figure.upper_bound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Id;

    #[test]
    fn a_page_keeps_what_is_around_the_table() {
        let figure = Figure::of(Id::S1, Better::Higher, 0.97, "texts/s", &[(60.0, 61.0, 60.0 / 61.0)]);
        let page = format!("# Head\n{BEGIN}\nof yesterday\n{END}\ntail\n");
        let filled = fill(&page, std::slice::from_ref(&figure), &Machine::default()).unwrap();
        assert!(
            filled.starts_with("# Head\n")
                && filled.ends_with("-->\ntail\n")
                && !filled.contains("yesterday")
        );
        assert!(
            filled.contains("| S1 | 60.00 | 61.00 | 0.984 | 0.984 | >= 0.97 | texts/s | holds |"),
            "{filled}"
        );
        assert_eq!(fill(&filled, &[figure], &Machine::default()).unwrap(), filled);
        assert!(fill("no markers", &[], &Machine::default()).is_err());
    }

    #[test]
    fn figures_of_the_last_run_stay_if_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let figure = |id, ours| Figure::of(id, Better::Higher, 1.0, "x", &[(ours, 1.0, ours)]);
        let machine = Machine::default();
        write(folder.path(), vec![figure(Id::K2, 1.0), figure(Id::S1, 1.0)], &machine, false).unwrap();
        write(folder.path(), vec![figure(Id::K2, 2.0)], &machine, true).unwrap();
        let (figures, _) = read(folder.path()).unwrap();
        let seen: Vec<_> = figures.iter().map(|figure| (figure.id.as_str(), figure.ours)).collect();
        assert_eq!(seen, [("S1", 1.0), ("K2", 2.0)]);
        write(folder.path(), vec![figure(Id::S3, 1.0)], &machine, false).unwrap();
        assert_eq!(read(folder.path()).unwrap().0.len(), 1);
    }
}
