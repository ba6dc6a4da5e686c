//! Asking the room before doing something.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::agent::run::interrupt;
use crate::agent::run::transcript::{Step, clip};
use crate::agent::run::{Run, is_of_the_link, new_uuid};
use crate::deadline;
use crate::error::Result;
use crate::model::{InterruptAction, RunId};
use crate::socket::{Heard, RawEvent};

/// What came of asking for permission. Only [`Granted`](Permission::Granted) is a yes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "only Granted is a yes"]
pub enum Permission {
    /// Somebody approved.
    #[non_exhaustive]
    Granted {
        /// What was said along with it.
        message: Option<String>,
    },
    /// Somebody decided otherwise.
    #[non_exhaustive]
    Denied {
        /// What was said along with it.
        message: Option<String>,
    },
    /// Nobody decided in time.
    TimedOut,
    /// Somebody stopped the run instead, now or earlier.
    Stopped,
    /// The connection was lost and not back in time, or the agent was closed.
    Disconnected,
}

impl Permission {
    /// Whether it is a yes.
    pub fn is_granted(&self) -> bool {
        matches!(self, Permission::Granted { .. })
    }

    /// Decision and message, as the transcript has them.
    fn words(&self) -> (&'static str, Option<&str>) {
        match self {
            Permission::Granted { message } => (APPROVE, message.as_deref()),
            Permission::Denied { message } => ("deny", message.as_deref()),
            Permission::TimedOut => ("deny", Some("timeout")),
            Permission::Stopped => ("deny", Some("stopped")),
            Permission::Disconnected => ("deny", Some("disconnected")),
        }
    }
}

const RESPONSE: &str = "agent-run-permission-response";
const APPROVE: &str = "approve";
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(120);

#[derive(Serialize)]
struct Request<'a> {
    #[serde(rename = "permissionId")]
    permission_id: &'a str,
    action: &'a str,
    description: &'a str,
}

/// The payload of the event `run-permission-response`.
#[derive(Deserialize)]
#[serde(remote = "Self")]
struct Response {
    /// Which run asked.
    #[serde(rename = "runId")]
    pub run_id: RunId,
    /// For what.
    #[serde(rename = "permissionId")]
    pub permission_id: String,
    /// `approve`, or anything else.
    pub decision: Option<String>,
    /// Why.
    pub message: Option<String>,
}

lenient!(read Response);

impl Response {
    fn read(event: &RawEvent, run: &RunId, permission: &str) -> Option<Response> {
        if event.name() != RESPONSE {
            return None;
        }
        event.first().ok().filter(|it: &Response| it.run_id == *run && it.permission_id == permission)
    }
}

impl Run {
    /// Asks the room whether something may be done and waits for the answer, two minutes at most. `action` names it for
    /// programs (`create_pull_request`), `description` for people.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the request is larger than the server takes. All else that can happen
    /// is a [`Permission`] that is not granted.
    #[doc(alias = "requestPermission")]
    pub fn request_permission(
        &self,
        action: impl AsRef<str>,
        description: impl AsRef<str>,
    ) -> Result<Permission> {
        self.request_permission_within(DEFAULT_TIMEOUT, action, description)
    }

    /// As [`request_permission`](Run::request_permission), with a time limit of one's own. It holds for everything: a lost
    /// connection that comes back within it costs nothing. The request is then made again, because the answer may
    /// have gone past.
    ///
    /// # Errors
    /// As [`request_permission`](Run::request_permission).
    pub fn request_permission_within(
        &self,
        timeout: Duration,
        action: impl AsRef<str>,
        description: impl AsRef<str>,
    ) -> Result<Permission> {
        match self.core.check_open() {
            Err(error) if error.is_closed() => return Ok(Permission::Disconnected),
            open => open?,
        }
        let until = deadline::after(timeout);
        let (action, description) = (clip(action.as_ref()), clip(description.as_ref()));
        let permission_id = &*new_uuid();
        let request = Request { permission_id, action: &action, description: &description };
        self.note(&Step::PermissionRequest { permission_id, action: &action, description: &description });
        let permission = self.ask(&request, until)?;
        let (decision, message) = permission.words();
        let message = message.map(clip);
        self.note(&Step::PermissionResponse { permission_id, decision, message: message.as_deref() });
        Ok(permission)
    }

    fn ask(&self, request: &Request<'_>, until: Instant) -> Result<Permission> {
        let (run, permission) = (self.core.id.clone(), request.permission_id.to_owned());
        // Before the request goes out, so that no answer is too quick. A stop ends the wait, too.
        let watch = self.core.agent().session().subscribe(Box::new(move |event| {
            Response::read(event, &run, &permission).is_some() || is_stop(event, &run)
        }));
        if self.is_stopped() {
            return Ok(Permission::Stopped);
        }
        loop {
            let generation = match self.core.emit("agent-run-permission", request, until) {
                Ok(generation) => generation,
                Err(error) if error.is_closed() || is_of_the_link(&error) => {
                    return Ok(Permission::Disconnected);
                }
                Err(error) => return Err(error),
            };
            match watch.next_or_new_link(generation, until) {
                Ok(Heard::Event(event)) => {
                    let response = Response::read(&event, &self.core.id, request.permission_id);
                    return Ok(match response {
                        None => Permission::Stopped,
                        Some(Response { decision, message, .. }) if decision.as_deref() == Some(APPROVE) => {
                            Permission::Granted { message }
                        }
                        Some(Response { message, .. }) => Permission::Denied { message },
                    });
                }
                Ok(Heard::NewLink) => {}
                Ok(Heard::Nothing) if self.core.agent().is_connected() => return Ok(Permission::TimedOut),
                Ok(Heard::Nothing) | Err(_) => return Ok(Permission::Disconnected),
            }
        }
    }
}

fn is_stop(event: &RawEvent, run: &RunId) -> bool {
    interrupt::read(event, run).is_some_and(|interrupt| interrupt.action == InterruptAction::Stop)
}
