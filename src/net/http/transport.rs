//! What ureq sends and receives through: our dialler's connections, so that HTTP and WebSocket share one way out.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, Read, Write};
use std::time::Instant;

use ureq::Error as UreqError;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};
use zeroize::Zeroizing;

use crate::deadline;
use crate::error::Error;
use crate::net::dial::{CancelToken, Dialer};
use crate::net::tls::Stream;
use crate::net::url::ApiUrl;

/// Also the upper bound of an answer's head.
pub(super) const INPUT_BUFFER: usize = 64 * 1024;
pub(super) const OUTPUT_BUFFER: usize = 16 * 1024;

thread_local! {
    /// The credential's header line of the request this thread is sending.
    static CREDENTIAL: RefCell<Option<Zeroizing<Vec<u8>>>> = const { RefCell::new(None) };
}

/// Runs one request of ureq whose head gets this header line.
///
/// ureq prints every head it writes to the log, at level trace, credentials included. So it never sees them:
/// they join the head in [`HttpTransport`], which runs on the same thread.
pub(super) fn with_credential<T>(credential: Option<(&'static str, &str)>, run: impl FnOnce() -> T) -> T {
    struct Forget;
    impl Drop for Forget {
        fn drop(&mut self) {
            CREDENTIAL.take();
        }
    }

    let line = credential.map(|(name, value)| {
        let mut line = Zeroizing::new(Vec::with_capacity(name.len() + value.len() + 4));
        for part in [name, ": ", value, "\r\n"] {
            line.extend_from_slice(part.as_bytes());
        }
        line
    });
    CREDENTIAL.set(line);
    let _forget = Forget;
    run()
}

/// A connection from the pool turned out to be dead before a single byte of the request had left.
#[derive(Debug)]
pub(super) struct NothingSent(pub(super) io::Error);

impl fmt::Display for NothingSent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the connection was closed before the request was sent: {}", self.0)
    }
}

impl std::error::Error for NothingSent {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

#[derive(Debug)]
pub(super) struct DialConnector {
    pub(super) dialer: Dialer,
    pub(super) url: ApiUrl,
}

impl Connector for DialConnector {
    type Out = HttpTransport;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _: Option<()>,
    ) -> Result<Option<HttpTransport>, UreqError> {
        let cancel = CancelToken::default();
        (details.register_shutdown)(cancel.shutdown_handle())?;
        let stream = self
            .dialer
            .dial_cancellable(&self.url, deadline(details.timeout), &cancel)
            .map_err(|error| UreqError::Other(Box::new(error)))?;
        let written_before = stream.wire().written();
        Ok(Some(HttpTransport {
            stream,
            buffers: new_buffers(),
            written_before,
            at_head: true,
            head: Zeroizing::default(),
            _cancel: cancel,
        }))
    }
}

/// The dialler looks names up itself, under the same deadline as the rest of the dial.
#[derive(Debug)]
pub(super) struct NoResolver;

impl Resolver for NoResolver {
    fn resolve(
        &self,
        _: &Uri,
        _: &ureq::config::Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, UreqError> {
        Ok(self.empty())
    }
}

pub(super) struct HttpTransport {
    stream: Stream,
    buffers: LazyBuffers,
    /// What the wire had written when the current request began.
    written_before: u64,
    /// ureq has not handed over anything of the current request yet.
    at_head: bool,
    /// Held back to leave in one packet, and one record of TLS, with the body. ureq writes the two by themselves.
    head: Zeroizing<Vec<u8>>,
    /// ureq holds it weakly, to end a request in flight.
    _cancel: CancelToken,
}

impl HttpTransport {
    /// Takes a piece of the request out of the output buffer. The head waits for what follows it.
    fn transmit(&mut self, amount: usize) -> io::Result<()> {
        let output = self.buffers.output().get(..amount).unwrap_or_default();
        if self.at_head {
            self.at_head = false;
            self.head = with_line(output, CREDENTIAL.take())?;
            return Ok(());
        }
        if self.head.is_empty() {
            self.stream.write_all(output)?;
        } else {
            let head = std::mem::take(&mut self.head);
            // Not appended: a vector that moves leaves the credential behind where it was.
            let mut both = Zeroizing::new(Vec::with_capacity(head.len() + amount));
            both.extend_from_slice(&head);
            both.extend_from_slice(output);
            self.stream.write_all(&both)?;
        }
        self.stream.flush()
    }

    /// The head of a request without a body.
    fn transmit_head(&mut self) -> io::Result<()> {
        let head = std::mem::take(&mut self.head);
        if head.is_empty() {
            return Ok(());
        }
        self.stream.write_all(&head)?;
        self.stream.flush()
    }

    fn unsent(&self, error: io::Error, timeout: NextTimeout) -> UreqError {
        if error.kind() == io::ErrorKind::TimedOut {
            UreqError::Timeout(timeout.reason)
        } else if self.stream.wire().written() == self.written_before {
            UreqError::Other(Box::new(NothingSent(error)))
        } else {
            UreqError::Io(error)
        }
    }
}

/// A head with one more line.
fn with_line(head: &[u8], line: Option<Zeroizing<Vec<u8>>>) -> io::Result<Zeroizing<Vec<u8>>> {
    let Some(line) = line else { return Ok(Zeroizing::new(head.to_vec())) };
    let line_end = head.windows(2).position(|pair| pair == b"\r\n");
    let (first, rest) = line_end
        .and_then(|end| head.split_at_checked(end + 2))
        .ok_or_else(|| io::Error::other("a request without a first line"))?;
    let mut whole = Zeroizing::new(Vec::with_capacity(head.len() + line.len()));
    for part in [first, &line, rest] {
        whole.extend_from_slice(part);
    }
    Ok(whole)
}

impl Transport for HttpTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), UreqError> {
        let timeout = timeout.for_write();
        self.stream.wire_mut().set_deadline(Some(deadline(timeout)));
        self.transmit(amount).map_err(|error| self.unsent(error, timeout))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, UreqError> {
        let timeout = timeout.for_read();
        self.stream.wire_mut().set_deadline(Some(deadline(timeout)));
        self.transmit_head().map_err(|error| self.unsent(error, timeout))?;
        let space = self.buffers.input_append_buf();
        if space.is_empty() {
            return Err(UreqError::LargeResponseHeader(INPUT_BUFFER, INPUT_BUFFER));
        }
        match self.stream.read(space) {
            Ok(count) => {
                self.buffers.input_appended(count);
                Ok(count > 0)
            }
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(UreqError::Timeout(timeout.reason)),
            // TLS has said it in words of ours.
            Err(error) => Err(match error.downcast::<Error>() {
                Ok(error) => UreqError::Other(Box::new(error)),
                Err(error) => UreqError::Io(error),
            }),
        }
    }

    /// ureq asks when it puts a connection into the pool and when it takes it out.
    fn is_open(&mut self) -> bool {
        // An idle connection needs no buffers: they come back with the next request.
        if self.buffers.input().is_empty() {
            self.buffers = new_buffers();
        }
        self.written_before = self.stream.wire().written();
        self.at_head = true;
        self.head = Zeroizing::default();
        // Bytes nobody asked for would be taken for the next answer.
        !self.stream.has_decrypted() && self.stream.wire().is_quiet()
    }

    fn is_tls(&self) -> bool {
        self.stream.is_tls()
    }
}

impl fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTransport").field("tls", &self.stream.is_tls()).finish_non_exhaustive()
    }
}

fn new_buffers() -> LazyBuffers {
    LazyBuffers::new(INPUT_BUFFER, OUTPUT_BUFFER)
}

fn deadline(timeout: NextTimeout) -> Instant {
    deadline::after(*timeout.after)
}
