//! A host and a port.

use std::fmt;

/// A host and a port to connect to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Endpoint<'a> {
    /// Without brackets.
    pub(crate) host: &'a str,
    pub(crate) port: u16,
}

impl fmt::Display for Endpoint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}
