//! Which versions of a model are served.

use crate::domain::model::Version;

/// The most versions a file may list.
const MAX_LISTED: usize = 1_024;

/// Which of the version folders are served. Triton's `version_policy`, with its default: the newest one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionPolicy {
    /// The newest ones, this many; from 1.
    Latest(usize),
    /// Every one.
    All,
    /// These, as far as they exist.
    Listed(Vec<Version>),
}

impl Default for VersionPolicy {
    fn default() -> Self {
        Self::Latest(1)
    }
}

impl VersionPolicy {
    /// The policy that lists these numbers.
    ///
    /// # Errors
    /// What is wrong with them, in words.
    pub fn listed(numbers: &[i64]) -> Result<Self, &'static str> {
        if numbers.is_empty() || numbers.len() > MAX_LISTED {
            return Err("must list 1 to 1024 versions");
        }
        let mut versions = Vec::with_capacity(numbers.len());
        for number in numbers {
            let version: Version = number.to_string().parse().map_err(|_| "a version is a number from 1")?;
            if versions.contains(&version) {
                return Err("lists a version twice");
            }
            versions.push(version);
        }
        Ok(Self::Listed(versions))
    }

    /// The versions to serve, oldest first, each once.
    pub fn select(&self, available: &[Version]) -> Vec<Version> {
        let mut versions = available.to_vec();
        versions.sort_unstable();
        versions.dedup();
        match self {
            Self::All => {}
            Self::Latest(count) => drop(versions.drain(..versions.len().saturating_sub(*count))),
            Self::Listed(listed) => versions.retain(|version| listed.contains(version)),
        }
        versions
    }
}
