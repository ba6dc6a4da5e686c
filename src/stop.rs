//! A handle that stops agents, clients and webhook receivers.

mod reader;

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use crate::net::{Cancel, CancelToken};
use crate::sync::lock::Mutex;
pub use reader::StopReader;

/// Stops agents, clients and webhook receivers from any thread: for Ctrl-C, for SIGTERM, or at the end of a test.
/// Clones are cheap and share one state. A stopped handle cannot be reset.
///
/// Pass the handle to a builder: [`Agent::builder`](crate::Agent::builder),
/// [`Client::builder`](crate::Client::builder) or [`Receiver::stop`](crate::webhook::Receiver::stop).
/// [`stop`](Stop::stop) then ends all waits within 100 ms: connecting, REST calls, messages that wait for a lost
/// connection, confirmations, loops.
///
/// - Loops over an agent's events or mentions end with `None`, even if events are queued.
/// - Calls that are waiting fail with [`Closed`](crate::ErrorKind::Closed).
/// - A separate thread ends the open runs as errors in their rooms and delivers messages that were sent before, within
///   the agent's [`close_timeout`](crate::agent::AgentBuilder::close_timeout). [`Agent::close`](crate::Agent::close),
///   [`Agent::wait_closed`](crate::Agent::wait_closed) and dropping the last handle wait for that thread. If the server
///   does not read, a blocked write may also take this long.
///
/// `stop` does not interrupt a running handler. The handler can check [`is_stopped`](Stop::is_stopped) and sleep with
/// [`wait`](Stop::wait).
///
/// Call `stop` from a thread, not inside a signal handler; `signal-hook` and `ctrlc` provide such a thread.
/// `examples/service.rs` is a complete service.
///
/// ```no_run
/// use crustocean::{Agent, AgentToken, Stop};
///
/// fn main() -> crustocean::Result<()> {
///     let stop = Stop::new();
///     let switch = stop.clone();
///     std::thread::spawn(move || {
///         let _ = std::io::stdin().read_line(&mut String::new());
///         switch.stop(); // Enter ends the bot
///     });
///     let agent = Agent::builder().stop(&stop).connect(AgentToken::from_env()?)?;
///     agent.join("lobby")?;
///     for question in agent.mentions() {
///         if let Err(error) = question?.reply("42") {
///             eprintln!("no answer: {error}");
///         }
///     }
///     agent.close() // the open runs have ended, and everything is sent
/// }
/// ```
#[derive(Clone, Default)]
pub struct Stop(CancelToken);

impl Stop {
    /// Creates a handle that is not stopped.
    pub fn new() -> Self {
        Stop::default()
    }

    /// Stops all agents, clients and receivers that have this handle. Returns at once. Further calls do nothing.
    pub fn stop(&self) {
        self.0.cancel();
    }

    /// Whether [`stop`](Stop::stop) was called.
    pub fn is_stopped(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Sleeps for this time, or until [`stop`](Stop::stop) is called. Returns `true` if `stop` was called.
    /// [`Duration::MAX`] means no time limit.
    ///
    /// ```
    /// use std::time::Duration;
    /// use crustocean::Stop;
    ///
    /// fn report_every_hour(stop: &Stop) {
    ///     while !stop.wait(Duration::from_secs(3600)) {
    ///         // report
    ///     }
    /// }
    /// # let stop = Stop::new();
    /// # stop.stop();
    /// # report_every_hour(&stop);
    /// ```
    pub fn wait(&self, time: Duration) -> bool {
        self.0.wait(time)
    }

    /// Calls `act` once when [`stop`](Stop::stop) is called, on the thread that calls `stop`. If `stop` was called
    /// before, calls `act` at once. Dropping the returned value removes `act`. `act` must be quick, because `stop`
    /// stops other targets after it.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use crustocean::Stop;
    ///
    /// let stop = Stop::new();
    /// let (sender, receiver) = mpsc::channel::<String>();
    /// let _on_stop = stop.on_stop(move || drop(sender)); // ends a loop over `receiver`
    /// stop.stop();
    /// assert_eq!(receiver.iter().count(), 0);
    /// ```
    pub fn on_stop(&self, act: impl FnOnce() + Send + 'static) -> OnStop {
        let callback = Arc::new(Callback(Mutex::new(Some(Box::new(act)))));
        let target: Arc<dyn Cancel> = callback.clone();
        self.0.add(Arc::downgrade(&target));
        OnStop { callback }
    }

    /// Wraps a reader. When [`stop`](Stop::stop) is called, `read` returns 0 (end of file), even if the inner reader
    /// still waits for its next byte. Use it for the answer of a language model:
    /// `BufReader::new(stop.reader(body)?).lines()`.
    ///
    /// A separate thread reads the inner reader, one chunk ahead. After `stop`, or after the returned reader is
    /// dropped, that thread ends when the inner reader returns its next chunk. The thread then drops the inner
    /// reader.
    ///
    /// ```
    /// use std::io::Read;
    /// use crustocean::Stop;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let stop = Stop::new();
    /// let mut reader = stop.reader(std::io::repeat(b'x'))?;
    /// reader.read_exact(&mut [0; 1000])?;
    /// stop.stop();
    /// assert_eq!(reader.read(&mut [0; 1000])?, 0);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The `io::Error` of the operating system if no thread can be started.
    pub fn reader(&self, inner: impl Read + Send + 'static) -> io::Result<StopReader> {
        StopReader::new(self, inner)
    }

    pub(crate) fn token(&self) -> &CancelToken {
        &self.0
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stop").field("stopped", &self.is_stopped()).finish()
    }
}

/// A registered callback of a [`Stop`]. Returned by [`Stop::on_stop`]. Dropping an `OnStop` removes the callback.
#[must_use = "if this is dropped, the function is not called"]
pub struct OnStop {
    callback: Arc<Callback>,
}

impl fmt::Debug for OnStop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnStop").finish_non_exhaustive()
    }
}

impl Drop for OnStop {
    fn drop(&mut self) {
        drop(self.callback.take());
    }
}

type Act = Box<dyn FnOnce() + Send>;

struct Callback(Mutex<Option<Act>>);

impl Callback {
    fn take(&self) -> Option<Act> {
        self.0.lock().take()
    }
}

impl Cancel for Callback {
    fn cancel(&self) {
        // A panic in the callback must not keep `stop` from stopping the other targets.
        if let Some(act) = self.take()
            && crate::user_code::caught(act).is_err()
        {
            crate::logging::warn!("a function that was registered with Stop::on_stop panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;
    use std::time::Instant;

    use super::*;

    #[test]
    fn clones_are_one_switch_that_wakes_who_waits() {
        let stop = Stop::new();
        assert!(!stop.wait(Duration::from_millis(1)) && !stop.is_stopped());
        let other = stop.clone();
        let waiting = thread::spawn(move || other.wait(Duration::MAX));
        let started = Instant::now();
        stop.stop();
        stop.stop();
        assert!(waiting.join().unwrap() && stop.is_stopped());
        assert!(stop.wait(Duration::MAX) && started.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn callbacks_come_once_and_not_when_called_off() {
        let (stop, count) = (Stop::new(), Arc::new(AtomicUsize::new(0)));
        let act = |by: usize| {
            let count = Arc::clone(&count);
            move || {
                count.fetch_add(by, Ordering::SeqCst);
            }
        };
        let _broken = stop.on_stop(|| panic!("of the user's"));
        let _first = stop.on_stop(act(1));
        drop(stop.on_stop(act(100)));
        stop.stop();
        stop.stop();
        assert_eq!(count.load(Ordering::SeqCst), 1);
        let _late = stop.on_stop(act(10));
        assert_eq!(count.load(Ordering::SeqCst), 11);
    }
}
