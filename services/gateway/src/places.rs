//! Places of open streams: bounded in all and for each owner, so that none can take them all.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use thiserror::Error;
use uuid::Uuid;

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Full {
    /// None is left.
    #[error("too many streams are open at once")]
    All,
    /// The owner has its share.
    #[error("too many streams of this job or account are open already")]
    Share,
}

/// The places. Cloned freely.
#[derive(Debug, Clone)]
pub struct Places {
    most: usize,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    /// Owners without a place are not in it.
    of: HashMap<Uuid, usize>,
}

/// A place that is free again when this is dropped.
#[derive(Debug)]
pub struct Place {
    owner: Uuid,
    taken: Arc<Mutex<Taken>>,
}

impl Places {
    /// So many.
    pub fn new(most: usize) -> Self {
        Self { most, taken: Arc::default() }
    }

    /// A place for an owner, who may have `share` of them.
    pub fn take(&self, owner: Uuid, share: usize) -> Result<Place, Full> {
        let mut taken = self.taken.lock();
        let of_owner = taken.of.get(&owner).copied().unwrap_or(0);
        if of_owner >= share {
            return Err(Full::Share);
        }
        if taken.all >= self.most {
            return Err(Full::All);
        }
        taken.all = taken.all.saturating_add(1);
        taken.of.insert(owner, of_owner.saturating_add(1));
        Ok(Place { owner, taken: Arc::clone(&self.taken) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock();
        taken.all = taken.all.saturating_sub(1);
        match taken.of.get_mut(&self.owner) {
            Some(count) if *count > 1 => *count = count.saturating_sub(1),
            _ => {
                taken.of.remove(&self.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_all_and_what_is_left_is_free_again() {
        let (places, [one, other]) = (Places::new(3), [1, 2].map(Uuid::from_u128));
        let first = places.take(one, 2).unwrap();
        let _second = places.take(one, 2).unwrap();
        assert_eq!(places.take(one, 2).unwrap_err(), Full::Share);
        let _third = places.take(other, 2).unwrap();
        assert_eq!(places.take(other, 2).unwrap_err(), Full::All);
        drop(first);
        let again = places.take(other, 2).unwrap();
        drop(again);
        let again = places.take(one, 2).unwrap();
        drop(again);
        assert_eq!(
            places.taken.lock().of,
            HashMap::from([(one, 1), (other, 1)]),
            "nobody else is remembered"
        );
    }
}
