//! Reads processor time and memory of a process from `/proc`. On other systems than Linux, every value is zero.

use std::fs;
use std::time::Duration;

/// The processor time of all threads of this process that still run.
pub fn cpu() -> Duration {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let nanos = tasks.filter_map(|task| {
        let stat = fs::read_to_string(task.path().join("schedstat")).ok()?;
        stat.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

/// The processor time since `start`, a result of [`cpu`]. Threads that have ended since then do not count.
pub fn cpu_since(start: Duration) -> Duration {
    cpu().saturating_sub(start)
}

/// Reads one number from `/proc/<pid>/status`. `VmRSS` and `VmHWM` are in kB, `Threads` is a count.
pub fn status(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Reads one number from the status of this process.
pub fn own(name: &str) -> u64 {
    status(std::process::id(), name)
}

/// The processor time of the children of this process that have ended, in steps of 10 ms.
pub fn children_cpu() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(13).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}
