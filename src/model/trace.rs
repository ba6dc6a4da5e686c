//! What a bot did to find its answer, as a message shows it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::label;

open_enum! {
    /// How a step ended.
    pub enum TraceStatus {
        /// Well.
        Done = "done",
        /// Badly.
        Error = "error",
    }
    /// In any other words; the platform's pages also have `ok`.
    else Custom
}

/// One line of a message's collapsible list of steps.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct TraceStep {
    /// What was done: a command, or a few words.
    #[serde(default)]
    pub step: String,
    /// How long it took. Written in whole milliseconds.
    #[serde(
        default,
        deserialize_with = "label::from_json",
        serialize_with = "label::to_json",
        skip_serializing_if = "Option::is_none"
    )]
    pub duration: Option<Duration>,
    /// How it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<TraceStatus>,
    /// More about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

lenient!(TraceStep);

impl TraceStep {
    /// A step that ended well.
    pub fn new(step: impl Into<String>) -> Self {
        TraceStep { step: step.into(), duration: None, status: Some(TraceStatus::Done), detail: None }
    }

    /// How long it took.
    #[must_use]
    pub fn duration(mut self, duration: Duration) -> Self {
        self.duration = Some(duration);
        self
    }

    /// How it ended.
    #[must_use]
    pub fn status(mut self, status: impl Into<TraceStatus>) -> Self {
        self.status = Some(status.into());
        self
    }

    /// More about it.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Whether it ended badly.
    pub fn is_error(&self) -> bool {
        self.status == Some(TraceStatus::Error)
    }
}

/// Steps, and how long they took together: what a [`Trace`](crate::agent::Trace) has recorded, for
/// [`Outgoing::trace`](crate::Outgoing::trace).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct TraceReport {
    /// The steps, in the order in which they began.
    #[serde(rename = "trace", default)]
    pub steps: Vec<TraceStep>,
    /// From the first to the last, pauses included.
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
