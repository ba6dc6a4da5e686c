//! The one place that speaks HTTP.

use std::borrow::Cow;

use crate::config::Config;
use crate::error::{Error, Result};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Post,
    Patch,
    Delete,
}

/// One request, ready to be sent.
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    /// Begins with `/`; every segment already percent-encoded.
    pub(crate) path: &'a str,
    /// Not yet encoded.
    pub(crate) query: &'a [(&'a str, Cow<'a, str>)],
    /// Name and value of the header that carries the credential.
    pub(crate) credential: Option<(&'static str, &'a str)>,
    /// JSON.
    pub(crate) body: Option<&'a [u8]>,
}

/// An answer with a status of success.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// A connection pool to one API.
#[derive(Debug, Clone)]
pub(crate) struct Http {}

impl Http {
    pub(crate) fn new(_config: &Config) -> Result<Self> {
        Err(Error::config("HTTP is not built yet"))
    }

    /// # Errors
    /// Every status that is not a success is an error with the server's status and message.
    pub(crate) fn send(&self, _request: Request<'_>) -> Result<Answer> {
        Err(Error::config("HTTP is not built yet"))
    }
}
