//! What the system says of a process. Linux only; elsewhere everything is zero.

use std::fs;
use std::time::Duration;

/// Processor time of all threads that still run, of this process.
pub fn cpu() -> Duration {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let nanos = tasks.filter_map(|task| {
        let stat = fs::read_to_string(task.path().join("schedstat")).ok()?;
        stat.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

/// Processor time since `start`, a result of [`cpu`]. Threads that have ended since then do not count.
pub fn cpu_since(start: Duration) -> Duration {
    cpu().saturating_sub(start)
}

/// A number of `/proc/<pid>/status`: `VmRSS` and `VmHWM` in kB, `Threads`.
pub fn status(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Of this process.
pub fn own(name: &str) -> u64 {
    status(std::process::id(), name)
}

/// Processor time of children that have ended, of this process. In steps of 10 ms.
pub fn children_cpu() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(13).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}
