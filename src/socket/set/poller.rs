//! Waits for bytes on many sockets.

use std::io;
#[cfg(windows)]
use std::net::TcpStream;
#[cfg(not(windows))]
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

#[cfg(not(windows))]
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};

use crate::socket::session::connection::Connection;

/// How many sockets are told of at a time.
const AT_ONCE: usize = 1024;
const BELL: Token = Token(usize::MAX);

pub(super) struct Poller {
    poll: Poll,
    events: Events,
}

/// Ends a wait of the poller.
pub(super) struct Bell(Waker);

impl Bell {
    pub(super) fn ring(&self) {
        // Without it the poller would sleep until something else comes. It fails only if the poller is gone.
        let _ = self.0.wake();
    }
}

/// A socket that the poller watches.
pub(super) struct Watched {
    /// Keeps the descriptor open.
    #[cfg(not(windows))]
    connection: Arc<Connection>,
    /// There, a handle of the poller's own is needed.
    #[cfg(windows)]
    socket: mio::net::TcpStream,
    token: Token,
}

#[cfg(not(windows))]
impl Watched {
    /// Open as long as the connection is kept here.
    fn descriptor(&self) -> std::os::fd::RawFd {
        self.connection.with_socket(AsRawFd::as_raw_fd)
    }
}

impl Poller {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Poller { poll: Poll::new()?, events: Events::with_capacity(AT_ONCE) })
    }

    pub(super) fn bell(&self) -> io::Result<Bell> {
        Waker::new(self.poll.registry(), BELL).map(Bell)
    }

    /// Waits at most this long for bytes. Notes in `readable` the numbers of sockets that have some, and whether they may
    /// have ended.
    pub(super) fn wait(&mut self, limit: Option<Duration>, readable: &mut Vec<(u64, bool)>) {
        // A signal ends it early, which does no harm. There is no other error to expect.
        if self.poll.poll(&mut self.events, limit).is_err() {
            return;
        }
        for event in &self.events {
            if event.token() != BELL {
                let ended = event.is_read_closed() || event.is_error();
                readable.push((event.token().0 as u64, ended));
            }
        }
    }

    /// Tells of this connection's socket once, and again whenever more comes.
    pub(super) fn watch(&self, number: u64, connection: Arc<Connection>) -> io::Result<Watched> {
        let token = Token(number as usize);
        #[cfg(not(windows))]
        let watched = {
            let descriptor = connection.with_socket(AsRawFd::as_raw_fd);
            self.poll.registry().register(&mut SourceFd(&descriptor), token, Interest::READABLE)?;
            Watched { connection, token }
        };
        #[cfg(windows)]
        let watched = {
            let socket = connection.with_socket(TcpStream::try_clone)?;
            let mut socket = mio::net::TcpStream::from_std(socket);
            self.poll.registry().register(&mut socket, token, Interest::READABLE)?;
            Watched { socket, token }
        };
        Ok(watched)
    }

    /// Tells of it again if there are bytes now.
    pub(super) fn look_again(&self, watched: &mut Watched) -> io::Result<()> {
        let (registry, token) = (self.poll.registry(), watched.token);
        #[cfg(not(windows))]
        return registry.reregister(&mut SourceFd(&watched.descriptor()), token, Interest::READABLE);
        #[cfg(windows)]
        return registry.reregister(&mut watched.socket, token, Interest::READABLE);
    }

    pub(super) fn forget(&self, watched: &mut Watched) {
        let registry = self.poll.registry();
        // It fails if the socket is gone.
        #[cfg(not(windows))]
        let _ = registry.deregister(&mut SourceFd(&watched.descriptor()));
        #[cfg(windows)]
        let _ = registry.deregister(&mut watched.socket);
    }
}
