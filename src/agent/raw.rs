//! Events of any name.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::agent::Agent;
use crate::deadline;
use crate::error::{Error, Result};
use crate::socket::RawEvent;

/// Events of any name, for what this crate has no method for yet: [`Agent::raw`]. What the server sends and this crate
/// does not know arrives as [`Event::Other`](crate::Event::Other).
///
/// ```no_run
/// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
/// use std::time::Duration;
/// use serde_json::json;
///
/// agent.raw().emit("typing", &json!({"agencyId": "ag-1"}))?;
/// let answer = agent.raw().call("who-is-here", &json!({"agencyId": "ag-1"}), Duration::from_secs(5))?;
/// println!("{answer}");
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Raw<'a>(pub(crate) &'a Agent);

impl Raw<'_> {
    /// Sends an event.
    ///
    /// # Errors
    /// As [`Room::send`](crate::Room::send); [`Invalid`](crate::ErrorKind::Invalid) when the payload cannot be written as
    /// JSON or the name is one that the protocol keeps for itself.
    pub fn emit(&self, name: &str, payload: &impl Serialize) -> Result<()> {
        let until = deadline::after(self.0.options().send_timeout);
        self.0.session().emit(name, payload, until)
    }

    /// Sends an event and waits for the server's ack, `timeout` at most. May be used inside a handler. An ack without
    /// arguments is `null`.
    ///
    /// # Errors
    /// As [`emit`](Raw::emit); [`Timeout`](crate::ErrorKind::Timeout) when no ack comes,
    /// [`MaybeSent`](crate::ErrorKind::MaybeSent) when the connection breaks first,
    /// [`Protocol`](crate::ErrorKind::Protocol) when the ack cannot be decoded.
    pub fn call(&self, name: &str, payload: &impl Serialize, timeout: Duration) -> Result<Value> {
        let until = deadline::after(self.0.options().send_timeout);
        let args = self.0.session().emit_with_ack(name, payload, until, timeout)?;
        args.first().map_err(|error| {
            Error::protocol(format!("the ack of {name} cannot be decoded")).with_source(error)
        })
    }

    /// Answers an event of the server's that [wants an answer](RawEvent::wants_answer), once.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) when no answer is wanted or one was given,
    /// [`NotSent`](crate::ErrorKind::NotSent) when the connection that the event came over is gone.
    pub fn answer(&self, event: &RawEvent, payload: &impl Serialize) -> Result<()> {
        self.0.session().answer(event, payload)
    }
}
