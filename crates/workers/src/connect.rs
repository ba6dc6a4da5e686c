//! Connecting the agent to the platform.

use std::sync::Arc;
use std::time::Duration;

use crustocean::agent::AgentBuilder;
use crustocean::{Agent, AgentToken};

use crate::backoff::Backoff;
use crate::error::{Error, Result};
use crate::lease::Term;

pub(crate) type Connect = Arc<dyn Fn(AgentBuilder) -> crustocean::Result<Agent> + Send + Sync>;

/// Connects with the token from the environment, like [`Agent::from_env`].
pub(crate) fn from_env() -> Connect {
    Arc::new(|builder| builder.connect(AgentToken::from_env()?))
}

/// Connects the agent, and retries while the platform cannot be reached. `None` when the term ended.
///
/// # Errors
/// A permanent error, such as a revoked token.
pub(crate) fn connect_with_retry(connect: &Connect, term: &Term, margin: Duration) -> Result<Option<Agent>> {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));
    while term.should_continue() {
        // Limit the send timeout, because the agent must not send a message after a reconnect when another process has
        // got the lease.
        let connected = crate::user_code::caught(|| connect(Agent::builder().send_timeout(margin / 2)));
        let connected =
            connected.map_err(|panic| Error::invalid(format!("connecting the agent panicked: {panic}")))?;
        match connected {
            Ok(agent) => return Ok(Some(agent)),
            Err(error) if is_transient(&error) => {
                crate::logging::record!(Warn, "cannot connect the agent: {error}");
                term.wait_for_end(error.retry_after().unwrap_or_else(|| backoff.next()));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

/// Whether the same call may succeed later without any change.
pub(crate) fn is_transient(error: &crustocean::Error) -> bool {
    use crustocean::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::Connect | Kind::Timeout | Kind::RateLimited | Kind::NotSent | Kind::MaybeSent | Kind::Protocol
    ) || error.status().is_some_and(|status| status >= 500)
}
