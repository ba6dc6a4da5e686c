//! Sending and answering events of any name.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::agent::inner::AgentInner;
use crate::deadline;
use crate::error::{Error, Result};
use crate::socket::RawEvent;

/// Sends and answers events of any name, for features that this crate has no method for yet. Returned by
/// [`Agent::raw`](crate::Agent::raw). Events that the crate does not know arrive as
/// [`Event::Other`](crate::Event::Other).
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
pub struct Raw<'a>(pub(super) &'a AgentInner);

impl Raw<'_> {
    /// Sends an event.
    ///
    /// ```no_run
    /// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
    /// agent.raw().emit("typing", &serde_json::json!({ "typing": true }))?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The kinds of [`Room::send`](crate::Room::send); [`Invalid`](crate::ErrorKind::Invalid) if the payload cannot
    /// be written as JSON, or if the protocol reserves the name.
    pub fn emit(&self, name: &str, payload: &impl Serialize) -> Result<()> {
        let until = deadline::after(self.0.options.send_timeout);
        self.0.session.emit(name, payload, until)
    }

    /// Sends an event and waits at most `timeout` for the server's ack. An event handler may call this method. An ack
    /// without arguments is `null`.
    ///
    /// # Errors
    /// The kinds of [`emit`](Raw::emit), and:
    ///
    /// - [`Timeout`](crate::ErrorKind::Timeout): no ack came in time.
    /// - [`MaybeSent`](crate::ErrorKind::MaybeSent): the connection broke before the ack.
    /// - [`Protocol`](crate::ErrorKind::Protocol): the ack cannot be decoded.
    pub fn call(&self, name: &str, payload: &impl Serialize, timeout: Duration) -> Result<Value> {
        let until = deadline::after(self.0.options.send_timeout);
        let args = self.0.session.emit_with_ack(name, payload, until, timeout)?;
        args.first().map_err(|error| {
            Error::protocol(format!("the ack of {name} cannot be decoded")).with_source(error)
        })
    }

    /// Answers a server event that [wants an answer](RawEvent::wants_answer), once.
    ///
    /// # Errors
    /// - [`Invalid`](crate::ErrorKind::Invalid): the event wants no answer, or the agent has answered it already.
    /// - [`NotSent`](crate::ErrorKind::NotSent): the connection that the event came over is gone.
    pub fn answer(&self, event: &RawEvent, payload: &impl Serialize) -> Result<()> {
        self.0.session.answer(event, payload)
    }
}
