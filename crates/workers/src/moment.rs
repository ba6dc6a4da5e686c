//! Points in time that stay correct when the system clock jumps.

use std::time::{Duration, Instant, SystemTime};

/// A point in time on two clocks. The monotonic clock never jumps but stops while the machine is suspended. The system
/// clock goes on during that time but may jump.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    monotonic: Instant,
    system: SystemTime,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Moment { monotonic: Instant::now(), system: SystemTime::now() }
    }

    /// At least this much time has passed.
    pub(crate) fn at_least(&self) -> Duration {
        self.monotonic.elapsed()
    }

    /// At most this much time has passed, unless the system clock was set back while the machine was suspended.
    pub(crate) fn at_most(&self) -> Duration {
        self.monotonic.elapsed().max(self.system.elapsed().unwrap_or_default())
    }
}

/// A duration in whole milliseconds, for the scripts.
pub(crate) fn as_millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
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
