//! Idle connections that may be used again.

use std::time::{Duration, Instant};

use crate::net::tls::MaybeTlsStream;
use crate::sync::lock::Mutex;

/// A GET may use an older connection than other requests, because the client retries a GET if the connection is dead.
pub(super) const MAX_IDLE: Duration = Duration::from_secs(60);
/// Node closes idle connections after 5 s by default. A request that must not be sent twice uses only younger
/// connections.
pub(super) const MAX_IDLE_ONCE: Duration = Duration::from_secs(4);
/// The most connections in the pool.
pub(super) const MAX_CONNECTIONS: usize = 8;

/// The connection that was used last is at the end.
#[derive(Default)]
pub(super) struct Pool(Mutex<Vec<Idle>>);

struct Idle {
    stream: MaybeTlsStream,
    since: Instant,
}

impl Pool {
    /// Takes the connection that was used last, if it is still open and was not idle for longer than `max_idle`.
    pub(super) fn take(&self, max_idle: Duration) -> Option<MaybeTlsStream> {
        let mut idle = self.0.lock();
        idle.retain(|idle| idle.since.elapsed() < MAX_IDLE);
        while let Some(Idle { mut stream, .. }) = idle.pop_if(|idle| idle.since.elapsed() < max_idle) {
            // The next request would take unexpected bytes for its response.
            if stream.is_idle() {
                return Some(stream);
            }
        }
        None
    }

    pub(super) fn put(&self, stream: MaybeTlsStream) {
        let mut idle = self.0.lock();
        if idle.len() >= MAX_CONNECTIONS {
            idle.remove(0);
        }
        idle.push(Idle { stream, since: Instant::now() });
    }

    /// Adds a connection that no request has used yet. `take` prefers connections that were used before.
    pub(super) fn put_new(&self, stream: MaybeTlsStream) {
        let mut idle = self.0.lock();
        if idle.len() < MAX_CONNECTIONS {
            idle.insert(0, Idle { stream, since: Instant::now() });
        }
    }

    /// Closes all connections.
    pub(super) fn clear(&self) {
        self.0.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::TcpStream;

    use super::*;
    use crate::net::testing::pair;
    use crate::net::wire::Wire;

    /// A pool whose connections were added this many seconds ago, and the server's ends.
    fn pool(ages: &[u64]) -> (Pool, Vec<TcpStream>) {
        let pool = Pool::default();
        let mut peers = Vec::new();
        for age in ages {
            let (ours, peer) = pair();
            pool.put(MaybeTlsStream::Plain(Wire::new(ours)));
            pool.0.lock().last_mut().unwrap().since -= Duration::from_secs(*age);
            peers.push(peer);
        }
        (pool, peers)
    }

    #[test]
    fn what_must_not_be_sent_twice_takes_no_old_connection() {
        let (pool, _peers) = pool(&[100, 30, 10, 0]);
        assert!(pool.take(MAX_IDLE_ONCE).is_some());
        assert!(pool.take(MAX_IDLE_ONCE).is_none());
        assert!(pool.take(MAX_IDLE).is_some() && pool.take(MAX_IDLE).is_some());
        assert!(pool.take(MAX_IDLE).is_none(), "too old for anything");
    }

    #[test]
    fn only_a_quiet_connection_is_taken() {
        let (pool, mut peers) = pool(&[0, 0, 0]);
        let mut speaks = peers.pop().unwrap();
        speaks.write_all(b"HTTP/1.1 200 OK\r\n").unwrap();
        drop(peers.pop());
        for stream in pool.0.lock().iter().skip(1) {
            stream.stream.wire().socket().unwrap().peek(&mut [0]).unwrap();
        }
        assert!(pool.take(MAX_IDLE).is_some());
        assert!(pool.take(MAX_IDLE).is_none());
    }

    #[test]
    fn few_are_kept() {
        let (pool, _peers) = pool(&[0; 2 * MAX_CONNECTIONS]);
        assert_eq!(std::iter::from_fn(|| pool.take(MAX_IDLE)).count(), MAX_CONNECTIONS);
    }
}
