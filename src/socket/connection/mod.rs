//! One live connection.
//!
//! Reading and writing are apart. Whoever holds the reader role blocks in `read` on a clone of the TCP socket
//! *without a lock*; under a short lock the bytes are fed to TLS and WebSocket and taken apart. A sender takes the
//! same lock, encodes and writes on its own thread. The lock is held during a write, so writes have a time limit.

mod arrivals;
pub(crate) mod connect;
pub(crate) mod decoder;

pub(crate) mod liveness;

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
use crate::socket::disconnect::{Disconnect, SendFailure, reason};
use crate::socket::protocol::engine_io::{self, Handshake};
use crate::socket::protocol::socket_io;
use crate::socket::transport::packet_stream::PacketStream;
use crate::socket::transport::polling::{OpenedPoll, PollSender};
use crate::socket::transport::websocket::frame_scanner::FrameScanner;
use crate::socket::transport::websocket::packets::WebSocketPackets;

/// The longest a write may block. Well under the usual pingTimeout, because no pong goes out meanwhile.
const WRITE_TIMEOUT: Duration = Duration::from_secs(8);
/// How long a send that does not wait may take to get at the channel, which is held for microseconds otherwise.
const TRY_PATIENCE: Duration = Duration::from_millis(20);
/// The least that a dial gets between two polls, however short the time of whoever reads is.
const SHORT_DIAL: Duration = Duration::from_secs(3);
/// Leaves the namespace, and ends the session.
const GOODBYE: [&str; 2] = [socket_io::DISCONNECT_FRAME, engine_io::CLOSE];
/// How far the socket's read time-out may be from the wanted one.
const TIMEOUT_SLACK: Duration = Duration::from_millis(20);

/// One live connection: the read half, the write half, and how it ended.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Only the holder of the reader role touches this, so the lock is never contended.
    reader: Mutex<Reader>,
    channel: Mutex<PacketDecoder>,
    /// Rung when a sign of life came that senders waited for, or when none will come.
    alive: Condvar,
    /// To stop a blocked read or write from any thread.
    cutter: CancelToken,
    /// With long-polling, the half that sends.
    poster: Option<PollSender>,
    write_timeout: Duration,
    arrivals: Arc<Arrivals>,
    pub(crate) handshake: Handshake,
}

#[derive(Debug)]
struct Reader {
    socket: TcpStream,
    buffer: ReadBuffer,
    timeout: Option<Duration>,
    /// When to look at the channel even if nothing comes.
    due: Instant,
}

impl Connection {
    /// Takes over a WebSocket whose open packet has been read, and waits for nothing more: the CONNECT exchange is
    /// ordinary traffic. Bytes that came with the handshake are decoded by the first [`drain`](Connection::drain).
    pub(crate) fn new(ws: WebSocket<FrameScanner<Stream>>, handshake: Handshake) -> Result<Self> {
        Self::with_skew(ws, handshake, Arc::default())
    }

    /// `skew`: see [`SleepDetector`].
    fn with_skew(
        mut ws: WebSocket<FrameScanner<Stream>>,
        handshake: Handshake,
        skew: Arc<AtomicU64>,
    ) -> Result<Self> {
        let cutter = CancelToken::default();
        let gone = || broken_early(IoKind::NotConnected.into());
        let stream = ws.get_mut().get_mut().ok_or_else(gone)?;
        cutter.register(stream.wire());
        let write_timeout = write_timeout(&handshake);
        let socket = start_feeding(stream, write_timeout).map_err(broken_early)?;
        let largest = handshake.max_payload;
        ws.set_config(|config| *config = crate::socket::transport::websocket::handshake::config(largest));
        let pipe = PacketStream::WebSocket(Box::new(WebSocketPackets::new(ws)));
        Ok(Self::with_pipe(pipe, None, socket, cutter, handshake, SleepDetector::new(skew)))
    }

    /// Takes over a session of long-polling.
    pub(crate) fn polling(opened: OpenedPoll) -> Result<Self> {
        let OpenedPoll { mut poll, mut stream, proven, poster, handshake } = opened;
        let socket = start_feeding(&mut stream, write_timeout(&handshake)).map_err(broken_early)?;
        poll.resume(stream, proven);
        let cutter = poll.site().cutter.clone();
        let pipe = PacketStream::Polling(Box::new(poll));
        Ok(Self::with_pipe(pipe, Some(poster), socket, cutter, handshake, SleepDetector::new(Arc::default())))
    }

    fn with_pipe(
        pipe: PacketStream,
        poster: Option<PollSender>,
        socket: TcpStream,
        cutter: CancelToken,
        handshake: Handshake,
        clock: SleepDetector,
    ) -> Self {
        let silence = handshake.silence();
        let arrivals = Arc::<Arrivals>::default();
        Connection {
            reader: Mutex::new(Reader {
                socket,
                buffer: ReadBuffer::new(),
                timeout: None,
                due: deadline::after(silence),
            }),
            channel: Mutex::new(PacketDecoder::new(pipe, silence, clock, Arc::clone(&arrivals))),
            alive: Condvar::new(),
            cutter,
            poster,
            write_timeout: write_timeout(&handshake),
            arrivals,
            handshake,
        }
    }

    fn channel(&self) -> MutexGuard<'_, PacketDecoder> {
        self.channel.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decodes what is buffered already, without touching the socket. To be called once before the first turn:
    /// what came along with the handshake is announced by nothing.
    pub(crate) fn drain(&self, into: &mut Vec<Inbound>) -> Result<(), Disconnect> {
        let mut channel = self.channel();
        channel.decode(into).map_err(|end| channel.set_end(end))?;
        self.answer_ping(channel)
    }

    /// Blocks until bytes come, `until` passes or the connection is over, and decodes what came.
    /// Only the holder of the reader role may call it. Once it has failed, it fails for the same reason ever after.
    pub(crate) fn turn(&self, until: Option<Instant>, into: &mut Vec<Inbound>) -> Result<(), Disconnect> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut channel = self.channel();
            if let Some(end) = channel.end() {
                return Err(end);
            }
            if channel.has_more() {
                let due = channel.decode(into).and_then(|()| channel.check(Instant::now()));
                reader.due = due.map_err(|end| channel.set_end(end))?;
                return self.answer_ping(channel);
            }
        }
        if self.poster.is_some() && !self.connect_poll(&mut reader, until, into)? {
            return Ok(());
        }
        let read = reader.read(until);
        let mut channel = self.channel();
        let is_waited_for = channel.is_waited_for();
        // Somebody else may have given the connection up, which is what ended the read.
        let outcome = match channel.end() {
            Some(end) => Err(end),
            None => reader.take(read, &mut channel, into),
        };
        // Whoever waits for a sign of life looks for itself. Ringing for nobody would be a system call per read.
        if is_waited_for {
            self.alive.notify_all();
        }
        reader.due = outcome.map_err(|end| channel.set_end(end))?;
        self.answer_ping(channel)
    }

    /// Long-polling: sees to it that there is a connection to read from. False if it takes longer than the caller
    /// can wait; the next one tries again.
    fn connect_poll(
        &self,
        reader: &mut Reader,
        until: Option<Instant>,
        into: &mut Vec<Inbound>,
    ) -> Result<bool, Disconnect> {
        let (site, at) = {
            let mut channel = self.channel();
            let Some(poll) = channel.poll_mut() else { return Ok(true) };
            let Some(at) = poll.wants_connection() else { return Ok(true) };
            (Arc::clone(poll.site()), at)
        };
        // A pause between two polls, which is short.
        std::thread::sleep(at.saturating_duration_since(Instant::now()));
        let now = Instant::now();
        let limit = now + WRITE_TIMEOUT;
        let deadline = until.map_or(limit, |until| until.max(now + SHORT_DIAL).min(limit));
        let dialled = site.dial(deadline, &site.cutter);
        let mut channel = self.channel();
        if let Some(end) = channel.end() {
            return Err(end);
        }
        let fail = |channel: &mut PacketDecoder, detail: String| {
            Err(channel.set_end(Disconnect::new(reason::TRANSPORT_ERROR, detail)))
        };
        match dialled {
            Ok(mut stream) => match start_feeding(&mut stream, self.write_timeout) {
                Ok(socket) => {
                    reader.socket = socket;
                    reader.timeout = None;
                    if let Some(poll) = channel.poll_mut() {
                        poll.resume(stream, false);
                    }
                    channel.decode(into).map_err(|end| channel.set_end(end))?;
                }
                Err(error) => return fail(&mut channel, error.to_string()),
            },
            Err(error) if error.is_timeout() && until.is_some() => {
                channel.check(Instant::now()).map_err(|end| channel.set_end(end))?;
                return Ok(false);
            }
            Err(error) => return fail(&mut channel, error.to_string()),
        }
        Ok(true)
    }

    /// Long-polling: answers the ping that came, if one did. The channel is let go before.
    fn answer_ping(&self, mut channel: MutexGuard<'_, PacketDecoder>) -> Result<(), Disconnect> {
        let Some(poster) = &self.poster else { return Ok(()) };
        if !channel.take_pong() {
            return Ok(());
        }
        drop(channel);
        let mut line = poster.turn();
        match poster.post(&mut line, engine_io::PONG, self.write_deadline()) {
            Ok(()) => Ok(()),
            Err(SendFailure::NotSent(end) | SendFailure::MaybeSent(end) | SendFailure::Busy(end)) => {
                Err(self.channel().set_end(end))
            }
            Err(SendFailure::Refused(error)) => {
                Err(self.channel().set_end(Disconnect::new(reason::TRANSPORT_ERROR, error.to_string())))
            }
        }
    }

    fn write_deadline(&self) -> Instant {
        deadline::after(self.write_timeout)
    }

    /// How many events are not known to have arrived.
    pub(crate) fn unconfirmed(&self) -> u64 {
        self.arrivals.unconfirmed()
    }

    /// The peer has answered the event of this number.
    pub(crate) fn confirm(&self, number: u64) {
        self.arrivals.confirm(number);
    }

    /// Writes one frame, on the caller's thread. Returns its number.
    pub(crate) fn send(&self, frame: Utf8Bytes) -> Result<u64, SendFailure> {
        self.send_packet(frame, &[])
    }

    /// Writes one frame if that is possible without waiting: for the peer, for another sender, or for a sign of life after
    /// a sleep. With long-polling it is a request, and its answer is waited for.
    pub(crate) fn try_send(self: &Arc<Self>, frame: Utf8Bytes) -> Result<u64, SendFailure> {
        if self.poster.is_some() {
            return self.send(frame);
        }
        self.check_size(frame.len())?;
        let busy = |what: &str| SendFailure::Busy(Disconnect::new(reason::TRANSPORT_ERROR, what));
        let Some(mut channel) = self.lock_until(deadline::after(TRY_PATIENCE)) else {
            return Err(busy("another message is being sent"));
        };
        if let Some(end) = channel.over() {
            return Err(SendFailure::NotSent(end));
        }
        if channel.probe_without_waiting().is_some() {
            return Err(busy(
                "the computer was asleep, and the server has not shown yet that it is still there",
            ));
        }
        if channel.has_overflow() {
            return Err(busy("the server does not read as fast as messages are sent"));
        }
        let before = channel.written();
        let rest = channel.write_without_waiting(Message::Text(frame)).map_err(|end| {
            self.cut();
            if channel.written() == before { SendFailure::NotSent(end) } else { SendFailure::MaybeSent(end) }
        })?;
        if rest {
            self.flush_soon();
        }
        Ok(self.arrivals.sent_one())
    }

    /// The rest of a message goes out on a thread of its own, which lives until then.
    fn flush_soon(self: &Arc<Self>) {
        let connection = Arc::clone(self);
        let work: Box<dyn FnOnce() + Send> = Box::new(move || {
            if connection.channel().flush().is_err() {
                connection.cut();
            }
        });
        if std::thread::Builder::new().name("crustocean-flush".to_owned()).spawn(work).is_err() {
            // Half a message is on its way, and nobody to send the rest.
            self.cut();
        }
    }

    /// Writes a header and its attachments, with nothing in between.
    fn send_packet(&self, header: Utf8Bytes, attachments: &[Bytes]) -> Result<u64, SendFailure> {
        self.check_size(header.len())?;
        attachments.iter().try_for_each(|bytes| self.check_size(bytes.len()))?;
        if let Some(poster) = &self.poster {
            self.post_packet(poster, &header, attachments)?;
            // The request was answered.
            let number = self.arrivals.sent_one();
            self.arrivals.confirm(number);
            return Ok(number);
        }
        let mut channel = self.awake();
        if let Some(end) = channel.over() {
            return Err(SendFailure::NotSent(end));
        }
        let before = channel.written();
        let mut result = channel.write(Message::Text(header));
        for bytes in attachments {
            if result.is_ok() {
                result = channel.write(Message::Binary(bytes.clone()));
            }
        }
        result.map_err(|end| {
            self.cut();
            if channel.written() == before { SendFailure::NotSent(end) } else { SendFailure::MaybeSent(end) }
        })?;
        Ok(self.arrivals.sent_one())
    }

    /// The same over long-polling: in as few requests as the server takes.
    fn post_packet(
        &self,
        poster: &PollSender,
        header: &str,
        attachments: &[Bytes],
    ) -> Result<(), SendFailure> {
        let bodies = poster.bodies(header, attachments, self.handshake.max_payload)?;
        let mut line = poster.turn();
        if let Some(end) = self.channel().over() {
            return Err(SendFailure::NotSent(end));
        }
        let mut begun = false;
        for body in &bodies {
            poster.post(&mut line, body, self.write_deadline()).map_err(|failure| match failure {
                SendFailure::Refused(error) => SendFailure::Refused(error),
                SendFailure::NotSent(end) if !begun => SendFailure::NotSent(self.give_up(end)),
                SendFailure::NotSent(end) | SendFailure::MaybeSent(end) | SendFailure::Busy(end) => {
                    SendFailure::MaybeSent(self.give_up(end))
                }
            })?;
            begun = true;
        }
        Ok(())
    }

    /// As if the connection had just ended, and nobody had looked yet.
    #[cfg(test)]
    pub(crate) fn end_unnoticed(&self) {
        self.channel().set_end(Disconnect::new(reason::TRANSPORT_CLOSE, "as the test wishes"));
    }

    fn give_up(&self, end: Disconnect) -> Disconnect {
        let end = self.channel().set_end(end);
        self.cut();
        end
    }

    /// Larger, and the server would close the connection.
    fn check_size(&self, size: usize) -> Result<(), SendFailure> {
        match self.handshake.max_payload {
            Some(max) if size > max => {
                let text = format!("the message is {size} bytes, the server takes at most {max}: split it");
                Err(SendFailure::Refused(Error::invalid(text)))
            }
            _ => Ok(()),
        }
    }

    /// The channel, and if the machine was suspended, not before the other side has shown that it is still there.
    fn awake(&self) -> MutexGuard<'_, PacketDecoder> {
        let mut channel = self.channel();
        while let Some(deadline) = channel.probe_after_sleep() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                channel.set_end(unanswered_probe());
                self.cut();
                self.alive.notify_all();
                break;
            }
            channel = self.alive.wait_timeout(channel, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        channel
    }

    /// Asks the other side for a sign of life, so that a blocked read returns. With polling there is no such thing.
    pub(crate) fn nudge(&self) {
        let mut channel = self.channel();
        if self.poster.is_none() && channel.over().is_none() {
            channel.ping();
        }
    }

    pub(crate) fn is_polling(&self) -> bool {
        self.poster.is_some()
    }

    /// Says goodbye: leaves the namespace and starts the closing handshake. The reader sees the end of it.
    pub(crate) fn say_goodbye(&self, deadline: Instant) {
        // A writer is stuck: there is nobody to be polite to.
        let Some(mut channel) = self.lock_until(deadline) else { return self.cut() };
        if !channel.say_goodbye(deadline) {
            return;
        }
        if channel.end().is_some() {
            // It could not be written. Whoever reads has to look up.
            return self.cut();
        }
        let Some(poster) = &self.poster else { return };
        drop(channel);
        if let Some(mut line) = poster.turn_until(deadline) {
            // One by one: the official server looks at the second before it has acted on the first. Whatever it
            // answers, it has been told.
            let _ = GOODBYE.iter().try_for_each(|body| poster.post(&mut line, body, deadline));
        }
        self.give_up(Disconnect::new(reason::CLIENT_DISCONNECT, ""));
    }

    fn lock_until(&self, deadline: Instant) -> Option<MutexGuard<'_, PacketDecoder>> {
        loop {
            match self.channel.try_lock() {
                Ok(channel) => return Some(channel),
                Err(std::sync::TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
                Err(std::sync::TryLockError::WouldBlock) if Instant::now() >= deadline => return None,
                // Held for microseconds, unless a write is stuck.
                Err(std::sync::TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    /// Ends the connection at once; blocked reads and writes return.
    pub(crate) fn cut(&self) {
        self.cutter.cancel();
    }
}

/// A time limit for writes: see [`WRITE_TIMEOUT`].
fn write_timeout(handshake: &Handshake) -> Duration {
    WRITE_TIMEOUT.min(handshake.ping_timeout.max(Duration::from_secs(1)))
}

/// Turns the stream into the upper end of a pipe. What comes from the returned socket has to be fed to it.
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
        // Zero would mean "for ever".
        let wait = wait.max(Duration::from_millis(1));
        // Under load the wait is always nearly the whole silence: setting it anew each time would cost a system
        // call per read. A time-out that fires a little early only goes round once more.
        let fits = |set: Duration| set <= wait + TIMEOUT_SLACK && set + TIMEOUT_SLACK >= wait;
        let exact = |set: Duration| set <= wait && set + TIMEOUT_SLACK >= wait;
        if !self.timeout.is_some_and(|set| if until.is_some() { exact(set) } else { fits(set) }) {
            // A little less than the wait, so that it also fits the next one, which is never quite the same.
            let rounded = if wait > Duration::from_secs(1) { wait - TIMEOUT_SLACK / 2 } else { wait };
            self.socket.set_read_timeout(Some(rounded))?;
            self.timeout = Some(rounded);
        }
        self.buffer.read(&mut self.socket)
    }

    /// Passes what was read to the channel. Returns when to look at it again.
    fn take(
        &mut self,
        read: std::io::Result<usize>,
        channel: &mut PacketDecoder,
        into: &mut Vec<Inbound>,
    ) -> Result<Instant, Disconnect> {
        match read {
            Ok(0) => channel.ended(into)?,
            Ok(_) => {
                channel.feed(&mut self.buffer)?;
                channel.decode(into)?;
            }
            Err(error) if matches!(error.kind(), IoKind::WouldBlock | IoKind::TimedOut) => {
                // The pause between two polls may be over.
                if channel.poll_mut().is_some() {
                    channel.decode(into)?;
                }
            }
            Err(error) if matches!(error.kind(), IoKind::ConnectionReset | IoKind::BrokenPipe) => {
                if channel.poll_mut().is_some() {
                    channel.ended(into)?;
                    return channel.check(Instant::now());
                }
                return Err(Disconnect::new(reason::TRANSPORT_CLOSE, error.to_string()));
            }
            Err(error) => return Err(Disconnect::new(reason::TRANSPORT_ERROR, error.to_string())),
        }
        // What came in this very turn may have been waiting since before the sleep.
        channel.probe_after_sleep();
        channel.check(Instant::now())
    }
}

#[cfg(test)]
mod tests;
