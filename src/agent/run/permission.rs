//! Permission requests to the room.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::agent::random::new_uuid;
use crate::agent::run::interrupt;
use crate::agent::run::transcript::{RecordedStep, clip};
use crate::agent::run::{Run, is_connection_error};
use crate::deadline;
use crate::error::Result;
use crate::model::{InterruptAction, RunId};
use crate::socket::{NextEvent, RawEvent};

/// The result of a permission request. Only [`Granted`](Permission::Granted) permits the action.
///
/// ```no_run
/// use crustocean::run::Permission;
///
/// # fn demo(run: &crustocean::run::Run) -> crustocean::Result<()> {
/// match run.request_permission("deploy", "Deploy version 1.2?")? {
///     Permission::Granted { .. } => println!("deploying"),
///     Permission::Denied { message, .. } => println!("denied: {message:?}"),
///     _ => println!("no answer"),
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "only Granted permits the action"]
pub enum Permission {
    /// A member approved the request.
    #[non_exhaustive]
    Granted {
        /// The member's message.
        message: Option<String>,
    },
    /// A member denied the request.
    #[non_exhaustive]
    Denied {
        /// The member's message.
        message: Option<String>,
    },
    /// Nobody decided in time.
    TimedOut,
    /// A member stopped the run, before or during the request.
    Stopped,
    /// The connection did not come back in time, or the agent was closed.
    Disconnected,
}

impl Permission {
    /// Whether the permission was granted.
    ///
    /// ```no_run
    /// # fn demo(run: &crustocean::run::Run) -> crustocean::Result<()> {
    /// if run.request_permission("deploy", "Deploy version 1.2?")?.is_granted() {
    ///     println!("deploying");
    /// }
    /// # Ok(()) }
    /// ```
    pub fn is_granted(&self) -> bool {
        matches!(self, Permission::Granted { .. })
    }

    /// Why the permission was not granted; `None` if it was.
    pub(super) fn refusal(&self) -> Option<String> {
        Some(match self {
            Permission::Granted { .. } => return None,
            Permission::Denied { message: Some(message) } => format!("denied: {message}"),
            Permission::Denied { message: None } => "denied".to_owned(),
            Permission::TimedOut => "nobody answered the permission request in time".to_owned(),
            Permission::Stopped => "a member stopped the run".to_owned(),
            Permission::Disconnected => "the connection was lost before an answer".to_owned(),
        })
    }

    /// The decision and message for the transcript.
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
struct PermissionRequest<'a> {
    #[serde(rename = "permissionId")]
    permission_id: &'a str,
    action: &'a str,
    description: &'a str,
}

/// The payload of the event `run-permission-response`.
#[derive(Deserialize)]
#[serde(remote = "Self")]
struct PermissionResponse {
    /// The run that requested the permission.
    #[serde(rename = "runId")]
    pub run_id: RunId,
    /// The id of the request.
    #[serde(rename = "permissionId")]
    pub permission_id: String,
    /// `approve`; any other value denies the request.
    pub decision: Option<String>,
    /// The reason.
    pub message: Option<String>,
}

lenient!(read PermissionResponse);

impl PermissionResponse {
    fn read(event: &RawEvent, run: &RunId, permission: &str) -> Option<PermissionResponse> {
        if event.name() != RESPONSE {
            return None;
        }
        event
            .first()
            .ok()
            .filter(|it: &PermissionResponse| it.run_id == *run && it.permission_id == permission)
    }
}

impl Run {
    /// Asks the room for permission and waits at most 2 minutes for the answer. `action` names the action for
    /// programs (`create_pull_request`), `description` describes it for people.
    ///
    /// [`tool_step_if_permitted`](Run::tool_step_if_permitted) and [`ToolCall::if_permitted`](crate::run::ToolCall) ask
    /// for the permission of a tool.
    ///
    /// ```no_run
    /// # fn demo(run: &crustocean::run::Run) -> crustocean::Result<()> {
    /// let answer = run.request_permission("create_pull_request", "Open a pull request with 3 changes?")?;
    /// println!("{answer:?}");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the run has ended, or if the request is too large for the server. All
    /// other failures are a [`Permission`] that is not granted.
    #[doc(alias = "requestPermission")]
    pub fn request_permission(
        &self,
        action: impl AsRef<str>,
        description: impl AsRef<str>,
    ) -> Result<Permission> {
        self.request_permission_within(DEFAULT_TIMEOUT, action, description)
    }

    /// Like [`request_permission`](Run::request_permission), with your own time limit. If the connection is lost and
    /// comes back within the limit, the crate sends the request again, because the agent may have missed the answer.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # fn demo(run: &crustocean::run::Run) -> crustocean::Result<()> {
    /// let limit = Duration::from_secs(3600);
    /// let answer = run.request_permission_within(limit, "deploy", "Deploy version 1.2?")?;
    /// println!("{answer:?}");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The kinds of [`request_permission`](Run::request_permission).
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
        let request = PermissionRequest { permission_id, action: &action, description: &description };
        self.note(&RecordedStep::PermissionRequest {
            permission_id,
            action: &action,
            description: &description,
        });
        let permission = self.ask(&request, until)?;
        let (decision, message) = permission.words();
        let message = message.map(clip);
        self.note(&RecordedStep::PermissionResponse { permission_id, decision, message: message.as_deref() });
        Ok(permission)
    }

    fn ask(&self, request: &PermissionRequest<'_>, until: Instant) -> Result<Permission> {
        let (run, permission) = (self.core.id.clone(), request.permission_id.to_owned());
        // Subscribe before sending, so that no answer is missed. An interrupt with `stop` ends the wait, too.
        let watch = self.core.agent().session.subscribe(Box::new(move |event| {
            PermissionResponse::read(event, &run, &permission).is_some() || is_stop(event, &run)
        }));
        if self.core.stopped.is_by_agent() {
            return Ok(Permission::Disconnected);
        }
        if self.is_stopped() {
            return Ok(Permission::Stopped);
        }
        loop {
            let generation = match self.core.emit("agent-run-permission", request, until) {
                Ok(generation) => generation,
                Err(error) if error.is_closed() || is_connection_error(&error) => {
                    return Ok(Permission::Disconnected);
                }
                Err(error) => return Err(error),
            };
            match watch.next_or_new_connection(generation, until) {
                Ok(NextEvent::Event(event)) => {
                    let response = PermissionResponse::read(&event, &self.core.id, request.permission_id);
                    return Ok(match response {
                        None => Permission::Stopped,
                        Some(PermissionResponse { decision, message, .. })
                            if decision.as_deref() == Some(APPROVE) =>
                        {
                            Permission::Granted { message }
                        }
                        Some(PermissionResponse { message, .. }) => Permission::Denied { message },
                    });
                }
                Ok(NextEvent::NewConnection) => {}
                Ok(NextEvent::Nothing) if self.core.agent().session.is_up() => {
                    return Ok(Permission::TimedOut);
                }
                Ok(NextEvent::Nothing) | Err(_) => return Ok(Permission::Disconnected),
            }
        }
    }
}

fn is_stop(event: &RawEvent, run: &RunId) -> bool {
    interrupt::read(event, run).is_some_and(|interrupt| interrupt.action == InterruptAction::Stop)
}
