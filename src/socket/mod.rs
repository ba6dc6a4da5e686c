//! Socket.IO 5 over Engine.IO 4 over WebSocket. Knows nothing of Crustocean.

mod backoff;
mod connect;
mod engine;
mod event;
mod inbox;
mod keeper;
mod link;
mod packet;
mod session;
mod state;
mod websocket;

pub use backoff::Reconnect;
pub(crate) use connect::Target;
pub use event::RawEvent;
pub(crate) use inbox::Item;
pub(crate) use session::{Host, Limits, Line, Next, Session};
