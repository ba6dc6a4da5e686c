//! A handle to an agent.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::agent::close;
use crate::agent::inner::AgentInner;

/// Keeps the agent alive. Everything that the program holds has such a handle, except `Every`. The agent's own threads
/// have only the state of the agent, because they must not keep the agent alive.
#[derive(Clone)]
pub(crate) struct AgentHandle {
    inner: Arc<AgentInner>,
    _alive: Arc<KeepAlive>,
}

/// All handles share this. The drop of the last handle ends the agent, even if the agent's own threads still run.
struct KeepAlive(Arc<AgentInner>);

impl Drop for KeepAlive {
    fn drop(&mut self) {
        close::release(&self.0);
    }
}

impl AgentHandle {
    /// The first handle of an agent.
    pub(super) fn new(inner: Arc<AgentInner>) -> Self {
        let alive = Arc::new(KeepAlive(Arc::clone(&inner)));
        AgentHandle { inner, _alive: alive }
    }
}

impl Deref for AgentHandle {
    type Target = Arc<AgentInner>;

    fn deref(&self) -> &Arc<AgentInner> {
        &self.inner
    }
}

impl fmt::Debug for AgentHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
