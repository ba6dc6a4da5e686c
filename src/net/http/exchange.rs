//! One request out, one answer in, over a connection that is there already: for long-polling, whose connection the
//! reader of the link watches itself.

use std::io::{self, ErrorKind, Read, Write};

use super::answer::{Answer, Decoder, Head};
use crate::error::{Error, Result};
use crate::net::tls::Stream;

/// Of an answer that is an error only the message is wanted, and of a web page nothing.
const MAX_ERROR_BODY: usize = 64 * 1024;

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Broken {
    /// Not a byte of the request has left.
    NothingSent(io::Error),
    Connection(io::Error),
    /// It is not HTTP as it should be.
    Answer(Error),
}

/// Writes the request, in one piece, and reads its answer into a new decoder, under the wire's deadline.
pub(crate) fn exchange(stream: &mut Stream, request: &[u8], decoder: Decoder) -> Result<Answer, Broken> {
    let before = stream.wire().written();
    match stream.write_all(request).and_then(|()| stream.flush()) {
        Err(error) if stream.wire().written() == before => Err(Broken::NothingSent(error)),
        // A server that does not want all of it may have answered already.
        Err(error) => read(stream, decoder).map_err(|_| Broken::Connection(error)),
        Ok(()) => read(stream, decoder),
    }
}

fn read(stream: &mut Stream, mut decoder: Decoder) -> Result<Answer, Broken> {
    let mut part = [0; 8192];
    let broken = loop {
        match stream.read(&mut part) {
            Ok(0) => match decoder.end() {
                Some(answer) => return Ok(answer),
                None => break Broken::Connection(ErrorKind::UnexpectedEof.into()),
            },
            Ok(count) => match decoder.push(part.get(..count).unwrap_or_default()) {
                Ok(Some(answer)) => return Ok(answer),
                Ok(None) => {}
                Err(error) => break Broken::Answer(error),
            },
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => break Broken::Connection(error),
        }
        if decoder.begun().is_some_and(|(head, length)| !is_wanted(head) && length >= MAX_ERROR_BODY) {
            break Broken::Connection(ErrorKind::FileTooLarge.into());
        }
    };
    // The status matters more than a body that broke off.
    match decoder.break_off() {
        Some(answer) if !is_wanted(&answer.head) => Ok(answer),
        _ => Err(broken),
    }
}

/// Whether the whole body is.
fn is_wanted(head: &Head) -> bool {
    head.is_success() && !head.is_web_page()
}
