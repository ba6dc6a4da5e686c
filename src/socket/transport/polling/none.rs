//! Replaces long-polling if it is not compiled in. [`open`] always fails, so no other function here ever runs.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use tungstenite::Bytes;

use crate::error::Result;
use crate::net::wire::Wire;
use crate::net::{CancelToken, Stream};
use crate::socket::disconnect::{Disconnect, SendFailure};
use crate::socket::protocol::engine_io::Handshake;
use crate::socket::protocol::engine_io::Incoming;
use crate::socket::target::Target;
use crate::socket::transport::choice::not_compiled_in;
use crate::socket::transport::websocket::frame_scanner::Traffic;

#[derive(Debug)]
pub(crate) struct PollRequests {
    pub(crate) cancel_token: CancelToken,
    never: Infallible,
}

impl PollRequests {
    pub(crate) fn dial(&self, _deadline: Instant, _cancel: &CancelToken) -> Result<Stream> {
        match self.never {}
    }
}

pub(crate) struct OpenedPoll {
    pub(crate) poll: PollReceiver,
    pub(crate) stream: Stream,
    pub(crate) proven: bool,
    pub(crate) poll_sender: PollSender,
    pub(crate) handshake: Handshake,
}

/// # Errors
/// `Config`, always.
pub(crate) fn open(_target: &Target, _deadline: Instant, _cancel: &CancelToken) -> Result<OpenedPoll> {
    Err(not_compiled_in())
}

#[derive(Debug)]
pub(crate) struct PollReceiver(Infallible);

impl PollReceiver {
    pub(crate) fn requests(&self) -> &Arc<PollRequests> {
        match self.0 {}
    }

    pub(crate) fn wire_mut(&mut self) -> Option<&mut Wire> {
        match self.0 {}
    }

    pub(crate) fn wants_connection(&self) -> Option<Instant> {
        match self.0 {}
    }

    pub(crate) fn resume(&mut self, _stream: Stream, _proven: bool) {
        match self.0 {}
    }

    pub(crate) fn due(&self) -> Option<Instant> {
        match self.0 {}
    }

    pub(crate) fn take_seen(&mut self) -> (Traffic, bool) {
        match self.0 {}
    }

    pub(crate) fn next(&mut self, _now: Instant) -> Result<Option<Incoming>, Disconnect> {
        match self.0 {}
    }
}

pub(crate) struct SendTurn;

#[derive(Debug)]
pub(crate) struct PollSender(Infallible);

impl PollSender {
    pub(crate) fn turn(&self) -> SendTurn {
        match self.0 {}
    }

    pub(crate) fn turn_until(&self, _deadline: Instant) -> Option<SendTurn> {
        match self.0 {}
    }

    pub(crate) fn bodies(
        &self,
        _header: &str,
        _attachments: &[Bytes],
        _max: Option<usize>,
    ) -> Result<Vec<String>, SendFailure> {
        match self.0 {}
    }

    pub(crate) fn post(
        &self,
        _turn: &mut SendTurn,
        _body: &str,
        _deadline: Instant,
    ) -> Result<(), SendFailure> {
        match self.0 {}
    }
}
