//! Replaces a TLS library that is not compiled in. No value of these types can exist, so this code never runs.

use std::convert::Infallible;
use std::io::{self, Read, Write};

use super::lower_stream::LowerStream;
use crate::error::{Error, Result};
use crate::net::settings::TlsSettings;
use crate::net::wire::Wire;

#[derive(Debug)]
pub(crate) struct Connector(Infallible);

impl Connector {
    pub(crate) fn new(_settings: &TlsSettings) -> Result<Self> {
        Err(Error::config("this TLS library is not compiled in"))
    }

    pub(crate) fn connect(&self, _host: &str, _lower: Box<dyn LowerStream>) -> Result<TlsSession> {
        match self.0 {}
    }
}

#[derive(Debug)]
pub(crate) struct TlsSession(Infallible);

impl LowerStream for TlsSession {
    fn wire(&self) -> &Wire {
        match self.0 {}
    }

    fn wire_mut(&mut self) -> &mut Wire {
        match self.0 {}
    }
}

impl Read for TlsSession {
    fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
        match self.0 {}
    }
}

impl Write for TlsSession {
    fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        match self.0 {}
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.0 {}
    }
}
