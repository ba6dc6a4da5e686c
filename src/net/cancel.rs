//! A token that ends operations on other threads.

use std::fmt;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::wire::Wire;
use crate::deadline;
use crate::sync::lock::{Condvar, Mutex};

/// Ends dials, requests and waits from another thread. Clones are the same token. A cancelled token stays cancelled.
///
/// A cancel of a token also cancels its [children](CancelToken::child). A cancel of a child does not cancel its parent.
/// So one token can end many operations, and each operation can also be ended alone.
#[derive(Clone, Default)]
pub(crate) struct CancelToken(Arc<CancelShared>);

/// An operation that a token can end. The token calls `cancel` once, on the cancelling thread, without holding its
/// lock.
pub(crate) trait Cancel: Send + Sync {
    fn cancel(&self);
}

/// The state that all clones of a token share.
#[derive(Default)]
struct CancelShared {
    state: Mutex<CancelState>,
    cancelled: Condvar,
}

#[derive(Default)]
struct CancelState {
    cancelled: bool,
    /// Weak, so that a token does not keep a socket open.
    targets: Vec<Weak<dyn Cancel>>,
}

impl CancelToken {
    /// Shuts down all registered connections, ends all waits and cancels all children. A blocked read or write
    /// returns at once.
    pub(crate) fn cancel(&self) {
        self.0.cancel();
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.0.state.lock().cancelled
    }

    /// Registers this wire's connection, so that `cancel` ends it.
    pub(crate) fn register(&self, wire: &Wire) {
        self.add(wire.weak_socket());
    }

    /// Registers this operation, so that `cancel` ends the operation. If the token is already cancelled, ends the
    /// operation at once.
    pub(crate) fn add(&self, target: Weak<dyn Cancel>) {
        let mut state = self.0.state.lock();
        if state.cancelled {
            drop(state);
            if let Some(target) = target.upgrade() {
                target.cancel();
            }
            return;
        }
        state.targets.retain(|target| target.strong_count() > 0);
        state.targets.push(target);
    }

    /// Forgets the connections, so that a later cancel does not end them. Returns `false` if the token is cancelled:
    /// the connections have ended, or end at any moment.
    ///
    /// Dropping the token is not enough, because a cancel that runs at the same time keeps the token until its end.
    #[must_use]
    pub(crate) fn release(&self) -> bool {
        let mut state = self.0.state.lock();
        state.targets.clear();
        !state.cancelled
    }

    /// Creates a child: a cancel of this token also cancels the child. The child exists as long as the caller holds it.
    pub(crate) fn child(&self) -> CancelToken {
        let child = CancelToken::default();
        self.adopt(&child);
        child
    }

    /// Makes `child` a [child](CancelToken::child) of this token.
    pub(crate) fn adopt(&self, child: &CancelToken) {
        let target: Arc<dyn Cancel> = child.0.clone();
        self.add(Arc::downgrade(&target));
    }

    /// Sleeps for this time, or until the token is cancelled. Returns whether the token is cancelled.
    pub(crate) fn wait(&self, time: Duration) -> bool {
        let until = deadline::after(time);
        let mut state = self.0.state.lock();
        while !state.cancelled {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.0.cancelled.wait_timeout(state, left);
        }
        state.cancelled
    }
}

impl Cancel for CancelShared {
    fn cancel(&self) {
        let mut state = self.state.lock();
        state.cancelled = true;
        let targets = std::mem::take(&mut state.targets);
        self.cancelled.notify_all();
        drop(state);
        for target in targets.iter().filter_map(Weak::upgrade) {
            target.cancel();
        }
    }
}

impl Cancel for TcpStream {
    fn cancel(&self) {
        // This fails only if the connection has already ended.
        let _ = self.shutdown(Shutdown::Both);
    }
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelToken").field("cancelled", &self.is_cancelled()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::thread;

    use super::*;
    use crate::net::testing::{TIME_LIMIT, pair};

    #[test]
    fn a_parent_cancels_its_children_and_not_the_other_way_round() {
        let parent = CancelToken::default();
        let (first, second) = (parent.child(), parent.child());
        let grandchild = second.child();
        first.cancel();
        assert!(first.is_cancelled() && !parent.is_cancelled() && !second.is_cancelled());
        parent.cancel();
        assert!(second.is_cancelled() && grandchild.is_cancelled());
        assert!(parent.child().is_cancelled(), "too late for a child that is not cancelled");
    }

    #[test]
    fn ends_waits_and_reads() {
        let token = CancelToken::default();
        assert!(!token.wait(Duration::from_millis(5)));
        let (ours, _peer) = pair();
        let mut wire = Wire::new(ours);
        let child = token.child();
        child.register(&wire);
        let started = Instant::now();
        thread::scope(|scope| {
            scope.spawn(|| assert!(token.wait(Duration::MAX)));
            scope.spawn(|| assert_eq!(wire.read(&mut [0]).unwrap(), 0));
            thread::sleep(Duration::from_millis(20));
            token.cancel();
        });
        assert!(started.elapsed() < TIME_LIMIT);
    }

    #[test]
    fn what_is_released_outlives_a_cancel() {
        let token = CancelToken::default();
        let child = token.child();
        let (ours, mut peer) = pair();
        let mut wire = Wire::new(ours);
        child.register(&wire);
        assert!(child.release());
        token.cancel();
        peer.write_all(b"x").unwrap();
        assert_eq!(wire.read(&mut [0]).unwrap(), 1);
        assert!(!child.release(), "too late");
    }

    #[test]
    fn keeps_nothing_alive() {
        let token = CancelToken::default();
        for _ in 0..100 {
            drop(token.child());
        }
        assert!(token.0.state.lock().targets.len() <= 1);
    }
}
