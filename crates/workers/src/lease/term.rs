//! One term of a lease, for its holder.

use std::fmt;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crustocean::{OnStop, Stop};

use super::config::LeaseConfig;
use super::renewal;
use super::term_state::{EndHandle, TermEnd, TermState};
use crate::connection::RedisConnection;
use crate::error::{Error, Result};
use crate::moment::Moment;

/// The time in which one process holds a [`Lease`](crate::Lease). A background thread renews the term. Dropping the
/// term releases the lease.
///
/// ```no_run
/// use std::time::Duration;
/// use crustocean_workers::{Stop, Store};
///
/// # fn main() -> crustocean_workers::Result<()> {
/// if let Some(term) = Store::from_env()?.lease("nightly-report")?.acquire(&Stop::new())? {
///     while term.should_continue() {
///         // work that only one process may do
///         term.wait_for_end(Duration::from_secs(1));
///     }
/// }
/// # Ok(()) }
/// ```
#[must_use = "dropping a term releases its lease"]
pub struct Term {
    state: Arc<TermState>,
    renewing: Option<JoinHandle<()>>,
    /// Requests the end of the term when a `Stop` is stopped.
    on_stop: Option<OnStop>,
}

impl Term {
    pub(super) fn begin(config: LeaseConfig, fence: u64, value: String, asked: Moment) -> Result<Self> {
        let state = Arc::new(TermState::new(config, fence, value, asked));
        let start = |name: &str, run: fn(&TermState)| {
            let state = Arc::clone(&state);
            thread::Builder::new().name(name.to_owned()).spawn(move || run(&state)).map_err(Error::no_thread)
        };
        // Watch the time on a second thread, because the renewal thread may wait for the network.
        start("lease-watch", TermState::watch)?;
        let renewing = Some(start("lease-renewal", renewal::run)?);
        Ok(Term { state, renewing, on_stop: None })
    }

    /// Requests the end of this term when `stop` is stopped.
    pub(super) fn ending_with(mut self, stop: &Stop) -> Self {
        let handle = self.end_handle();
        self.on_stop = Some(stop.on_stop(move || handle.request_end()));
        self
    }

    /// The fencing number, which is higher than that of every term before. Send it along with what you write to another
    /// system, so that the system can refuse a lower number than the highest it has seen.
    pub fn fence(&self) -> u64 {
        self.state.fence
    }

    /// Whether this process certainly holds the lease now and for at least another quarter of the term's length.
    pub fn is_held(&self) -> bool {
        self.state.is_held()
    }

    /// The reason for the end of the term. `None` while the term goes on.
    pub fn end(&self) -> Option<TermEnd> {
        self.state.is_held();
        self.state.why_ended()
    }

    /// Whether the holder should go on working: it holds the lease, and nobody has requested the end of the term.
    pub fn should_continue(&self) -> bool {
        self.end().is_none() && self.is_held()
    }

    /// Requests the end of the term, like a [`Stop`](crate::Stop). The holder finishes its work and then drops the
    /// term.
    pub fn request_end(&self) {
        self.state.end(TermEnd::Requested);
    }

    /// Waits until the term ends, for `limit` at most. Returns the reason for its end, or `None` if the term goes on.
    pub fn wait_for_end(&self, limit: Duration) -> Option<TermEnd> {
        self.state.wait_for_end(limit)
    }

    /// Calls `act` on a separate thread when the term is lost or somebody requests its end, whichever is first. If the
    /// term has ended already, calls `act` at once on this thread.
    ///
    /// If the term is lost, the call comes a quarter of the term's length before another process can get the lease. So
    /// `act` should be quick: for example, [close an agent](Term::close_at_end) or set a flag.
    pub fn on_end(&self, act: impl FnOnce(TermEnd) + Send + 'static) {
        self.state.on_end(act);
    }

    /// Closes an agent when the term ends. The agent's event loops then end, and it sends nothing more.
    pub fn close_at_end(&self, agent: &crustocean::Agent) {
        let agent = agent.clone();
        self.on_end(move |_| {
            if let Err(error) = agent.close() {
                crate::logging::record!(Info, "closing the agent at the end of a term: {error}");
            }
        });
    }

    /// Releases the lease, so that another process can take it at once. Dropping the term has the same effect.
    pub fn release(self) {
        drop(self);
    }

    /// Asks Redis whether this term still holds the lease.
    pub(crate) fn verify(&self, redis: &mut RedisConnection) -> Result<bool> {
        let key = self.key();
        let held: Option<String> = redis.run(|connection| redis::cmd("GET").arg(key).query(connection))?;
        Ok(held.as_deref() == Some(self.value()))
    }

    /// The value of the lease's key during this term. A script writes only if the key has this value.
    pub(crate) fn value(&self) -> &str {
        &self.state.value
    }

    pub(crate) fn key(&self) -> &str {
        &self.state.config.keys.lease
    }

    pub(crate) fn end_handle(&self) -> EndHandle {
        EndHandle::new(&self.state)
    }

    /// Ends the term because Redis says that another process has the lease.
    pub(crate) fn lose(&self) {
        self.state.end(TermEnd::Lost);
    }
}

impl Drop for Term {
    fn drop(&mut self) {
        self.state.mark_released();
        // The renewal thread ends within a fraction of a term: its requests to Redis have short time limits.
        if let Some(renewing) = self.renewing.take() {
            let _ = renewing.join();
        }
    }
}

impl fmt::Debug for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Term")
            .field("lease", &self.state.config.name)
            .field("fence", &self.fence())
            .field("end", &self.state.why_ended())
            .finish_non_exhaustive()
    }
}
