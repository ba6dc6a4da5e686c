//! The Redis server that the processes of an agent share.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::connection::{Connector, RedisConnection};
use crate::error::{Error, Result};
use crate::keys::{LeaseKeys, check_name};
use crate::lease::Lease;

/// A Redis server, 7.0 or newer.
///
/// Cheap to clone. The crate connects when it first needs Redis, and reconnects automatically.
///
/// ```no_run
/// use crustocean_workers::Store;
///
/// # fn main() -> crustocean_workers::Result<()> {
/// let store = Store::open("redis://127.0.0.1:6379")?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Store {
    connector: Connector,
    prefix: Arc<str>,
}

impl Store {
    /// Takes the URL of a server: `redis://[user:password@]host:port[/database]` or `unix:///path`. Does not connect yet.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the URL has another form.
    pub fn open(url: &str) -> Result<Self> {
        // Omit the cause, because it may quote the URL with the password.
        let client = redis::Client::open(url).map_err(|_| {
            Error::invalid(
                "this is not the URL of a Redis server: use redis://[user:password@]host:port[/database]",
            )
        })?;
        let connector = Connector { client, timeout: Duration::from_secs(2) };
        Ok(Store { connector, prefix: "crustocean".into() })
    }

    /// Like [`open`](Store::open), with the URL from the environment variable `REDIS_URL`. Defaults to
    /// `redis://127.0.0.1:6379`.
    ///
    /// # Errors
    /// The kinds of [`open`](Store::open).
    pub fn from_env() -> Result<Self> {
        Self::open(std::env::var("REDIS_URL").as_deref().unwrap_or("redis://127.0.0.1:6379"))
    }

    /// Sets the prefix of all key names in Redis. Defaults to `crustocean`.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the prefix is empty, longer than 200 bytes, or has braces or control
    /// characters.
    pub fn prefix(mut self, prefix: &str) -> Result<Self> {
        check_name("a prefix", prefix)?;
        self.prefix = prefix.into();
        Ok(self)
    }

    /// Sets how long Redis may take to accept a connection, and to answer a command. Defaults to 2 s. Leases wait for a
    /// quarter of their term at most.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.connector.timeout = limit.max(Duration::from_millis(1));
        self
    }

    /// The lease of this name. All processes that compete for it use the same name.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the name is empty, longer than 200 bytes, or has braces or control
    /// characters.
    pub fn lease(&self, name: &str) -> Result<Lease> {
        check_name("a lease's name", name)?;
        Ok(self.lease_at(name.to_owned(), LeaseKeys::named(&self.prefix, name)))
    }

    pub(crate) fn lease_at(&self, name: String, keys: LeaseKeys) -> Lease {
        Lease::new(self.connector.clone(), name, keys)
    }

    pub(crate) fn key_prefix(&self) -> &str {
        &self.prefix
    }

    pub(crate) fn connection(&self) -> RedisConnection {
        self.connector.connection()
    }

    /// A connection that waits for an answer no longer than `limit`.
    pub(crate) fn connection_within(&self, limit: Duration) -> RedisConnection {
        self.connector.connection_within(limit)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("prefix", &self.prefix)
            .field("timeout", &self.connector.timeout)
            .finish_non_exhaustive()
    }
}
