//! Why no event came.

use std::error::Error as StdError;
use std::fmt;

use crate::error::{Error, Result};

/// Why [`Events::recv_timeout`](crate::Events::recv_timeout) or [`Events::try_recv`](crate::Events::try_recv) returned
/// no event.
///
/// ```no_run
/// use std::time::Duration;
/// use crustocean::agent::RecvError;
///
/// # fn demo(agent: &crustocean::Agent) {
/// match agent.events().recv_timeout(Duration::from_secs(1)) {
///     Ok(event) => println!("{event:?}"),
///     Err(RecvError::Timeout) => println!("nothing happened"),
///     Err(error) => println!("the agent has ended: {error}"),
/// }
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum RecvError {
    /// No event came in time.
    Timeout,
    /// No event is waiting. Only from `try_recv`.
    Empty,
    /// The agent was closed. No more events will come.
    Closed,
    /// The agent ended with this error. Returned once; later calls return [`Closed`](RecvError::Closed).
    Failed(Error),
}

impl RecvError {
    /// Converts the error for a call that does not wait: `Timeout` becomes `Empty`.
    pub(crate) fn at_once(self) -> Self {
        if matches!(self, RecvError::Timeout) { RecvError::Empty } else { self }
    }

    /// Converts a result to the item of an iterator.
    pub(crate) fn to_item<T>(received: Result<T, RecvError>) -> Option<Result<T>> {
        match received {
            Ok(item) => Some(Ok(item)),
            Err(RecvError::Failed(error)) => Some(Err(error)),
            Err(RecvError::Closed | RecvError::Timeout | RecvError::Empty) => None,
        }
    }
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecvError::Timeout => f.write_str("no event came in time"),
            RecvError::Empty => f.write_str("no event is waiting"),
            RecvError::Closed => f.write_str("the agent is closed"),
            RecvError::Failed(error) => write!(f, "the agent has ended: {error}"),
        }
    }
}

impl StdError for RecvError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            RecvError::Failed(error) => error.source(),
            RecvError::Timeout | RecvError::Empty | RecvError::Closed => None,
        }
    }
}

impl From<RecvError> for Error {
    fn from(error: RecvError) -> Self {
        match error {
            RecvError::Timeout | RecvError::Empty => Error::timeout(error.to_string()),
            RecvError::Closed => Error::closed(),
            RecvError::Failed(error) => error,
        }
    }
}
