//! TLS by a compiled-in library. All TLS `cfg`s of the crate are in this file.
//!
//! This module performs the handshake: blocking, under the wire's deadline. tungstenite's own handshake panics on a
//! timeout, and selects its library by features that other crates may enable. This crate does not use ALPN, because it
//! speaks only HTTP/1.1.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use self::lower_stream::LowerStream;
use super::wire::Wire;
use crate::deadline;
use crate::error::{Error, Result};
use crate::net::settings::{Tls, TlsSettings};

mod lower_stream;
#[cfg(feature = "tls-native")]
mod native;
#[cfg(not(all(feature = "tls-rustls", feature = "tls-native")))]
mod none;
#[cfg(any(feature = "tls-rustls", feature = "tls-native"))]
mod refusal;
#[cfg(feature = "tls-rustls")]
mod rustls;
#[cfg(test)]
mod tests;

#[cfg(not(feature = "tls-native"))]
use none as native;
#[cfg(not(feature = "tls-rustls"))]
use none as rustls;

const HAS_RUSTLS: bool = cfg!(feature = "tls-rustls");
const HAS_NATIVE: bool = cfg!(feature = "tls-native");

/// How long [`MaybeTlsStream::is_idle`] may read data that the server has sent without a request.
const MAX_CHECK: Duration = Duration::from_millis(50);

/// Creates TLS sessions. Cheap to clone. Clients and agents with the same settings share one connector, because the
/// root certificates of a library take up to 2 MB.
#[derive(Clone)]
pub(crate) struct TlsConnector(Arc<TlsConnectorShared>);

struct TlsConnectorShared {
    settings: TlsSettings,
    library: Library,
}

enum Library {
    Rustls(rustls::Connector),
    Native(native::Connector),
    /// No library is compiled in. Only `http` URLs work.
    Absent,
}

/// The connectors in use. The references are weak, so that the drop of the last client with a private key wipes this
/// key. No thread waits for this lock, because in a forked child the lock may stay taken forever. A thread that does
/// not get the lock creates its own connector.
static IN_USE: Mutex<Vec<Weak<TlsConnectorShared>>> = Mutex::new(Vec::new());

impl TlsConnector {
    /// # Errors
    /// `Config` if the selected library is not compiled in, or if an extra root certificate cannot be read.
    pub(crate) fn new(settings: &TlsSettings) -> Result<Self> {
        if let Some(shared) = TlsConnectorShared::in_use(settings) {
            return Ok(TlsConnector(shared));
        }
        let shared =
            Arc::new(TlsConnectorShared { settings: settings.clone(), library: Library::new(settings)? });
        if let Ok(mut in_use) = IN_USE.try_lock() {
            in_use.push(Arc::downgrade(&shared));
        }
        Ok(TlsConnector(shared))
    }

    /// # Errors
    /// `Config` if no TLS library is compiled in. The error names the features.
    pub(crate) fn require(&self) -> Result<()> {
        match self.0.library {
            Library::Absent => Err(no_library()),
            _ => Ok(()),
        }
    }

    /// Performs the handshake under the wire's deadline. The wire must be in direct mode. The stream below may itself
    /// use TLS: a tunnel through an https proxy.
    pub(crate) fn connect(&self, host: &str, lower: MaybeTlsStream) -> Result<MaybeTlsStream> {
        let lower: Box<dyn LowerStream> = match lower {
            MaybeTlsStream::Plain(wire) => Box::new(wire),
            MaybeTlsStream::Rustls(session) => Box::new(session),
            MaybeTlsStream::Native(session) => Box::new(session),
        };
        match &self.0.library {
            Library::Rustls(connector) => connector.connect(host, lower).map(MaybeTlsStream::Rustls),
            Library::Native(connector) => connector.connect(host, lower).map(MaybeTlsStream::Native),
            Library::Absent => Err(no_library()),
        }
    }
}

impl TlsConnectorShared {
    fn in_use(settings: &TlsSettings) -> Option<Arc<TlsConnectorShared>> {
        let mut in_use = IN_USE.try_lock().ok()?;
        in_use.retain(|shared| shared.strong_count() > 0);
        in_use.iter().filter_map(Weak::upgrade).find(|shared| shared.settings == *settings)
    }
}

impl Library {
    fn new(settings: &TlsSettings) -> Result<Self> {
        match settings.library {
            Tls::Rustls if !HAS_RUSTLS => Err(missing("Tls::Rustls", "tls-rustls")),
            Tls::Native if !HAS_NATIVE => Err(missing("Tls::Native", "tls-native")),
            Tls::Auto if !HAS_RUSTLS && !HAS_NATIVE => Ok(Library::Absent),
            Tls::Native => native::Connector::new(settings).map(Library::Native),
            Tls::Auto if !HAS_RUSTLS => native::Connector::new(settings).map(Library::Native),
            Tls::Auto | Tls::Rustls => rustls::Connector::new(settings).map(Library::Rustls),
        }
    }
}

impl fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0.library {
            Library::Rustls(_) => "TlsConnector(rustls)",
            Library::Native(_) => "TlsConnector(native-tls)",
            Library::Absent => "TlsConnector(none)",
        })
    }
}

fn no_library() -> Error {
    Error::config(
        "https needs TLS: turn on the feature `tls-rustls` (the default) or `tls-native` of crustocean",
    )
}

fn missing(asked: &str, feature: &str) -> Error {
    Error::config(format!("{asked} is asked for, but the feature `{feature}` of crustocean is not turned on"))
}

/// A connection, with or without TLS. The lowest layer is one wire.
#[derive(Debug)]
pub(crate) enum MaybeTlsStream {
    Plain(Wire),
    Rustls(rustls::TlsSession),
    Native(native::TlsSession),
}

impl MaybeTlsStream {
    pub(crate) fn wire(&self) -> &Wire {
        match self {
            MaybeTlsStream::Plain(wire) => wire,
            MaybeTlsStream::Rustls(session) => session.wire(),
            MaybeTlsStream::Native(session) => session.wire(),
        }
    }

    pub(crate) fn wire_mut(&mut self) -> &mut Wire {
        match self {
            MaybeTlsStream::Plain(wire) => wire,
            MaybeTlsStream::Rustls(session) => session.wire_mut(),
            MaybeTlsStream::Native(session) => session.wire_mut(),
        }
    }

    #[cfg(test)]
    pub(crate) fn is_tls(&self) -> bool {
        !matches!(self, MaybeTlsStream::Plain(_))
    }

    /// Whether an idle connection is still usable: the peer has sent no data and has not closed the connection. Direct
    /// mode only.
    ///
    /// A TLS 1.3 server sends session tickets after the handshake. This method reads the tickets, which do not count as
    /// data.
    pub(crate) fn is_idle(&mut self) -> bool {
        let wire = self.wire_mut();
        if wire.set_waiting(false).is_err() {
            return false;
        }
        // A server may send tickets without end.
        wire.set_deadline(Some(deadline::after(MAX_CHECK)));
        let idle = matches!(self.read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        let wire = self.wire_mut();
        wire.set_waiting(true).is_ok() && wire.write_failure().is_none() && idle
    }
}

impl Read for MaybeTlsStream {
    /// An end without TLS's `close_notify` counts as a normal end: most servers never send it, and HTTP and WebSocket
    /// detect missing data themselves.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            MaybeTlsStream::Plain(wire) => wire.read(buffer),
            MaybeTlsStream::Rustls(session) => session.read(buffer),
            MaybeTlsStream::Native(session) => session.read(buffer),
        }
    }
}

impl Write for MaybeTlsStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            MaybeTlsStream::Plain(wire) => wire.write(bytes),
            MaybeTlsStream::Rustls(session) => session.write(bytes),
            MaybeTlsStream::Native(session) => session.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            MaybeTlsStream::Plain(wire) => wire.flush(),
            MaybeTlsStream::Rustls(session) => session.flush(),
            MaybeTlsStream::Native(session) => session.flush(),
        }
    }
}
