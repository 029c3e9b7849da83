//! `ailayer demo` tells what the README's first page shows, and leaves nothing.

use std::process::Stdio;

use ailayer_devnet::AilayerBinary;
use anyhow::{Context as _, ensure};
use tokio::process::Command;

use crate::harness::Scenario;

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
/// What the README's command embeds.
const TEXT: &str = "Bitcoin settles in blocks.";
/// How the shown output begins.
const FIRST_LINE: &str = "1. A private network";

/// Scenarios that bring what they need.
pub fn all() -> Vec<Scenario> {
    vec![Scenario::alone("demo::it_tells_what_the_readme_shows", it_tells_what_the_readme_shows)]
}

/// The same lines but for numbers, hashes and the order in which services become ready.
async fn it_tells_what_the_readme_shows() -> anyhow::Result<()> {
    let readme = std::fs::read_to_string(README)?;
    ensure!(readme.contains(&format!("make demo TEXT=\"{TEXT}\"")), "the README shows another command");
    let shown = readme.split("```").find(|block| block.trim_start().starts_with(FIRST_LINE));
    let shown = shown.context("the README shows no output")?;
    let done = Command::new(AilayerBinary::find()?.path())
        .args(["demo", "--", TEXT])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    let told = String::from_utf8(done.stdout)?;
    ensure!(done.status.success(), "{}: {}\n{told}", done.status, String::from_utf8_lossy(&done.stderr));
    let (shown, told) = (without_values(shown), without_values(&told));
    let missing: Vec<_> = shown.iter().filter(|line| !told.contains(line)).collect();
    let new: Vec<_> = told.iter().filter(|line| !shown.contains(line)).collect();
    ensure!(missing.is_empty() && new.is_empty(), "only in the README: {missing:#?}\nonly told: {new:#?}");
    ensure!(shown == told, "some lines come more often in one of them");
    Ok(())
}

/// The lines in alphabetical order; every word with a digit is a `#`, spaces are single.
fn without_values(text: &str) -> Vec<String> {
    let mut lines: Vec<String> =
        text.lines().map(without_values_in_line).filter(|line| !line.is_empty()).collect();
    lines.sort();
    lines
}

fn without_values_in_line(line: &str) -> String {
    let mut shown = String::new();
    let mut word = String::new();
    for c in line.chars().filter(|c| *c != '+').chain(['\n']) {
        if c.is_ascii_alphanumeric() || c == '-' {
            word.push(c);
            continue;
        }
        let is_value = word.chars().any(|c| c.is_ascii_digit());
        shown.push_str(if is_value { "#" } else { &word });
        shown.push(c);
        word.clear();
    }
    shown.split_whitespace().collect::<Vec<_>>().join(" ")
}
