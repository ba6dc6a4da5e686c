//! One request out, one answer in, over a connection that is there already.

use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;

use super::answer::{Answer, MAX_ERROR_BODY};
use super::decoder::Decoder;
use super::encode::Encoded;
use crate::deadline;
use crate::error::{Error, Result};
use crate::net::tls::Stream;

/// When the time is up while the request is still on its way out: how long an answer that is already there may take to
/// be read.
const LAST_LOOK: Duration = Duration::from_millis(100);

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Broken {
    /// Not a byte of the request has left.
    NothingSent(io::Error),
    Connection(io::Error),
    /// It is not HTTP as it should be.
    Answer(Error),
}

/// Writes the request, in one piece, and reads its answer, under the wire's deadline.
///
/// A server that does not want all of a request answers early, and may close the connection or stop reading. So a write
/// that fails is not the end: what came before it counts.
pub(crate) fn exchange(stream: &mut Stream, request: Encoded) -> Result<Answer, Broken> {
    let Encoded { bytes, answer: decoder } = request;
    let before = stream.wire().written();
    match stream.write_all(&bytes).and_then(|()| stream.flush()) {
        Err(error) if stream.wire().written() == before => Err(Broken::NothingSent(error)),
        Err(error) => {
            if error.kind() == ErrorKind::TimedOut {
                stream.wire_mut().set_deadline(Some(deadline::after(LAST_LOOK)));
            }
            let answer = read(stream, decoder).map_err(|_| Broken::Connection(error))?;
            // Half a request is on its way: no other may follow it.
            Ok(Answer { keep_alive: false, ..answer })
        }
        Ok(()) => read(stream, decoder),
    }
}

fn read(stream: &mut Stream, mut decoder: Decoder) -> Result<Answer, Broken> {
    let mut part = [0; 8192];
    let broken = loop {
        match stream.read(&mut part) {
            Ok(0) => match decoder.end() {
                Ok(Some(answer)) => return Ok(answer),
                Ok(None) => break Broken::Connection(ErrorKind::UnexpectedEof.into()),
                Err(error) => break Broken::Answer(error),
            },
            Ok(count) => match decoder.push(part.get(..count).unwrap_or_default()) {
                Ok(Some(answer)) => return Ok(answer),
                Ok(None) => {}
                Err(error) => break Broken::Answer(error),
            },
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => break Broken::Connection(error),
        }
        if decoder.begun().is_some_and(|(head, length)| !head.is_success() && length >= MAX_ERROR_BODY) {
            break Broken::Connection(ErrorKind::FileTooLarge.into());
        }
    };
    // The status matters more than a body that broke off.
    match decoder.break_off() {
        Some(answer) if !answer.head.is_success() => Ok(answer),
        _ => Err(broken),
    }
}
