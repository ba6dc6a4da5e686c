//! Freezes the server.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

#[derive(Debug)]
struct Current {
    until: Instant,
    /// Ends the freeze when dropped.
    _thaw: Sender<()>,
}

#[derive(Debug, Default)]
pub(crate) struct Freeze {
    current: Mutex<Option<Current>>,
}

impl Freeze {
    fn lock(&self) -> MutexGuard<'_, Option<Current>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Freezes the server for `time`, after `delay`. The returned channel gets a message when the freeze has begun. It is closed
    /// if the server has ended.
    pub(crate) fn begin(&self, runtime: Option<&Handle>, time: Duration, delay: Duration) -> Receiver<()> {
        let (thaw, thawed) = mpsc::channel::<()>();
        let (begun, begins) = mpsc::channel();
        let now = Instant::now();
        let until = now.checked_add(delay + time).unwrap_or(now);
        *self.lock() = Some(Current { until, _thaw: thaw });
        if let Some(runtime) = runtime {
            runtime.spawn(async move {
                if !delay.is_zero() {
                    tokio::time::sleep(delay).await;
                }
                let _ = begun.send(());
                // Blocks the server's only thread, which is the freeze.
                let _ = thawed.recv_timeout(time);
            });
        }
        begins
    }

    pub(crate) fn end(&self) {
        self.lock().take();
    }

    /// How long the freeze will last.
    pub(crate) fn left(&self) -> Option<Duration> {
        let left = self.lock().as_ref()?.until.saturating_duration_since(Instant::now());
        Some(left).filter(|left| !left.is_zero())
    }
}
