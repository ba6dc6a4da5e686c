//! A port that no other sandbox takes, also while its own sandbox is suspended.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;

/// A port that belongs to one sandbox until this value and its clones are dropped, or the process ends.
///
/// A suspended sandbox must refuse connections, so it cannot keep its port by listening. All sandboxes of this machine
/// use the UDP port of the same number as the sign that the port is taken. They send nothing over this UDP port.
#[derive(Debug, Clone)]
pub(crate) struct ReservedPort {
    _taken: Arc<UdpSocket>,
}

impl ReservedPort {
    /// # Errors
    /// If the port belongs to another sandbox.
    pub(crate) fn new(port: u16) -> io::Result<Self> {
        let taken = UdpSocket::bind((Ipv4Addr::LOCALHOST, port))?;
        Ok(ReservedPort { _taken: Arc::new(taken) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sandbox;

    #[test]
    fn a_suspended_sandbox_keeps_its_port_until_its_state_is_dropped() {
        let is_taken = |port| ReservedPort::new(port).is_err();
        let sandbox = Sandbox::start().unwrap();
        let port = sandbox.port();
        assert!(is_taken(port));
        let state = sandbox.suspend();
        drop(sandbox);
        assert!(is_taken(port));
        let sandbox = Sandbox::builder().resume(state.clone()).start().unwrap();
        drop(state);
        assert!(is_taken(port));
        let state = sandbox.suspend();
        drop(sandbox);
        assert!(is_taken(port));
        drop(state);
    }
}
