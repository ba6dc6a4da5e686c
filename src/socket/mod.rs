//! Socket.IO 5 over Engine.IO 4 over WebSocket. Knows nothing of Crustocean.

mod backoff;
mod channel;
mod connect;
mod engine;
mod event;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod inbox;
mod keeper;
mod line;
mod link;
mod packet;
#[cfg_attr(not(any(test, fuzzing)), allow(dead_code, reason = "for the polling transport"))]
mod payload;
mod pulse;
mod session;
mod shared;
mod state;
mod tap;
mod websocket;

pub use backoff::Reconnect;
pub(crate) use connect::Target;
pub use event::RawEvent;
pub(crate) use inbox::Item;
pub(crate) use line::Line;
pub(crate) use session::{Host, Limits, Next, Session};
