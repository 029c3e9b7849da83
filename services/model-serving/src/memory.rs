//! How much memory models may take together, and how much there is.

use std::fs;
use std::sync::Arc;

use parking_lot::Mutex;

/// A model that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the model needs {needed} bytes and {} of the budget of {budget} are left: {used} are taken",
    .budget.saturating_sub(*.used)
)]
pub struct BudgetError {
    /// What the model takes.
    pub needed: u64,
    /// What others take.
    pub used: u64,
    /// What all may take.
    pub budget: u64,
}

/// What all models may take. Clones are the same budget.
#[derive(Debug, Clone)]
pub struct MemoryBudget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// None: whatever they want.
    bytes: Option<u64>,
    used: Mutex<u64>,
}

/// A model's part of the budget, given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    bytes: u64,
    budget: MemoryBudget,
}

impl MemoryBudget {
    /// So many bytes; none for no limit.
    pub fn new(bytes: Option<u64>) -> Self {
        Self(Arc::new(Shared { bytes, used: Mutex::new(0) }))
    }

    /// Takes a part, all or nothing.
    pub fn reserve(&self, needed: u64) -> Result<Reservation, BudgetError> {
        let mut used = self.0.used.lock();
        let after = used.saturating_add(needed);
        match self.0.bytes {
            Some(budget) if after > budget => Err(BudgetError { needed, used: *used, budget }),
            _ => {
                *used = after;
                Ok(Reservation { bytes: needed, budget: self.clone() })
            }
        }
    }
}

impl Reservation {
    /// How much it is.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut used = self.budget.0.used.lock();
        *used = used.saturating_sub(self.bytes);
    }
}

/// What this process takes, as the kernel counts it; zeros where it does not say.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessMemory {
    /// Mapped, touched or not.
    pub address_space_bytes: u64,
    /// In memory now.
    pub resident_bytes: u64,
    /// In memory at most.
    pub most_resident_bytes: u64,
}

/// Reads `/proc/self/status`.
pub fn process_memory() -> ProcessMemory {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let bytes = |key| kibibytes(&status, key).unwrap_or(0);
    ProcessMemory {
        address_space_bytes: bytes("VmSize:"),
        resident_bytes: bytes("VmRSS:"),
        most_resident_bytes: bytes("VmHWM:"),
    }
}

/// What this machine or container has, and what of it is free; none where the kernel does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Machine {
    /// All of it.
    pub total_bytes: Option<u64>,
    /// What could be had now.
    pub available_bytes: Option<u64>,
}

impl Machine {
    /// Asks the kernel: the machine's memory, or what the control group leaves of it.
    pub fn ask() -> Self {
        let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
        let group = number("/sys/fs/cgroup/memory.max").zip(number("/sys/fs/cgroup/memory.current"));
        Self::of(kibibytes(&info, "MemTotal:"), kibibytes(&info, "MemAvailable:"), group)
    }

    fn of(total: Option<u64>, available: Option<u64>, group: Option<(u64, u64)>) -> Self {
        let smaller = |a: Option<u64>, b: Option<u64>| a.into_iter().chain(b).min();
        Self {
            total_bytes: smaller(total, group.map(|(limit, _)| limit)),
            available_bytes: smaller(available, group.map(|(limit, used)| limit.saturating_sub(used))),
        }
    }
}

fn kibibytes(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_with_numbers_and_what_goes_makes_room() {
        let budget = MemoryBudget::new(Some(100));
        let first = budget.reserve(60).unwrap();
        let error = budget.reserve(41).unwrap_err();
        assert_eq!(error, BudgetError { needed: 41, used: 60, budget: 100 });
        assert!(error.to_string().contains("41 bytes and 40 of the budget of 100"), "{error}");
        let second = budget.reserve(40).unwrap();
        drop(first);
        assert_eq!((second.bytes(), budget.reserve(60).unwrap().bytes()), (40, 60));
        assert!(MemoryBudget::new(None).reserve(u64::MAX).is_ok());
    }

    #[test]
    fn the_kernel_is_understood() {
        let memory = process_memory();
        assert!(memory.resident_bytes > 0 && memory.most_resident_bytes >= memory.resident_bytes / 2);
        assert!(memory.address_space_bytes > memory.resident_bytes);
        assert!(Machine::ask().total_bytes > Some(1 << 20));
        let machine = Machine::of(Some(100), Some(50), Some((60, 55)));
        assert_eq!(machine, Machine { total_bytes: Some(60), available_bytes: Some(5) });
        assert_eq!(Machine::of(Some(100), Some(50), None).available_bytes, Some(50));
    }
}
