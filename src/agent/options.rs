//! The settings of an agent.

use std::time::Duration;

use crate::agent::LongMessages;
use crate::agent::memory::Remember;
use crate::socket::{Policy, Reconnect, Transport};

/// Settings of an agent that a client does not have.
#[derive(Debug, Clone)]
pub(crate) struct AgentOptions {
    pub(crate) send_timeout: Duration,
    pub(crate) join_timeout: Duration,
    pub(crate) post_timeout: Duration,
    pub(crate) run_wait: Duration,
    pub(crate) long_messages: LongMessages,
    pub(crate) policy: Policy,
    pub(crate) first_connect: Reconnect,
    pub(crate) close_timeout: Duration,
    pub(crate) handshake_timeout: Duration,
    pub(crate) transport: Transport,
    pub(crate) max_queued_events: usize,
    pub(crate) max_queued_bytes: usize,
    pub(crate) remember: Option<Remember>,
    pub(crate) max_age: Duration,
}

impl Default for AgentOptions {
    fn default() -> Self {
        AgentOptions {
            send_timeout: Duration::from_secs(30),
            join_timeout: Duration::from_secs(15),
            post_timeout: Duration::from_secs(15),
            run_wait: Duration::from_secs(300),
            long_messages: LongMessages::default(),
            policy: Policy::default(),
            first_connect: Reconnect::Never,
            close_timeout: Duration::from_secs(5),
            handshake_timeout: Duration::from_secs(20),
            transport: Transport::Auto,
            max_queued_events: 4096,
            max_queued_bytes: 32 << 20,
            remember: None,
            max_age: Duration::from_secs(24 * 60 * 60),
        }
    }
}
