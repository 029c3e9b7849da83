//! Processor time and memory of a process or a thread, as the kernel counts them.

use std::fs;

use anyhow::Context as _;

/// `USER_HZ`: 100 on every Linux port that this runs on.
const TICKS_A_SECOND: f64 = 100.0;

/// Whose time is read.
#[derive(Debug, Clone, Copy)]
pub enum Of {
    /// A process with all its threads.
    Process(u32),
    /// A thread of this process.
    Thread(i32),
    /// A process, its children, and those of them that have ended: a server with a process a connection.
    Family(u32),
    /// The children of this process that have ended.
    EndedChildren,
}

/// Seconds on a core so far, user and system together.
///
/// # Errors
/// When there is no such process.
pub fn processor_seconds(of: Of) -> anyhow::Result<f64> {
    Ok(match of {
        Of::Process(id) => Stat::read(&format!("/proc/{id}/stat"))?.own,
        Of::Thread(id) => Stat::read(&format!("/proc/self/task/{id}/stat"))?.own,
        Of::EndedChildren => Stat::read("/proc/self/stat")?.ended_children,
        Of::Family(id) => {
            let parent = Stat::read(&format!("/proc/{id}/stat"))?;
            // One that ends meanwhile is counted with the ended ones next time.
            let children = stats_of_children(id)?.map(|(_, stat)| stat.own);
            parent.own + parent.ended_children + children.sum::<f64>()
        }
    })
}

/// The children of a process that run now.
///
/// # Errors
/// When the system does not tell.
pub fn children(process: u32) -> anyhow::Result<Vec<u32>> {
    Ok(stats_of_children(process)?.map(|(child, _)| child).collect())
}

fn stats_of_children(parent: u32) -> anyhow::Result<impl Iterator<Item = (u32, Stat)>> {
    let entries = fs::read_dir("/proc").context("/proc")?;
    Ok(entries.filter_map(move |entry| {
        let process: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let stat = Stat::read(&format!("/proc/{process}/stat")).ok()?;
        (stat.parent == parent).then_some((process, stat))
    }))
}

/// What `/proc/…/stat` says; times in seconds.
struct Stat {
    parent: u32,
    own: f64,
    ended_children: f64,
}

impl Stat {
    fn read(path: &str) -> anyhow::Result<Self> {
        let stat = fs::read_to_string(path).with_context(|| path.to_owned())?;
        Self::parse(&stat).with_context(|| format!("{path} is not as proc(5) says"))
    }

    /// The name, in brackets, may hold spaces; what follows it starts with field 3. Field 4 is the parent, fields 14 to 17 are
    /// the times.
    fn parse(stat: &str) -> Option<Self> {
        let (_, rest) = stat.rsplit_once(')')?;
        let parent = rest.split_whitespace().nth(1)?.parse().ok()?;
        let mut ticks = rest.split_whitespace().skip(11).map_while(|field| field.parse::<f64>().ok());
        let (user, system, ended_user, ended_system) =
            (ticks.next()?, ticks.next()?, ticks.next()?, ticks.next()?);
        let seconds = |ticks: f64| ticks / TICKS_A_SECOND;
        Some(Self { parent, own: seconds(user + system), ended_children: seconds(ended_user + ended_system) })
    }
}

/// The resident memory of a process in MiB.
///
/// # Errors
/// When there is no such process.
pub fn resident_mib(process: u32) -> anyhow::Result<f64> {
    let path = format!("/proc/{process}/status");
    let status = fs::read_to_string(&path).with_context(|| path.clone())?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).with_context(|| path.clone())?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_what_this_process_used() {
        assert!(processor_seconds(Of::Process(std::process::id())).unwrap() >= 0.0);
        let thread = rustix::thread::gettid().as_raw_nonzero().get();
        assert!(processor_seconds(Of::Thread(thread)).unwrap() >= 0.0);
        assert!(resident_mib(std::process::id()).unwrap() > 1.0);
    }

    #[test]
    fn a_family_has_its_parent_and_its_children() {
        let own = processor_seconds(Of::Process(std::process::id())).unwrap();
        assert!(processor_seconds(Of::Family(std::process::id())).unwrap() >= own);
        assert!(processor_seconds(Of::EndedChildren).unwrap() >= 0.0);
        let stat = "7 (a b) c) S 3 7 7 0 -1 4194560 1 2 3 4 150 50 20 30 20 0 1 0 5 6 7";
        let stat = Stat::parse(stat).unwrap();
        assert_eq!((stat.parent, stat.own, stat.ended_children), (3, 2.0, 0.5));
        assert!(Stat::parse("7 (x) S 3").is_none());
    }
}
