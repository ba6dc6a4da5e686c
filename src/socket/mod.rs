//! Socket.IO 5 over Engine.IO 4, over WebSocket or HTTP long-polling. Knows nothing of Crustocean.

mod backoff;
#[cfg(crustocean_bench)]
pub(crate) mod bench;
mod channel;
mod connect;
mod ended;
mod engine;
mod event;
mod framed;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod inbox;
mod keeper;
mod line;
mod link;
mod log_queue;
mod packet;
mod payload;
mod pipe;
mod policy;
mod polling;
mod poster;
mod pulse;
mod refusal;
mod session;
mod shared;
mod site;
mod standing;
mod state;
mod tap;
mod transport;
mod watch;
mod websocket;

pub(crate) use connect::Target;
pub(crate) use event::AckArgs;
pub use event::RawEvent;
pub(crate) use inbox::Item;
pub(crate) use line::Line;
pub(crate) use log_queue::{LogQueue, note};
pub(crate) use policy::Policy;
pub use policy::{Reconnect, SentAway};
pub(crate) use session::{Announced, Host, Limits, Session, SessionId, SessionWatch, Waited, Waker};
pub(crate) use standing::Repeating;
pub use transport::Transport;
pub(crate) use watch::Filter;
pub(crate) use watch::{Heard, Needle};
