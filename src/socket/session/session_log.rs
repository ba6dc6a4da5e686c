//! The log records of a session.

use std::fmt::Arguments;
use std::sync::Arc;

use log::Level;

use crate::logging;

const TARGET: &str = "crustocean::socket";

/// Starts every record with the agent's name.
#[derive(Debug, Clone)]
pub(crate) struct SessionLog(Arc<str>);

impl SessionLog {
    pub(crate) fn new(name: &str) -> Self {
        SessionLog(name.into())
    }

    pub(crate) fn add(&self, level: Level, text: Arguments<'_>) {
        logging::write(level, TARGET, format_args!("{}: {text}", self.0));
    }
}

/// Adds a record to a [`SessionLog`]: `note!(log, Warn, "lost {n}")`.
macro_rules! note {
    ($log:expr, $level:ident, $($text:tt)+) => {
        $log.add(log::Level::$level, format_args!($($text)+))
    };
}

pub(crate) use note;
