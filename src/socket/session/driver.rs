//! The driver of a session: does the work of its background thread.

/// Does the work of a session's background thread, usually for many sessions on one thread. The methods run under the
/// session's lock, so they only note what to do.
pub(crate) trait Driver: Send + Sync {
    /// The session has work. The driver must call `run_due_work` of the module `due_work` for this session soon.
    fn wake(&self);
    /// There may be items for a consumer, or the session is over.
    fn notify_consumers(&self);
    /// Identifies a driver among the drivers of one session.
    #[cfg(any(feature = "agents", crustocean_model))]
    fn number(&self) -> u64;
}
