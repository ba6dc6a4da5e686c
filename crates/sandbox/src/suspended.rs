//! The data of a server that has ended.

use std::fmt;

use crate::reserved_port::ReservedPort;
use crate::store::SharedData;

/// The data of a suspended sandbox: accounts, tokens, sessions, agencies, messages, everything that the platform keeps in its
/// database. [`Builder::resume`](crate::Builder::resume) starts a server with it.
#[derive(Clone)]
pub struct Suspended {
    data: SharedData,
    port: u16,
    reserved: Option<ReservedPort>,
}

impl Suspended {
    pub(crate) fn new(data: SharedData, port: u16, reserved: Option<ReservedPort>) -> Self {
        Suspended { data, port, reserved }
    }

    pub(crate) fn reserved(&self) -> Option<ReservedPort> {
        self.reserved.clone()
    }

    pub(crate) fn data(&self) -> SharedData {
        self.data.clone()
    }

    /// The port of the suspended sandbox.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Debug for Suspended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Suspended").field("port", &self.port).finish_non_exhaustive()
    }
}
