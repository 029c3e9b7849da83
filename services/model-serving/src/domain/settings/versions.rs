//! Which versions of a model are served.

use crate::domain::model::Version;

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
