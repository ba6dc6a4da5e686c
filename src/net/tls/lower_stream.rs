//! The stream below TLS.

use std::fmt;
use std::io::{Read, Write};

use crate::net::wire::Wire;

/// A wire, or a TLS stream: a tunnel through an https proxy.
pub(crate) trait LowerStream: Read + Write + Send + Sync + fmt::Debug {
    fn wire(&self) -> &Wire;

    fn wire_mut(&mut self) -> &mut Wire;
}

impl LowerStream for Wire {
    fn wire(&self) -> &Wire {
        self
    }

    fn wire_mut(&mut self) -> &mut Wire {
        self
    }
}
