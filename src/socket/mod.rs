//! Socket.IO 5 over Engine.IO 4, over WebSocket or HTTP long-polling. Knows nothing of Crustocean.
//!
//! What a server, or a program that takes nothing, can make a session hold in memory:
//!
//! | what | bound |
//! |---|---|
//! | one message of the server | 16 MiB (`MAX_MESSAGE`); a WebSocket of which a large message came gives its buffer back |
//! | the body of one answer to a poll | 16 MiB; it is taken apart 1,024 packets at a time (`MOST_PACKETS`) |
//! | one read | 64 KiB, 4 KiB while little comes; events that are a small part of a read do not keep it |
//! | the attachments of one packet | 10, 16 MiB together, within a minute; each in memory of its own |
//! | events before CONNECT is answered | 256 and 4 MiB; 4,096 and 32 MiB if a lost session is taken up again. Acks are dropped |
//! | the queue of events | the session's `Limits`; an event counts all that it keeps alive. The oldest go |
//! | what tells about the connection, in the queue | 1,024 items. The oldest go |
//! | the events that a `Subscription` has caught | 1,024 and 8 MiB; each in memory of its own. The oldest go |
//! | acks that came | one for each call that waits |
//! | events that wait for the connection | 1,024 and 8 MiB. The oldest go |
//! | what `try_send` could not write at once | one message; while it is there nothing more is taken. With long-polling 64 KiB |
//! | records for the log | 256. The newest go |
//!
//! Queues give their memory back when they are empty.

#[cfg(crustocean_bench)]
pub(crate) mod bench;
pub(crate) mod connection;
mod disconnect;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod protocol;
mod session;
#[cfg(feature = "agents")]
mod set;
mod target;
mod transport;

pub(crate) use protocol::event::AckArgs;
pub use protocol::event::RawEvent;
pub(crate) use session::backoff::pause_before_retry;
pub(crate) use session::connection::connect::Opened;
pub(crate) use session::log_queue::{LogQueue, note};
pub(crate) use session::policy::Policy;
pub use session::policy::{DisconnectPolicy, Reconnect};
pub(crate) use session::queue::Item;
pub(crate) use session::scheduled::Repeating;
pub(crate) use session::sender::ConnectionHandle;
pub(crate) use session::subscription::{Filter, Heard, Needle};
pub(crate) use session::{Announced, Host, Limits, Session, SessionId, SessionSubscription, Waited, Waker};
#[cfg(feature = "agents")]
pub(crate) use set::{NextReady, SessionSet};
pub(crate) use target::Target;
pub use transport::choice::Transport;
pub(crate) use transport::choice::TransportMemory;
