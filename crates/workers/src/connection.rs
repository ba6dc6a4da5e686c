//! Connections to Redis.

use std::fmt;
use std::time::Duration;

use redis::{Connection, RedisResult};

use crate::error::{Result, is_from_server};

/// Opens connections to one Redis server. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Connector {
    pub(crate) client: redis::Client,
    /// How long Redis may take to accept a connection, and to answer.
    pub(crate) timeout: Duration,
}

impl Connector {
    pub(crate) fn connection(&self) -> RedisConnection {
        self.connection_within(self.timeout)
    }

    /// A connection that waits for an answer no longer than `limit`.
    pub(crate) fn connection_within(&self, limit: Duration) -> RedisConnection {
        let timeout = limit.min(self.timeout);
        RedisConnection { client: self.client.clone(), timeout, connection: None, connected: 0 }
    }
}

/// A connection for one thread. Connects at the first command, and again at the first command after a network error.
pub(crate) struct RedisConnection {
    client: redis::Client,
    timeout: Duration,
    connection: Option<Connection>,
    connected: u64,
}

impl RedisConnection {
    /// Runs commands. If Redis answers with an error, the connection stays open.
    pub(crate) fn run<T>(&mut self, commands: impl FnOnce(&mut Connection) -> RedisResult<T>) -> Result<T> {
        self.run_within(self.timeout, commands)
    }

    /// Like [`run`](RedisConnection::run). If this call opens a connection, the connection waits at most `limit` for an
    /// answer; an open connection keeps its own limit.
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
        if answer.as_ref().is_err_and(|error| !is_from_server(error)) {
            self.connection = None;
        }
        Ok(answer?)
    }

    /// Runs a command that blocks on the server for up to `block`.
    pub(crate) fn run_blocking<T>(
        &mut self,
        block: Duration,
        command: impl FnOnce(&mut Connection) -> RedisResult<T>,
    ) -> Result<T> {
        let timeout = self.timeout;
        self.run(|connection| {
            connection.set_read_timeout(Some(block.saturating_add(timeout)))?;
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

    /// How many connections this value has opened so far. When the number grows, Redis may have been restarted.
    pub(crate) fn generation(&self) -> u64 {
        self.connected
    }

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

impl fmt::Debug for RedisConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConnection").field("up", &self.connection.is_some()).finish_non_exhaustive()
    }
}

/// The run id and the uptime of the Redis server.
#[derive(Debug, Clone, Default)]
pub(crate) struct ServerInfo {
    /// A new value after every start of the server.
    pub(crate) run_id: String,
    pub(crate) uptime: Duration,
}
