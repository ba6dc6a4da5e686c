//! Sends one request and reads one response, over an open connection.

use std::io::{self, ErrorKind, Read, Write};

use super::decoder::Decoder;
use super::encode::Encoded;
use super::response::{HttpResponse, MAX_ERROR_BODY};
use crate::error::{Error, Result};
use crate::net::tls::MaybeTlsStream;

/// Why there is no response.
#[derive(Debug)]
pub(crate) enum Broken {
    /// Not a single byte of the request was sent.
    NothingSent(io::Error),
    Connection(io::Error),
    /// The response is not valid HTTP.
    InvalidResponse(Error),
}

/// Writes the request at once and reads its response, under the wire's deadline.
///
/// A server that rejects a large request may answer early, and then close the connection or stop reading. So `exchange`
/// still reads an early response after a failed write.
pub(crate) fn exchange(stream: &mut MaybeTlsStream, request: Encoded) -> Result<HttpResponse, Broken> {
    let Encoded { bytes, decoder } = request;
    let before = stream.wire().written();
    match stream.write_all(&bytes).and_then(|()| stream.flush()) {
        Err(error) if stream.wire().written() == before => Err(Broken::NothingSent(error)),
        Err(error) => {
            // There is no time left to wait for a response, but one may be there already.
            if error.kind() == ErrorKind::TimedOut && stream.wire_mut().set_waiting(false).is_err() {
                return Err(Broken::Connection(error));
            }
            let response = read(stream, decoder).map_err(|_| Broken::Connection(error))?;
            // Only a part of the request was sent, so no other request may use the connection.
            Ok(HttpResponse { keep_alive: false, ..response })
        }
        Ok(()) => read(stream, decoder),
    }
}

fn read(stream: &mut MaybeTlsStream, mut decoder: Decoder) -> Result<HttpResponse, Broken> {
    let mut part = vec![0; 8192];
    let broken = loop {
        match stream.read(&mut part) {
            Ok(0) => match decoder.end() {
                Ok(Some(response)) => return Ok(response),
                Ok(None) => break Broken::Connection(ErrorKind::UnexpectedEof.into()),
                Err(error) => break Broken::InvalidResponse(error),
            },
            Ok(count) => match decoder.push(part.get(..count).unwrap_or_default()) {
                Ok(Some(response)) => return Ok(response),
                Ok(None) => {}
                Err(error) => break Broken::InvalidResponse(error),
            },
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => break Broken::Connection(error),
        }
        if decoder.begun().is_some_and(|(head, length)| !head.is_success() && length >= MAX_ERROR_BODY) {
            break Broken::Connection(ErrorKind::FileTooLarge.into());
        }
    };
    // The status is more important than an incomplete body.
    match decoder.break_off() {
        Some(response) if !response.head.is_success() => Ok(response),
        _ => Err(broken),
    }
}
