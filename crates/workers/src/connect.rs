//! How processes get their connection to the platform.

use std::sync::Arc;
use std::time::Duration;

use crustocean::agent::AgentBuilder;
use crustocean::{Agent, AgentToken};

use crate::backoff::Backoff;
use crate::error::Result;
use crate::lease::Term;

pub(crate) type Connect = Arc<dyn Fn(AgentBuilder) -> crustocean::Result<Agent> + Send + Sync>;

/// With the token from the environment, as [`Agent::from_env`].
pub(crate) fn from_env() -> Connect {
    Arc::new(|builder| builder.connect(AgentToken::from_env()?))
}

/// Connects, and tries again while the platform cannot be reached. `None` when the term ended.
///
/// # Errors
/// What trying again does not change: a token that is dead, say.
pub(crate) fn patiently(connect: &Connect, term: &Term, margin: Duration) -> Result<Option<Agent>> {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));
    while term.goes_on() {
        // A message that waits for a lost connection must not go out when the lease is somebody else's.
        match connect(Agent::builder().send_timeout(margin / 2)) {
            Ok(agent) => return Ok(Some(agent)),
            Err(error) if is_passing(&error) => {
                log::warn!("cannot connect the agent: {error}");
                term.wait_end(error.retry_after().unwrap_or_else(|| backoff.next()));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

/// Whether the same may work later, without anybody doing anything about it.
pub(crate) fn is_passing(error: &crustocean::Error) -> bool {
    use crustocean::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::Connect | Kind::Timeout | Kind::RateLimited | Kind::NotSent | Kind::MaybeSent | Kind::Protocol
    ) || error.status().is_some_and(|status| status >= 500)
}
