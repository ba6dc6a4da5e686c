//! The settings of a lease, which its terms share.

use std::fmt;
use std::time::Duration;

use crate::connection::{Connector, RedisConnection};
use crate::keys::LeaseKeys;

#[derive(Clone)]
pub(super) struct LeaseConfig {
    pub(super) connector: Connector,
    pub(super) name: String,
    pub(super) keys: LeaseKeys,
    pub(super) owner: String,
    pub(super) ttl: Duration,
}

impl LeaseConfig {
    pub(super) fn connection(&self) -> RedisConnection {
        self.connector.connection_within(self.margin())
    }

    /// The last quarter of a term. The holder stops working before this quarter begins.
    pub(super) fn margin(&self) -> Duration {
        self.ttl / 4
    }

    /// How long after a renewal the holder may work.
    pub(super) fn usable(&self) -> Duration {
        self.margin() * 3
    }
}

impl fmt::Debug for LeaseConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("name", &self.name)
            .field("owner", &self.owner)
            .field("ttl", &self.ttl)
            .finish()
    }
}
