//! Waits for bytes on many sockets.

use std::io;
#[cfg(not(windows))]
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

#[cfg(not(windows))]
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};

use crate::socket::session::connection::Connection;

/// The most sockets that one wait reports.
const AT_ONCE: usize = 1024;
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(50);
const WAKER: Token = Token(usize::MAX);

pub(super) struct Poller {
    poll: Poll,
    events: Events,
}

/// Ends a wait of the poller.
pub(super) struct PollWaker(Waker);

impl PollWaker {
    pub(super) fn wake(&self) {
        // The call fails only if the poller is gone, and then no thread sleeps in it.
        let _ = self.0.wake();
    }
}

/// A socket that the poller watches.
pub(super) struct Watched {
    /// Keeps the descriptor open.
    #[cfg(not(windows))]
    connection: Arc<Connection>,
    /// On Windows, the poller needs its own handle.
    #[cfg(windows)]
    socket: mio::net::TcpStream,
    token: Token,
}

#[cfg(not(windows))]
impl Watched {
    /// The descriptor stays open while the connection is stored here.
    fn descriptor(&self) -> std::os::fd::RawFd {
        self.connection.socket().as_raw_fd()
    }
}

impl Poller {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Poller { poll: Poll::new()?, events: Events::with_capacity(AT_ONCE) })
    }

    pub(super) fn waker(&self) -> io::Result<PollWaker> {
        Waker::new(self.poll.registry(), WAKER).map(PollWaker)
    }

    /// Waits for bytes, at most for `limit`. Adds to `readable` the number of each socket that has bytes, and whether that
    /// socket may have ended.
    pub(super) fn wait(&mut self, limit: Option<Duration>, readable: &mut Vec<(u64, bool)>) {
        if let Err(error) = self.poll.poll(&mut self.events, limit) {
            // A signal ends the wait early, which does no harm. Other errors should not happen; the pause prevents a
            // busy loop.
            if error.kind() != io::ErrorKind::Interrupted {
                std::thread::sleep(PAUSE_AFTER_ERROR);
            }
            return;
        }
        for event in &self.events {
            if event.token() != WAKER {
                let ended = event.is_read_closed() || event.is_error();
                readable.push((event.token().0 as u64, ended));
            }
        }
    }

    /// Watches the connection's socket. A wait reports the socket once, and again whenever more bytes come.
    pub(super) fn watch(&self, number: u64, connection: Arc<Connection>) -> io::Result<Watched> {
        let token = Token(number as usize);
        #[cfg(not(windows))]
        let watched = {
            let descriptor = connection.socket().as_raw_fd();
            self.poll.registry().register(&mut SourceFd(&descriptor), token, Interest::READABLE)?;
            Watched { connection, token }
        };
        #[cfg(windows)]
        let watched = {
            let socket = connection.socket().try_clone()?;
            let mut socket = mio::net::TcpStream::from_std(socket);
            self.poll.registry().register(&mut socket, token, Interest::READABLE)?;
            Watched { socket, token }
        };
        Ok(watched)
    }

    /// Makes the next wait report the socket again, if it has bytes.
    pub(super) fn look_again(&self, watched: &mut Watched) -> io::Result<()> {
        let (registry, token) = (self.poll.registry(), watched.token);
        #[cfg(not(windows))]
        return registry.reregister(&mut SourceFd(&watched.descriptor()), token, Interest::READABLE);
        #[cfg(windows)]
        return registry.reregister(&mut watched.socket, token, Interest::READABLE);
    }

    pub(super) fn forget(&self, watched: &mut Watched) {
        let registry = self.poll.registry();
        // The call fails if the socket is gone.
        #[cfg(not(windows))]
        let _ = registry.deregister(&mut SourceFd(&watched.descriptor()));
        #[cfg(windows)]
        let _ = registry.deregister(&mut watched.socket);
    }
}
