//! The choice of the transport.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::{Error, ErrorKind, Result};

/// The transport of an agent's connection.
///
/// ```no_run
/// use crustocean::agent::Transport;
/// use crustocean::{Agent, AgentToken};
///
/// # fn main() -> crustocean::Result<()> {
/// // In a network whose proxy blocks WebSockets, this avoids the failing attempts of `Auto`.
/// let agent = Agent::builder().transport(Transport::Polling).connect(AgentToken::from_env()?)?;
/// # agent.close()
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Transport {
    /// WebSocket, or HTTP long-polling where a WebSocket does not get through. The default. Without the feature
    /// `polling` it is the same as [`WebSocket`](Transport::WebSocket).
    #[default]
    Auto,
    /// Only WebSocket.
    WebSocket,
    /// Only HTTP long-polling. It is slower: every message is a separate request. Without the feature `polling`,
    /// connecting returns a `Config` error.
    Polling,
}

impl Transport {
    /// # Errors
    /// `Config` if the transport is not compiled in.
    pub(crate) fn check(self) -> Result<()> {
        if self == Transport::Polling && !cfg!(feature = "polling") {
            return Err(not_compiled_in());
        }
        Ok(())
    }
}

pub(crate) fn not_compiled_in() -> Error {
    Error::config("long-polling is not compiled in: turn on the feature `polling` of crustocean")
}

/// With [`Transport::Auto`], while the session uses polling, every tenth connect tries a WebSocket again.
const TRY_AGAIN: u32 = 10;

/// The transport that worked last: 0 is WebSocket; other values count the connects since the last fallback to polling.
#[derive(Debug, Default)]
pub(crate) struct TransportMemory(AtomicU32);

impl TransportMemory {
    /// Whether to start with polling. Call it once per connect.
    pub(crate) fn prefers_polling(&self) -> bool {
        let count = self.0.load(Ordering::Relaxed);
        if count > 0 {
            self.0.store(count % TRY_AGAIN + 1, Ordering::Relaxed);
        }
        !matches!(count, 0 | TRY_AGAIN)
    }

    pub(crate) fn polling_works(&self) {
        let _ = self.0.compare_exchange(0, 1, Ordering::Relaxed, Ordering::Relaxed);
    }

    pub(crate) fn forget(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// Whether polling may work after this WebSocket error. `false` for a 401 or 429 of the server, because the server
/// would answer the same again. A 403 may come from a proxy that blocks WebSockets.
pub(crate) fn polling_may_cure(error: &Error) -> bool {
    match error.status() {
        Some(status) => !matches!(status, 401 | 429),
        None => matches!(error.kind(), ErrorKind::Connect | ErrorKind::Timeout),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_a_websocket_again_now_and_then() {
        let memory = TransportMemory::default();
        assert!((0..50).all(|_| !memory.prefers_polling()));
        memory.polling_works();
        let chosen: Vec<bool> = (0..30)
            .map(|_| {
                let polling = memory.prefers_polling();
                memory.polling_works();
                polling
            })
            .collect();
        let websockets: Vec<usize> = (0..30).filter(|at| !chosen[*at]).collect();
        assert_eq!(websockets, [9, 19, 29]);
        memory.forget();
        assert!(!memory.prefers_polling());
    }

    #[test]
    fn knows_what_polling_may_cure() {
        let status = |status| Error::new(ErrorKind::Server, "x").with_status(status);
        for cured in [200, 301, 400, 403, 404, 426, 500, 502, 503] {
            assert!(polling_may_cure(&status(cured)), "{cured}");
        }
        for said in [401, 429] {
            assert!(!polling_may_cure(&status(said)), "{said}");
        }
        assert!(polling_may_cure(&Error::timeout("x")) && !polling_may_cure(&Error::protocol("x")));
    }
}
