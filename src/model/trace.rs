//! The steps of an answer, as a message shows them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::label;

open_enum! {
    /// The status of a step.
    pub enum TraceStatus {
        /// The step succeeded.
        Done = "done",
        /// The step failed.
        Error = "error",
    }
    /// Any other status; the platform's documentation also has `ok`.
    else Custom
}

/// A step in a message's collapsible list.
///
/// ```
/// use std::time::Duration;
/// use crustocean::Outgoing;
/// use crustocean::model::{TraceStatus, TraceStep};
///
/// let steps = [
///     TraceStep::new("read the price list").duration(Duration::from_millis(40)),
///     TraceStep::new("ask the exchange").status(TraceStatus::Error).detail("no answer"),
/// ];
/// let message = Outgoing::new("ETH was at 3000 USD").trace(steps);
/// # drop(message);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct TraceStep {
    /// The name of the step: a command or a few words.
    #[serde(default)]
    pub step: String,
    /// The duration. JSON has it in whole milliseconds.
    #[serde(
        default,
        deserialize_with = "label::from_json",
        serialize_with = "label::to_json",
        skip_serializing_if = "Option::is_none"
    )]
    pub duration: Option<Duration>,
    /// The status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<TraceStatus>,
    /// Details.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

lenient!(TraceStep);

impl TraceStep {
    /// A step that succeeded.
    pub fn new(step: impl Into<String>) -> Self {
        TraceStep { step: step.into(), duration: None, status: Some(TraceStatus::Done), detail: None }
    }

    /// Sets the duration.
    #[must_use]
    pub fn duration(mut self, duration: Duration) -> Self {
        self.duration = Some(duration);
        self
    }

    /// Sets the status.
    #[must_use]
    pub fn status(mut self, status: impl Into<TraceStatus>) -> Self {
        self.status = Some(status.into());
        self
    }

    /// Sets the details.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Whether the step failed.
    pub fn is_error(&self) -> bool {
        self.status == Some(TraceStatus::Error)
    }
}

/// Steps and their total duration: the result of a [`Trace`](crate::agent::Trace).
/// [`Outgoing::trace`](crate::Outgoing::trace) takes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct TraceReport {
    /// The steps, in the order in which they began.
    #[serde(rename = "trace", default)]
    pub steps: Vec<TraceStep>,
    /// The time from the first to the last step, including pauses.
    #[serde(
        default,
        deserialize_with = "label::from_json",
        serialize_with = "label::to_json",
        skip_serializing_if = "Option::is_none"
    )]
    pub duration: Option<Duration>,
}

lenient!(TraceReport);

impl From<Vec<TraceStep>> for TraceReport {
    fn from(steps: Vec<TraceStep>) -> Self {
        TraceReport { steps, duration: None }
    }
}

impl<const N: usize> From<[TraceStep; N]> for TraceReport {
    fn from(steps: [TraceStep; N]) -> Self {
        Vec::from(steps).into()
    }
}
