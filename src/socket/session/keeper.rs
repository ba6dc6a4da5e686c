//! The keeper of a session that has no background thread.

/// Keeps a session. The methods run under the session's lock, so they only note what to do.
pub(crate) trait Keeper: Send + Sync {
    /// The keeper must attend the session: see the module `attend`.
    fn wake(&self);
    /// There may be items for a consumer, or the session is over.
    fn notify_consumers(&self);
    /// Identifies a keeper among the keepers of one session.
    #[cfg(any(feature = "agents", crustocean_model))]
    fn number(&self) -> u64;
}
