//! A Socket.IO 5 client over Engine.IO 4, over WebSocket or HTTP long-polling. It does not depend on Crustocean's API.
//!
//! The limits of a session's memory. The limits hold for any server, and for a program that takes no events:
//!
//! | data | limit |
//! |---|---|
//! | one message of the server | 16 MiB (`MAX_MESSAGE`); the WebSocket frees its buffer after a large message |
//! | the body of one response to a poll | 16 MiB; the decoder takes 1,024 packets at a time (`MAX_PACKETS`) |
//! | one read | 64 KiB, or 1 KiB while little data comes; events that are a small part of a read are copied |
//! | the attachments of one packet | 10 attachments, 16 MiB together, within one minute; each has its own memory |
//! | events before the reply to CONNECT | 256 and 4 MiB; 4,096 and 32 MiB for a session to recover. Acks are dropped |
//! | the queue of events | the session's `Limits`; an event's size includes its attachments. The oldest are dropped |
//! | items about the connection, in the queue | 1,024 items. The oldest are dropped |
//! | the events of an `EventSubscription` | 1,024 and 8 MiB; each has its own memory. The oldest are dropped |
//! | received acks | one for each waiting call |
//! | events that wait for the next connection | 1,024 and 8 MiB. The oldest are dropped |
//! | unsent bytes of `try_send` | one message; `try_send` accepts no other until it is sent. With long-polling: 64 KiB |
//! | the log records of the process | 4,096 and 4 MiB. The newest are dropped |
//!
//! Empty queues free their memory.

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
mod transport;

pub(crate) use protocol::event::AckArgs;
pub use protocol::event::RawEvent;
pub(crate) use session::backoff::pause_before_retry;
pub(crate) use session::connection::connect::Opened;
pub(crate) use session::policy::Policy;
pub use session::policy::{DisconnectPolicy, Reconnect};
pub(crate) use session::queue::{Item, Limits, ReadyItems};
pub(crate) use session::reader::Waited;
pub(crate) use session::scheduled::Repeating;
pub(crate) use session::session_log::{SessionLog, note};
pub(crate) use session::subscriber::{Filter, Needle};
pub(crate) use session::subscription::NextEvent;
pub(crate) use session::waker::{Announced, Waker};
pub(crate) use session::{ConnectionHandle, Host, Session, SessionId, SessionSubscription};
#[cfg(feature = "agents")]
pub(crate) use set::{NextReady, SessionSet};
pub use transport::choice::Transport;
pub(crate) use transport::choice::TransportMemory;
pub(crate) use transport::target::Target;
