//! One live connection.
//!
//! Reading and writing are separate. The thread with the reader role blocks in `read` on a clone of the TCP socket,
//! *without the decoder's lock*. It then takes this lock for a short time, passes the bytes to TLS and WebSocket, and
//! decodes them. A sender takes the same lock, encodes, and writes on its own thread. The lock is held during a write,
//! so writes have a time limit.

pub(crate) mod arrivals;
pub(crate) mod connect;
pub(crate) mod decoder;
pub(crate) mod liveness;
mod outbox;
#[cfg(any(feature = "agents", crustocean_model))]
pub(crate) mod step;

use std::io::ErrorKind as IoKind;
use std::net::TcpStream;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tungstenite::{Bytes, Message, Utf8Bytes, WebSocket};

use crate::deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::net::{CancelToken, ReadBuffer, Stream};
use crate::socket::connection::arrivals::Arrivals;
use crate::socket::connection::decoder::{Inbound, PacketDecoder, unanswered_probe};
use crate::socket::connection::liveness::SleepDetector;
use crate::socket::connection::outbox::Outbox;
use crate::socket::disconnect::{Disconnect, SendFailure, reason};
use crate::socket::protocol::engine_io::{self, Handshake};
use crate::socket::protocol::socket_io;
use crate::socket::transport::packet_stream::PacketStream;
use crate::socket::transport::polling::{OpenedPoll, PollSender, SendTurn};
use crate::socket::transport::websocket::frame_scanner::FrameScanner;
use crate::socket::transport::websocket::packets::WebSocketPackets;

/// The longest that a write may block. Far less than the usual pingTimeout, because no pong is sent meanwhile.
const WRITE_TIMEOUT: Duration = Duration::from_secs(8);
/// How long a send that does not wait may take to get the lock, which is usually held for microseconds.
const LOCK_LIMIT: Duration = Duration::from_millis(20);
/// The shortest time limit for a dial between two polls, however soon the reader wants to return.
const SHORT_DIAL: Duration = Duration::from_secs(3);
/// Leaves the namespace and ends the session.
const CLOSING_PACKETS: [&str; 2] = [socket_io::DISCONNECT_FRAME, engine_io::CLOSE];
/// How far the socket's read timeout may be from the wanted one.
const TIMEOUT_SLACK: Duration = Duration::from_millis(20);

/// One live connection: the read half, the write half, and how it ended.
#[derive(Debug)]
pub(crate) struct Connection {
    /// For the thread with the reader role.
    reader: Mutex<Reader>,
    /// The reader's socket, for the poller of a set. The poller must not wait for a thread that is blocked in a read.
    #[cfg(feature = "agents")]
    socket: Arc<TcpStream>,
    decoder: Mutex<PacketDecoder>,
    /// Notified when the sign of life that senders wait for came, or when it will not come.
    alive: Condvar,
    /// Stops a blocked read or write from any thread.
    cancel_token: CancelToken,
    /// With long-polling, the sending half.
    poll_sender: Option<PollSender>,
    /// With long-polling, the frames that [`try_send`](Connection::try_send) has accepted.
    outbox: Outbox,
    write_timeout: Duration,
    arrivals: Arc<Arrivals>,
    pub(crate) handshake: Handshake,
}

#[derive(Debug)]
struct Reader {
    socket: Arc<TcpStream>,
    buffer: ReadBuffer,
    timeout: Option<Duration>,
    /// When to check the decoder even without data.
    due: Instant,
}

impl Connection {
    /// Takes a WebSocket whose open packet has been read. Does not wait: the CONNECT exchange is ordinary traffic.
    /// The first [`drain`](Connection::drain) decodes bytes that came with the handshake.
    pub(crate) fn new(ws: WebSocket<FrameScanner<Stream>>, handshake: Handshake) -> Result<Self> {
        Self::with_skew(ws, handshake, Arc::default())
    }

    /// `skew` is for [`SleepDetector`].
    fn with_skew(
        mut ws: WebSocket<FrameScanner<Stream>>,
        handshake: Handshake,
        skew: Arc<AtomicU64>,
    ) -> Result<Self> {
        let cancel_token = CancelToken::default();
        let gone = || broken_early(IoKind::NotConnected.into());
        let stream = ws.get_mut().get_mut().ok_or_else(gone)?;
        cancel_token.register(stream.wire());
        let write_timeout = write_timeout(&handshake);
        let socket = start_feeding(stream, write_timeout).map_err(broken_early)?;
        let largest = handshake.max_payload;
        ws.set_config(|config| *config = crate::socket::transport::websocket::handshake::config(largest));
        let packets = PacketStream::WebSocket(Box::new(WebSocketPackets::new(ws)));
        Ok(Self::with_packets(packets, None, socket, cancel_token, handshake, SleepDetector::new(skew)))
    }

    /// Takes a long-polling session.
    pub(crate) fn polling(opened: OpenedPoll) -> Result<Self> {
        let OpenedPoll { mut poll, mut stream, proven, poll_sender, handshake } = opened;
        let socket = start_feeding(&mut stream, write_timeout(&handshake)).map_err(broken_early)?;
        poll.resume(stream, proven);
        let cancel_token = poll.requests().cancel_token.clone();
        let packets = PacketStream::Polling(Box::new(poll));
        Ok(Self::with_packets(
            packets,
            Some(poll_sender),
            socket,
            cancel_token,
            handshake,
            SleepDetector::new(Arc::default()),
        ))
    }

    fn with_packets(
        packets: PacketStream,
        poll_sender: Option<PollSender>,
        socket: TcpStream,
        cancel_token: CancelToken,
        handshake: Handshake,
        clock: SleepDetector,
    ) -> Self {
        let silence = handshake.silence();
        let arrivals = Arc::<Arrivals>::default();
        let socket = Arc::new(socket);
        Connection {
            #[cfg(feature = "agents")]
            socket: Arc::clone(&socket),
            reader: Mutex::new(Reader {
                socket,
                buffer: ReadBuffer::new(),
                timeout: None,
                due: deadline::after(silence),
            }),
            decoder: Mutex::new(PacketDecoder::new(packets, silence, clock, Arc::clone(&arrivals))),
            alive: Condvar::new(),
            cancel_token,
            poll_sender,
            outbox: Outbox::default(),
            write_timeout: write_timeout(&handshake),
            arrivals,
            handshake,
        }
    }

    fn decoder(&self) -> MutexGuard<'_, PacketDecoder> {
        self.decoder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decodes buffered bytes without reading from the socket. Call it once before the first turn: no event of the
    /// socket announces bytes that came with the handshake.
    pub(crate) fn drain(&self, into: &mut Vec<Inbound>) -> Result<(), Disconnect> {
        let mut decoder = self.decoder();
        decoder.decode(into).map_err(|end| decoder.set_end(end))?;
        self.answer_ping(decoder)
    }

    /// Blocks until bytes come, `until` passes or the connection ends, and decodes the bytes. Only the thread with
    /// the reader role may call this. After a failure, every call fails with the same reason.
    pub(crate) fn turn(&self, until: Option<Instant>, into: &mut Vec<Inbound>) -> Result<(), Disconnect> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut decoder = self.decoder();
            if let Some(end) = decoder.end() {
                return Err(end);
            }
            if decoder.has_more() {
                let due = decoder.decode(into).and_then(|()| decoder.check(Instant::now()));
                reader.due = due.map_err(|end| decoder.set_end(end))?;
                return self.answer_ping(decoder);
            }
        }
        if self.poll_sender.is_some() && !self.connect_poll(&mut reader, until, into)? {
            return Ok(());
        }
        let read = reader.read(until);
        let mut decoder = self.decoder();
        let is_waited_for = decoder.is_waited_for();
        // If another thread has ended the connection, this caused the end of the read.
        let outcome = match decoder.end() {
            Some(end) => Err(end),
            None => reader.take(read, &mut decoder, into),
        };
        // Notifies only if threads may wait for a sign of life: a notification that no thread needs would cost a
        // system call per read.
        if is_waited_for {
            self.alive.notify_all();
        }
        reader.due = outcome.map_err(|end| decoder.set_end(end))?;
        self.answer_ping(decoder)
    }

    /// Long-polling: makes sure that there is a connection to read from. Returns `false` if this takes longer than
    /// the caller can wait; the next reader tries again.
    fn connect_poll(
        &self,
        reader: &mut Reader,
        until: Option<Instant>,
        into: &mut Vec<Inbound>,
    ) -> Result<bool, Disconnect> {
        let (requests, at) = {
            let mut decoder = self.decoder();
            let Some(poll) = decoder.poll_mut() else { return Ok(true) };
            let Some(at) = poll.wants_connection() else { return Ok(true) };
            (Arc::clone(poll.requests()), at)
        };
        // A short pause between two polls.
        std::thread::sleep(at.saturating_duration_since(Instant::now()));
        let now = Instant::now();
        let limit = now + WRITE_TIMEOUT;
        let deadline = until.map_or(limit, |until| until.max(now + SHORT_DIAL).min(limit));
        let dialled = requests.dial(deadline, &requests.cancel_token);
        let mut decoder = self.decoder();
        if let Some(end) = decoder.end() {
            return Err(end);
        }
        let fail = |decoder: &mut PacketDecoder, detail: String| {
            Err(decoder.set_end(Disconnect::new(reason::TRANSPORT_ERROR, detail)))
        };
        match dialled {
            Ok(mut stream) => match start_feeding(&mut stream, self.write_timeout) {
                Ok(socket) => {
                    reader.socket = Arc::new(socket);
                    reader.timeout = None;
                    if let Some(poll) = decoder.poll_mut() {
                        poll.resume(stream, false);
                    }
                    decoder.decode(into).map_err(|end| decoder.set_end(end))?;
                }
                Err(error) => return fail(&mut decoder, error.to_string()),
            },
            Err(error) if error.is_timeout() && until.is_some() => {
                decoder.check(Instant::now()).map_err(|end| decoder.set_end(end))?;
                return Ok(false);
            }
            Err(error) => return fail(&mut decoder, error.to_string()),
        }
        Ok(true)
    }

    /// Long-polling: answers a ping if one came. Releases the lock before that.
    fn answer_ping(&self, mut decoder: MutexGuard<'_, PacketDecoder>) -> Result<(), Disconnect> {
        let Some(poll_sender) = &self.poll_sender else { return Ok(()) };
        if !decoder.take_pong() {
            return Ok(());
        }
        drop(decoder);
        let mut turn = poll_sender.turn();
        match poll_sender.post(&mut turn, engine_io::PONG, self.write_deadline()) {
            Ok(()) => Ok(()),
            Err(SendFailure::NotSent(end) | SendFailure::MaybeSent(end) | SendFailure::Busy(end)) => {
                Err(self.decoder().set_end(end))
            }
            Err(SendFailure::Refused(error)) => {
                Err(self.decoder().set_end(Disconnect::new(reason::TRANSPORT_ERROR, error.to_string())))
            }
        }
    }

    fn write_deadline(&self) -> Instant {
        deadline::after(self.write_timeout)
    }

    /// How many events the server may not have received.
    pub(crate) fn unconfirmed(&self) -> u64 {
        self.arrivals.unconfirmed()
    }

    /// The server has answered the event with this number.
    pub(crate) fn confirm(&self, number: u64) {
        self.arrivals.confirm(number);
    }

    /// Ends the connection, even before a thread reads it.
    pub(crate) fn cancel_token(&self) -> &CancelToken {
        &self.cancel_token
    }

    /// Writes a frame on the caller's thread. Returns its number.
    pub(crate) fn send(&self, frame: Utf8Bytes) -> Result<u64, SendFailure> {
        self.send_packet(frame, &[])
    }

    /// Writes a frame if this is possible without waiting for the server, for another sender, or for a sign of life
    /// after a sleep. With long-polling a short-lived thread posts it.
    pub(crate) fn try_send(self: &Arc<Self>, frame: Utf8Bytes) -> Result<u64, SendFailure> {
        self.check_size(frame.len())?;
        let busy = |what: &str| SendFailure::Busy(Disconnect::new(reason::TRANSPORT_ERROR, what));
        let Some(mut decoder) = self.lock_until(deadline::after(LOCK_LIMIT)) else {
            return Err(busy("another message is being sent"));
        };
        if let Some(end) = decoder.over() {
            return Err(SendFailure::NotSent(end));
        }
        if self.poll_sender.is_some() {
            // Pushes under the lock, so that a later goodbye posts this frame first.
            let taken = self.outbox.push(frame, &self.arrivals);
            drop(decoder);
            let taken = taken.ok_or_else(|| busy("the server does not read as fast as messages are sent"))?;
            if taken.needs_thread {
                self.post_soon();
            }
            return Ok(taken.number);
        }
        if decoder.probe_without_waiting().is_some() {
            return Err(busy(
                "the computer was asleep, and the server has not shown yet that it is still there",
            ));
        }
        if decoder.has_overflow() {
            return Err(busy("the server does not read as fast as messages are sent"));
        }
        let before = decoder.written();
        let rest = decoder.write_without_waiting(Message::Text(frame)).map_err(|end| {
            self.cut();
            if decoder.written() == before { SendFailure::NotSent(end) } else { SendFailure::MaybeSent(end) }
        })?;
        if rest {
            self.flush_soon();
        }
        Ok(self.arrivals.sent_one())
    }

    /// Sends the rest of a message on a short-lived thread.
    fn flush_soon(self: &Arc<Self>) {
        let connection = Arc::clone(self);
        let work: Box<dyn FnOnce() + Send> = Box::new(move || {
            if connection.decoder().flush().is_err() {
                connection.cut();
            }
        });
        if std::thread::Builder::new().name("crustocean-flush".to_owned()).spawn(work).is_err() {
            // Half a message was sent, and no thread could be started to send the rest.
            self.cut();
        }
    }

    /// Posts the frames of the outbox on a short-lived thread.
    fn post_soon(self: &Arc<Self>) {
        let connection = Arc::clone(self);
        let work: Box<dyn FnOnce() + Send> = Box::new(move || {
            let Some(poll_sender) = &connection.poll_sender else { return };
            loop {
                let mut turn = poll_sender.turn();
                let deadline = connection.write_deadline();
                if connection.post_waiting(poll_sender, &mut turn, deadline).is_err()
                    || connection.outbox.end_thread()
                {
                    return;
                }
            }
        });
        if std::thread::Builder::new().name("crustocean-flush".to_owned()).spawn(work).is_err() {
            self.cut();
        }
    }

    /// Posts the frames of the outbox. A failure ends the connection, because these frames were already reported as
    /// sent.
    fn post_waiting(
        &self,
        poll_sender: &PollSender,
        turn: &mut SendTurn,
        deadline: Instant,
    ) -> Result<(), Disconnect> {
        while let Some((body, last)) = self.outbox.next_body(self.handshake.max_payload) {
            poll_sender.post(turn, &body, deadline).map_err(|failure| {
                self.give_up(match failure {
                    SendFailure::NotSent(end) | SendFailure::MaybeSent(end) | SendFailure::Busy(end) => end,
                    SendFailure::Refused(error) => {
                        Disconnect::new(reason::TRANSPORT_ERROR, error.to_string())
                    }
                })
            })?;
            self.arrivals.confirm(last);
        }
        Ok(())
    }

    /// Writes a header and its attachments without other frames between them.
    fn send_packet(&self, header: Utf8Bytes, attachments: &[Bytes]) -> Result<u64, SendFailure> {
        self.check_size(header.len())?;
        attachments.iter().try_for_each(|bytes| self.check_size(bytes.len()))?;
        if let Some(poll_sender) = &self.poll_sender {
            return self.post_packet(poll_sender, &header, attachments);
        }
        let mut decoder = self.awake();
        if let Some(end) = decoder.over() {
            return Err(SendFailure::NotSent(end));
        }
        let before = decoder.written();
        let mut result = decoder.write(Message::Text(header));
        for bytes in attachments {
            if result.is_ok() {
                result = decoder.write(Message::Binary(bytes.clone()));
            }
        }
        result.map_err(|end| {
            self.cut();
            if decoder.written() == before { SendFailure::NotSent(end) } else { SendFailure::MaybeSent(end) }
        })?;
        Ok(self.arrivals.sent_one())
    }

    /// Sends a header and its attachments over long-polling, in as few requests as the server accepts.
    fn post_packet(
        &self,
        poll_sender: &PollSender,
        header: &str,
        attachments: &[Bytes],
    ) -> Result<u64, SendFailure> {
        let bodies = poll_sender.bodies(header, attachments, self.handshake.max_payload)?;
        let mut turn = poll_sender.turn();
        if let Some(end) = self.decoder().over() {
            return Err(SendFailure::NotSent(end));
        }
        let number = loop {
            self.post_waiting(poll_sender, &mut turn, self.write_deadline()).map_err(SendFailure::NotSent)?;
            if let Some(number) = self.outbox.number_if_empty(&self.arrivals) {
                break number;
            }
        };
        let mut begun = false;
        for body in &bodies {
            poll_sender.post(&mut turn, body, self.write_deadline()).map_err(|failure| match failure {
                SendFailure::Refused(error) => {
                    self.arrivals.confirm(number);
                    SendFailure::Refused(error)
                }
                SendFailure::NotSent(end) if !begun => SendFailure::NotSent(self.give_up(end)),
                SendFailure::NotSent(end) | SendFailure::MaybeSent(end) | SendFailure::Busy(end) => {
                    SendFailure::MaybeSent(self.give_up(end))
                }
            })?;
            begun = true;
        }
        // The response to the request confirms it.
        self.arrivals.confirm(number);
        Ok(number)
    }

    /// Ends the connection as if the network had ended it and no reader had noticed yet.
    #[cfg(test)]
    pub(crate) fn end_unnoticed(&self) {
        self.decoder().set_end(Disconnect::new(reason::TRANSPORT_CLOSE, "as the test wishes"));
    }

    fn give_up(&self, end: Disconnect) -> Disconnect {
        let end = self.decoder().set_end(end);
        self.cut();
        end
    }

    /// The server would close the connection for a larger message.
    fn check_size(&self, size: usize) -> Result<(), SendFailure> {
        match self.handshake.max_payload {
            Some(max) if size > max => {
                let text = format!("the message is {size} bytes, the server takes at most {max}: split it");
                Err(SendFailure::Refused(Error::invalid(text)))
            }
            _ => Ok(()),
        }
    }

    /// Returns the locked decoder. If the machine was suspended, waits for a sign of life first.
    fn awake(&self) -> MutexGuard<'_, PacketDecoder> {
        let mut decoder = self.decoder();
        while let Some(deadline) = decoder.probe_after_sleep() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                decoder.set_end(unanswered_probe());
                self.cut();
                self.alive.notify_all();
                break;
            }
            decoder = self.alive.wait_timeout(decoder, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        decoder
    }

    /// Sends a ping, so that a blocked read returns. Not possible with polling.
    pub(crate) fn nudge(&self) {
        let mut decoder = self.decoder();
        if self.poll_sender.is_none() && decoder.over().is_none() {
            decoder.ping();
        }
    }

    pub(crate) fn is_polling(&self) -> bool {
        self.poll_sender.is_some()
    }

    /// Leaves the namespace and starts the closing handshake. The reader sees the end.
    pub(crate) fn say_goodbye(&self, deadline: Instant) {
        // A write is stuck, so a clean close is not possible.
        let Some(mut decoder) = self.lock_until(deadline) else { return self.cut() };
        if !decoder.say_goodbye(deadline) {
            return;
        }
        if decoder.end().is_some() {
            // The write failed. Cutting the connection wakes the reader.
            return self.cut();
        }
        let Some(poll_sender) = &self.poll_sender else { return };
        drop(decoder);
        if let Some(mut turn) = poll_sender.turn_until(deadline)
            && self.post_waiting(poll_sender, &mut turn, deadline).is_ok()
        {
            // Posts the packets one by one, because the official server checks the second packet before it has
            // handled the first. Any response shows that the server has received the packet.
            let _ = CLOSING_PACKETS.iter().try_for_each(|body| poll_sender.post(&mut turn, body, deadline));
        }
        self.give_up(Disconnect::new(reason::CLIENT_DISCONNECT, ""));
    }

    fn lock_until(&self, deadline: Instant) -> Option<MutexGuard<'_, PacketDecoder>> {
        loop {
            match self.decoder.try_lock() {
                Ok(decoder) => return Some(decoder),
                Err(std::sync::TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
                Err(std::sync::TryLockError::WouldBlock) if Instant::now() >= deadline => return None,
                // The lock is held for microseconds, unless a write is stuck.
                Err(std::sync::TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    /// Ends the connection at once. Blocked reads and writes return.
    pub(crate) fn cut(&self) {
        self.cancel_token.cancel();
    }

    /// The socket, for a poller. With long-polling, this is the socket of the first poll.
    #[cfg(feature = "agents")]
    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }
}

/// The time limit for writes; see [`WRITE_TIMEOUT`].
fn write_timeout(handshake: &Handshake) -> Duration {
    WRITE_TIMEOUT.min(handshake.ping_timeout.max(Duration::from_secs(1)))
}

/// Makes the stream read from memory. The caller must pass the bytes of the returned socket to the stream.
fn start_feeding(stream: &mut Stream, write_timeout: Duration) -> std::io::Result<TcpStream> {
    let wire = stream.wire_mut();
    let socket = wire.socket()?;
    wire.start_feeding()?;
    wire.set_write_timeout(write_timeout)?;
    Ok(socket)
}

fn broken_early(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Connect, "the connection broke while it was set up").with_source(error)
}

impl Reader {
    fn read(&mut self, until: Option<Instant>) -> std::io::Result<usize> {
        let now = Instant::now();
        let wait = until.map_or(self.due, |until| until.min(self.due)).saturating_duration_since(now);
        // Zero would mean "no limit".
        let wait = wait.max(Duration::from_millis(1));
        // Under load the wait is always nearly the whole silence limit. Setting it each time would cost a system call
        // per read. A timeout that fires a little early does no harm.
        let fits = |set: Duration| set <= wait + TIMEOUT_SLACK && set + TIMEOUT_SLACK >= wait;
        let exact = |set: Duration| set <= wait && set + TIMEOUT_SLACK >= wait;
        if !self.timeout.is_some_and(|set| if until.is_some() { exact(set) } else { fits(set) }) {
            // The timeout is a little shorter than the wait, so that it also fits the next wait.
            let rounded = if wait > Duration::from_secs(1) { wait - TIMEOUT_SLACK / 2 } else { wait };
            self.socket.set_read_timeout(Some(rounded))?;
            self.timeout = Some(rounded);
        }
        self.buffer.read(&mut &*self.socket)
    }

    /// Passes the bytes to the decoder. Returns when to check it again.
    fn take(
        &mut self,
        read: std::io::Result<usize>,
        decoder: &mut PacketDecoder,
        into: &mut Vec<Inbound>,
    ) -> Result<Instant, Disconnect> {
        match read {
            Ok(0) => decoder.ended(into)?,
            Ok(_) => {
                decoder.feed(&mut self.buffer)?;
                decoder.decode(into)?;
            }
            Err(error) if matches!(error.kind(), IoKind::WouldBlock | IoKind::TimedOut) => {
                // The pause between two polls may be over.
                if decoder.poll_mut().is_some() {
                    decoder.decode(into)?;
                }
            }
            Err(error) if matches!(error.kind(), IoKind::ConnectionReset | IoKind::BrokenPipe) => {
                if decoder.poll_mut().is_some() {
                    decoder.ended(into)?;
                    return decoder.check(Instant::now());
                }
                return Err(Disconnect::new(reason::TRANSPORT_CLOSE, error.to_string()));
            }
            Err(error) => return Err(Disconnect::new(reason::TRANSPORT_ERROR, error.to_string())),
        }
        // The data of this read may have waited since before the sleep.
        decoder.probe_after_sleep();
        decoder.check(Instant::now())
    }
}

#[cfg(test)]
mod tests;
