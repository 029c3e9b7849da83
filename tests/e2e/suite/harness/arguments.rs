//! The command line of cargo's test harness, as far as it means something here.

/// What was asked for.
#[derive(Debug, Default)]
pub struct Arguments {
    /// Names the scenarios instead of running them.
    pub list: bool,
    exact: bool,
    ignored_only: bool,
    filters: Vec<String>,
    skipped: Vec<String>,
}

impl Arguments {
    /// Reads the command line; what concerns threads and output has no meaning here and is taken.
    ///
    /// # Errors
    /// An option that is not known, so that a typing error does not run everything.
    pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut words = words.into_iter();
        let mut arguments = Self::default();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--list" => arguments.list = true,
                "--exact" => arguments.exact = true,
                // There are none.
                "--ignored" => arguments.ignored_only = true,
                "--skip" => arguments.skipped.extend(words.next()),
                "--test-threads" | "--format" | "--color" | "--logfile" => drop(words.next()),
                "--nocapture" | "--no-capture" | "--quiet" | "-q" | "--show-output" | "--include-ignored" => {
                }
                option if option.starts_with("--test-threads=") || option.starts_with("--format=") => {}
                option if option.starts_with('-') => return Err(format!("unknown option {option}")),
                _ => arguments.filters.push(word),
            }
        }
        Ok(arguments)
    }

    /// Whether some scenarios are asked for by name.
    pub fn has_filters(&self) -> bool {
        !self.filters.is_empty()
    }

    /// Whether a scenario is to be run.
    pub fn selects(&self, name: &str) -> bool {
        let hit =
            |pattern: &String| if self.exact { name == pattern } else { name.contains(pattern.as_str()) };
        if self.ignored_only {
            return false;
        }
        (self.filters.is_empty() || self.filters.iter().any(hit)) && !self.skipped.iter().any(hit)
    }
}
