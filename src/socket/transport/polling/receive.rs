//! HTTP long-polling: the receiving half.
//!
//! One GET is always in flight, on its own connection. As with a WebSocket, the thread with the reader role blocks on
//! the socket without the decoder's lock, and then passes the bytes on. The client never abandons a GET, because the
//! server would end the session.

use std::io::{ErrorKind as IoKind, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind, Result};
use crate::net::http::Encoded;
use crate::net::http::decoder::Decoder;
use crate::net::http::exchange::{Broken, exchange};
use crate::net::http::response::HttpResponse;
use crate::net::wire::Wire;
use crate::net::{CancelToken, MaybeTlsStream};
use crate::socket::disconnect::{Disconnect, reason};
use crate::socket::protocol::engine_io::{self, EnginePacket, Handshake, IncomingPacket};
use crate::socket::protocol::polling_payload::{self, PayloadPart, SEPARATOR};
use crate::socket::transport::packet_stream::PacketStream;
use crate::socket::transport::polling::request::PollRequests;
use crate::socket::transport::polling::send::PollSender;
use crate::socket::transport::refusal::refused;
use crate::socket::transport::target::Target;
use crate::socket::transport::traffic::Traffic;

/// After this many empty responses in a row, each sooner than `QUICK` after the last, the next poll waits for
/// `PAUSE`.
const MAX_EMPTY_RESPONSES: u32 = 10;
const QUICK: Duration = Duration::from_millis(100);
const PAUSE: Duration = Duration::from_millis(50);

/// The receiving half.
#[derive(Debug)]
pub(crate) struct PollReceiver {
    requests: Arc<PollRequests>,
    /// `None` if the server has closed the connection. The next poll needs a new connection.
    stream: Option<MaybeTlsStream>,
    /// The decoder of the current poll's response.
    decoder: Option<Decoder>,
    /// The connection has carried a response before.
    proven: bool,
    /// The body that has not been decoded completely yet.
    payload: Option<PayloadDecoder>,
    next_poll: Instant,
    last_response: Instant,
    empty_responses: u32,
    seen: Traffic,
}

/// An open session.
pub(crate) struct OpenedPoll {
    pub(crate) poll: PollReceiver,
    /// The connection for polls.
    pub(crate) stream: MaybeTlsStream,
    /// The connection has carried a response before.
    pub(crate) proven: bool,
    pub(crate) sender: PollSender,
    pub(crate) handshake: Handshake,
}

/// Opens a session, and a second connection for sends.
///
/// # Errors
/// A refusal contains the HTTP status and the server's text.
pub(crate) fn open(target: &Target, deadline: Instant, cancel: &CancelToken) -> Result<OpenedPoll> {
    let host = target.url.host();
    let mut requests = PollRequests::new(target);
    let mut stream = requests.dial(deadline, cancel)?;
    let response = exchange(&mut stream, requests.request(None)?);
    let response = response.map_err(|broken| match broken {
        Broken::InvalidResponse(error) => {
            Error::protocol("the answer to the first poll cannot be read").with_source(error)
        }
        Broken::NothingSent(error) | Broken::Connection(error) if error.kind() == IoKind::TimedOut => {
            Error::timeout(format!("{host} did not answer the first poll in time")).with_source(error)
        }
        Broken::NothingSent(error) | Broken::Connection(error) => {
            Error::new(ErrorKind::Connect, format!("the connection to {host} broke during the first poll"))
                .with_source(error)
        }
    })?;
    if response.head.status != 200 {
        return Err(refused("the first poll", &response.head, &response.body, &target.secrets));
    }
    requests.absorb(&response.head);
    let keep_alive = response.keep_alive;
    let no_open = || Error::protocol("the answer to the first poll is not an open packet");
    let mut payload = PayloadDecoder::new(response.body).map_err(|_| no_open())?;
    let Some(Ok(IncomingPacket::Text(first))) = payload.next() else { return Err(no_open()) };
    let Ok(EnginePacket::Open(json)) = engine_io::decode(&first) else { return Err(no_open()) };
    let (handshake, sid) = Handshake::parse_with_id(json)?;
    requests.set_session(&sid);

    if !keep_alive {
        stream = requests.dial(deadline, cancel)?;
    }
    let requests = Arc::new(requests);
    let sender = PollSender::new(Arc::clone(&requests), requests.dial(deadline, cancel)?);
    let now = Instant::now();
    let poll = PollReceiver {
        requests,
        stream: None,
        decoder: None,
        proven: false,
        payload: Some(payload),
        next_poll: now,
        last_response: now,
        empty_responses: 0,
        seen: Traffic::default(),
    };
    Ok(OpenedPoll { poll, stream, proven: keep_alive, sender, handshake })
}

impl PollReceiver {
    /// Sends the next poll, if it is time and there is a connection.
    fn ask(&mut self, now: Instant) -> Result<(), Disconnect> {
        if self.decoder.is_some() || now < self.next_poll {
            return Ok(());
        }
        let Some(stream) = &mut self.stream else { return Ok(()) };
        let Encoded { bytes, decoder } = self.requests.request(None).map_err(failed)?;
        match stream.write_all(&bytes).and_then(|()| stream.flush()) {
            Ok(()) => self.decoder = Some(decoder),
            // The server has closed the connection since the last response. The next poll uses a new connection.
            Err(_) if self.proven => self.stream = None,
            Err(error) => {
                return Err(Disconnect::new(reason::TRANSPORT_ERROR, format!("writing failed: {error}")));
            }
        }
        Ok(())
    }

    fn connection_ended(&mut self) -> Result<(), Disconnect> {
        self.stream = None;
        // Between two responses a server may close the connection.
        let Some(decoder) = &mut self.decoder else { return Ok(()) };
        if let Some(response) = decoder.end().map_err(failed)? {
            return self.accept(response, Instant::now());
        }
        // The response was lost. The server treats its events as delivered and does not send them again.
        Err(Disconnect::new(reason::TRANSPORT_CLOSE, "the server closed the connection during a poll"))
    }

    fn accept(&mut self, response: HttpResponse, now: Instant) -> Result<(), Disconnect> {
        self.decoder = None;
        self.proven = true;
        self.seen.messages += 1;
        self.requests.absorb(&response.head);
        if !response.keep_alive {
            self.stream = None;
        }
        if !matches!(response.head.status, 200 | 204) {
            return Err(failed(refused("a poll", &response.head, &response.body, self.requests.secrets())));
        }
        let payload = PayloadDecoder::new(response.body).map_err(failed)?;
        let quick = now.saturating_duration_since(self.last_response) < QUICK;
        self.empty_responses = if quick && payload.is_idle() { self.empty_responses + 1 } else { 0 };
        self.last_response = now;
        self.next_poll = if self.empty_responses < MAX_EMPTY_RESPONSES { now } else { now + PAUSE };
        self.payload = Some(payload);
        Ok(())
    }
}

impl PacketStream for PollReceiver {
    fn is_polling(&self) -> bool {
        true
    }

    fn wire_mut(&mut self) -> Option<&mut Wire> {
        self.stream.as_mut().map(MaybeTlsStream::wire_mut)
    }

    fn wants_connection(&self) -> Option<Instant> {
        self.stream.is_none().then_some(self.next_poll)
    }

    fn resume(&mut self, stream: MaybeTlsStream, proven: bool) {
        self.stream = Some(stream);
        self.decoder = None;
        self.proven = proven;
    }

    fn due(&self) -> Option<Instant> {
        (self.decoder.is_none() && self.stream.is_some()).then_some(self.next_poll)
    }

    fn take_seen(&mut self) -> (Traffic, bool) {
        (std::mem::take(&mut self.seen), self.decoder.as_ref().is_some_and(Decoder::is_partial))
    }

    /// Starts a new poll when no packet is left.
    fn next(&mut self) -> Result<Option<IncomingPacket>, Disconnect> {
        let now = Instant::now();
        loop {
            if let Some(payload) = &mut self.payload {
                match payload.next() {
                    Some(packet) => return packet.map(Some).map_err(failed),
                    None => self.payload = None,
                }
            }
            self.ask(now)?;
            let Some(stream) = &mut self.stream else { return Ok(None) };
            let mut part = [0; 8192];
            match stream.read(&mut part) {
                Ok(0) => {
                    self.connection_ended()?;
                }
                Ok(count) => {
                    let Some(decoder) = &mut self.decoder else {
                        // These bytes belong to no request, so they must not become the response to the next poll.
                        self.stream = None;
                        continue;
                    };
                    self.seen.bytes += count;
                    let bytes = part.get(..count).unwrap_or_default();
                    if let Some(response) = decoder.push(bytes).map_err(failed)? {
                        self.accept(response, now)?;
                    }
                }
                Err(error) if error.kind() == IoKind::WouldBlock => return Ok(None),
                Err(error) => return Err(Disconnect::new(reason::TRANSPORT_ERROR, error)),
            }
        }
    }
}

fn failed(error: Error) -> Disconnect {
    Disconnect::new(reason::TRANSPORT_ERROR, error)
}

/// Decodes a body packet by packet, because it may contain millions of packets.
#[derive(Debug)]
struct PayloadDecoder {
    text: String,
    /// Where the next packet starts.
    at: Option<usize>,
}

impl PayloadDecoder {
    fn new(body: Vec<u8>) -> Result<Self> {
        let text =
            String::from_utf8(body).map_err(|_| Error::protocol("the answer to a poll is not UTF-8"))?;
        // An empty body is a response without packets. An empty packet is an error.
        Ok(PayloadDecoder { at: (!text.is_empty()).then_some(0), text })
    }

    /// Whether the body contains only packets without content.
    fn is_idle(&self) -> bool {
        self.text.is_empty() || self.text.split(SEPARATOR).all(|part| part == "6")
    }

    fn next(&mut self) -> Option<Result<IncomingPacket>> {
        let rest = self.text.get(self.at?..)?;
        let (part, next) = match rest.split_once(SEPARATOR) {
            Some((part, behind)) => (part, Some(self.text.len() - behind.len())),
            None => (rest, None),
        };
        let packet = polling_payload::decode(part).next()?.map(|part| match part {
            PayloadPart::Text(text) => IncomingPacket::Text(text.into()),
            PayloadPart::Binary(bytes) => IncomingPacket::Binary(bytes.into()),
        });
        self.at = next;
        Some(packet)
    }
}
