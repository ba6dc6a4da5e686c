//! Replaces long-polling in a build without the feature `polling`. [`open`] always fails, so no other function here
//! ever runs.

use std::sync::MutexGuard;
use std::time::Instant;

use tungstenite::Utf8Bytes;

use crate::error::Result;
use crate::net::CancelToken;
use crate::socket::connection::core::{ConnectionCore, NextSocket, OpenTransport};
use crate::socket::connection::decoder::Inbound;
use crate::socket::connection::link::Link;
use crate::socket::disconnect::{Disconnect, SendFailure};
use crate::socket::transport::choice::not_compiled_in;
use crate::socket::transport::target::Target;

#[derive(Debug)]
pub(super) enum Polling {}

/// # Errors
/// `Config`, always.
pub(super) fn open(_: &Target, _: Instant, _: &CancelToken) -> Result<(OpenTransport, Polling)> {
    Err(not_compiled_in())
}

impl Polling {
    pub(super) fn connect(
        &self,
        _: &ConnectionCore,
        _: Option<Instant>,
        _: &mut Vec<Inbound>,
    ) -> Result<NextSocket, Disconnect> {
        match *self {}
    }

    pub(super) fn answer_ping(&self, _: &ConnectionCore, _: MutexGuard<'_, Link>) -> Result<(), Disconnect> {
        match *self {}
    }

    pub(super) fn post_soon(
        &self,
        _: &ConnectionCore,
        _: MutexGuard<'_, Link>,
        _: Utf8Bytes,
        _: impl FnOnce(),
    ) -> Result<u64, SendFailure> {
        match *self {}
    }

    pub(super) fn empty_outbox(&self, _: &ConnectionCore) {
        match *self {}
    }

    pub(super) fn post_frame(&self, _: &ConnectionCore, _: &str) -> Result<u64, SendFailure> {
        match *self {}
    }

    pub(super) fn post_closing_packets(&self, _: &ConnectionCore, _: Instant) {
        match *self {}
    }
}
