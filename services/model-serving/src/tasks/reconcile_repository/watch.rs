//! Which models have changed, and are not being changed any more.

use std::collections::{BTreeMap, BTreeSet};

use crate::repository::Fingerprint;

/// What is to be done for a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is new or changed.
    Load(String),
    /// Its folder is gone.
    Remove(String),
}

/// What was seen of each model. A change counts when two looks in a row see the same: files that are being copied
/// look otherwise at each.
#[derive(Debug)]
pub struct Watch<T = Fingerprint> {
    models: BTreeMap<String, Seen<T>>,
}

#[derive(Debug)]
struct Seen<T> {
    /// What was loaded, or was tried to; none if it is new.
    done: Option<T>,
    /// What the last look saw; none if nothing is there.
    last: Option<T>,
}

impl<T> Default for Watch<T> {
    fn default() -> Self {
        Self { models: BTreeMap::new() }
    }
}

impl<T: Clone + PartialEq> Watch<T> {
    /// These are loaded already.
    pub fn loaded(&mut self, now: BTreeMap<String, T>) {
        self.models = now
            .into_iter()
            .map(|(name, seen)| (name, Seen { done: Some(seen.clone()), last: Some(seen) }))
            .collect();
    }

    /// A look at all models; those that are unreadable stay as they were. What does not load is not told again before it
    /// changes.
    pub fn observe(&mut self, mut now: BTreeMap<String, T>, unreadable: &BTreeSet<String>) -> Vec<Change> {
        let mut changes = Vec::new();
        let names: BTreeSet<String> = self.models.keys().chain(now.keys()).cloned().collect();
        for name in names.difference(unreadable).cloned() {
            let seen = now.remove(&name);
            let known = self.models.entry(name.clone()).or_insert(Seen { done: None, last: None });
            let stable = known.last == seen;
            known.last.clone_from(&seen);
            if !stable || known.done == seen {
                continue;
            }
            known.done.clone_from(&seen);
            changes.push(match seen {
                Some(_) => Change::Load(name),
                None => Change::Remove(name),
            });
        }
        self.models.retain(|_, seen| seen.done.is_some() || seen.last.is_some());
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(models: &[(&str, u32)]) -> BTreeMap<String, u32> {
        models.iter().map(|(name, mark)| ((*name).to_owned(), *mark)).collect()
    }

    #[test]
    fn a_change_counts_when_it_has_come_to_rest() {
        let mut watch = Watch::default();
        watch.loaded(world(&[("a", 1), ("b", 1)]));
        let load = |name: &str| vec![Change::Load(name.to_owned())];
        let steps = [
            (world(&[("a", 1), ("b", 1)]), vec![]),
            (world(&[("a", 2), ("b", 1)]), vec![]),
            (world(&[("a", 3), ("b", 1)]), vec![]),
            (world(&[("a", 3), ("b", 1)]), load("a")),
            (world(&[("a", 3), ("b", 1)]), vec![]),
            // Back to what is loaded before it came to rest.
            (world(&[("a", 4), ("b", 1)]), vec![]),
            (world(&[("a", 3), ("b", 1)]), vec![]),
            (world(&[("a", 3), ("b", 1)]), vec![]),
            // A new one, moved in place of another.
            (world(&[("a", 3), ("c", 1)]), vec![]),
            (world(&[("a", 3), ("b", 1), ("c", 1)]), load("c")),
            (world(&[("a", 3), ("c", 1)]), vec![]),
            (world(&[("a", 3), ("c", 1)]), vec![Change::Remove("b".to_owned())]),
            (world(&[("a", 3), ("c", 1)]), vec![]),
            (world(&[("a", 3), ("b", 1), ("c", 1)]), vec![]),
            (world(&[("a", 3), ("b", 1), ("c", 1)]), load("b")),
        ];
        for (step, (now, changes)) in steps.into_iter().enumerate() {
            assert_eq!(watch.observe(now, &BTreeSet::new()), changes, "step {step}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_gone() {
        let mut watch = Watch::default();
        watch.loaded(world(&[("a", 1), ("b", 1)]));
        let unreadable = BTreeSet::from(["a".to_owned()]);
        for _ in 0..3 {
            assert_eq!(watch.observe(world(&[("b", 1)]), &unreadable), []);
        }
        assert_eq!(watch.observe(world(&[("a", 1), ("b", 1)]), &BTreeSet::new()), []);
    }
}
