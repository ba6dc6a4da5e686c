//! Who keeps a session that has no background thread.

/// Keeps a session. Called under the session's lock, so it only notes what to do.
pub(crate) trait Keeper: Send + Sync {
    /// The session wants to be attended (`attend` has what that is).
    fn wake(&self);
    /// There may be something for a consumer to take, or the session is over.
    fn tell_consumers(&self);
    /// Tells the keepers of one session apart.
    #[cfg(any(feature = "agents", crustocean_model))]
    fn number(&self) -> u64;
}
