//! Where Redis is, and connections to it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::{Connection, RedisResult};

use crate::error::{Error, Result, is_of_the_server};
use crate::keys::{LeaseKeys, check_name};
use crate::lease::Lease;

/// A Redis server, 7.0 or newer. Cheap to clone; connections are made where they are needed, and made anew when they
/// break.
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
    client: redis::Client,
    prefix: Arc<str>,
    timeout: Duration,
}

impl Store {
    /// A server by its URL, `redis://[user:password@]host:port[/database]` or `unix:///path`. Nothing is connected yet.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if it is no such URL.
    pub fn open(url: &str) -> Result<Self> {
        // Not the cause: it may quote the URL, and with it the password.
        let client = redis::Client::open(url).map_err(|_| {
            Error::invalid("this is no URL of Redis: redis://[user:password@]host:port[/database]")
        })?;
        Ok(Store { client, prefix: "crustocean".into(), timeout: Duration::from_secs(2) })
    }

    /// As [`open`](Store::open), with the URL from the environment variable `REDIS_URL`; `redis://127.0.0.1:6379`
    /// without it.
    ///
    /// # Errors
    /// As [`open`](Store::open).
    pub fn from_env() -> Result<Self> {
        Self::open(std::env::var("REDIS_URL").as_deref().unwrap_or("redis://127.0.0.1:6379"))
    }

    /// What the names of all keys begin with. Defaults to `crustocean`.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if it is empty, longer than 200 bytes, or has braces or control characters.
    pub fn prefix(mut self, prefix: &str) -> Result<Self> {
        check_name("a prefix", prefix)?;
        self.prefix = prefix.into();
        Ok(self)
    }

    /// How long Redis may take to accept a connection, and to answer. Defaults to 2 s. Leases use a part of their term
    /// where that is shorter.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit.max(Duration::from_millis(1));
        self
    }

    /// A lease by its name, which everybody who asks for it has to use.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the name is empty, longer than 200 bytes, or has braces or control
    /// characters.
    pub fn lease(&self, name: &str) -> Result<Lease> {
        check_name("a lease's name", name)?;
        Ok(Lease::new(self.clone(), name.to_owned(), LeaseKeys::named(&self.prefix, name)))
    }

    pub(crate) fn key_prefix(&self) -> &str {
        &self.prefix
    }

    pub(crate) fn link(&self) -> Link {
        self.link_within(self.timeout)
    }

    /// A connection whose answers are awaited no longer than this.
    pub(crate) fn link_within(&self, limit: Duration) -> Link {
        let timeout = limit.min(self.timeout);
        Link { client: self.client.clone(), timeout, connection: None, connected: 0 }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("prefix", &self.prefix)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// A connection for one thread. After an error that leaves it in doubt a new one is made, for the next command.
pub(crate) struct Link {
    client: redis::Client,
    timeout: Duration,
    connection: Option<Connection>,
    connected: u64,
}

impl Link {
    /// Runs commands. An error of the server's leaves the connection as it is.
    pub(crate) fn run<T>(&mut self, commands: impl FnOnce(&mut Connection) -> RedisResult<T>) -> Result<T> {
        self.run_within(self.timeout, commands)
    }

    /// As [`run`](Link::run), with another time for the answer, which a connection that is there already keeps to.
    pub(crate) fn run_within<T>(
        &mut self,
        limit: Duration,
        commands: impl FnOnce(&mut Connection) -> RedisResult<T>,
    ) -> Result<T> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            empty => {
                let connection = self.client.get_connection_with_timeout(limit.min(self.timeout))?;
                connection.set_read_timeout(Some(limit))?;
                connection.set_write_timeout(Some(limit))?;
                self.connected += 1;
                empty.insert(connection)
            }
        };
        let answer = commands(connection);
        if answer.as_ref().is_err_and(|error| !is_of_the_server(error)) {
            self.connection = None;
        }
        Ok(answer?)
    }

    /// Runs a command that waits on the server for as long as `block`.
    pub(crate) fn wait<T>(
        &mut self,
        block: Duration,
        command: impl FnOnce(&mut Connection) -> RedisResult<T>,
    ) -> Result<T> {
        let timeout = self.timeout;
        self.run(|connection| {
            connection.set_read_timeout(Some(block + timeout))?;
            let answer = command(connection);
            connection.set_read_timeout(Some(timeout))?;
            answer
        })
    }

    pub(crate) fn is_up(&self) -> bool {
        self.connection.is_some()
    }

    pub(crate) fn ping(&mut self) -> Result<()> {
        self.run(|connection| redis::cmd("PING").exec(connection))
    }

    /// Counts the connections made so far: another number than before means that Redis may have been restarted.
    pub(crate) fn generation(&self) -> u64 {
        self.connected
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("up", &self.connection.is_some()).finish_non_exhaustive()
    }
}

/// What Redis says of itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct ServerInfo {
    /// Another one after every start.
    pub(crate) run_id: String,
    pub(crate) uptime: Duration,
}

impl Link {
    pub(crate) fn server_info(&mut self) -> Result<ServerInfo> {
        let text: String = self.run(|connection| redis::cmd("INFO").arg("server").query(connection))?;
        let field = |name: &str| {
            text.lines()
                .find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':'))
                .unwrap_or_default()
        };
        Ok(ServerInfo {
            run_id: field("run_id").to_owned(),
            uptime: Duration::from_secs(field("uptime_in_seconds").parse().unwrap_or_default()),
        })
    }
}
