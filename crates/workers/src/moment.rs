//! Points in time that no jump of a clock falsifies.

use std::time::{Duration, Instant, SystemTime};

/// A moment by two clocks. The monotonic one does not jump but stands still while the machine is suspended; the
/// system's one goes on then but may jump.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    steady: Instant,
    system: SystemTime,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Moment { steady: Instant::now(), system: SystemTime::now() }
    }

    /// At least this much time has passed.
    pub(crate) fn at_least(&self) -> Duration {
        self.steady.elapsed()
    }

    /// No more than this has passed, unless the system's clock was set back while the machine was suspended.
    pub(crate) fn at_most(&self) -> Duration {
        self.steady.elapsed().max(self.system.elapsed().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_clock_that_jumps_ahead_counts_and_one_that_jumps_back_does_not() {
        let hour = Duration::from_secs(3600);
        let now = Moment::now();
        let ahead = Moment { system: now.system - hour, ..now };
        assert!(ahead.at_most() >= hour && ahead.at_least() < hour);
        let back = Moment { system: now.system + hour, ..now };
        let least = back.at_least();
        assert!(back.at_most() < hour && back.at_most() >= least);
    }
}
