//! Tests of one connection, without a session. The test acts as the server.

use std::net::{TcpListener, TcpStream};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Instant;

use tungstenite::Message;
use tungstenite::protocol::Role;

use super::*;
use crate::net::wire::Wire;
use crate::socket::connection::decoder::Inbound;
use crate::socket::disconnect::{Disconnect, SendFailure};
use crate::socket::transport::websocket::handshake::config;

type Peer = WebSocket<TcpStream>;

const SOON: Duration = Duration::from_secs(30);

fn handshake() -> Handshake {
    Handshake::parse(r#"{"sid":"x","pingInterval":25000,"pingTimeout":20000,"maxPayload":2000}"#).unwrap()
}

/// A connection, its server, and how many milliseconds the machine seems to have slept.
fn pair() -> (Connection, Peer, Arc<AtomicU64>) {
    pair_with(handshake())
}

fn pair_with(handshake: Handshake) -> (Connection, Peer, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (theirs, _) = listener.accept().unwrap();
    theirs.set_read_timeout(Some(SOON)).unwrap();
    let scanner = FrameScanner::new(MaybeTlsStream::Plain(Wire::new(ours)), Vec::new());
    let ws = WebSocket::from_raw_socket(scanner, Role::Client, Some(config(None)));
    let skew = Arc::new(AtomicU64::new(0));
    let connection = Connection::with_skew(ws, handshake, Arc::clone(&skew)).unwrap();
    connection.count_from_now();
    (connection, WebSocket::from_raw_socket(theirs, Role::Server, None), skew)
}

/// Reads until the connection ends or `limit` has passed.
fn read(connection: &Connection, limit: Duration) -> (Vec<Inbound>, Option<Disconnect>) {
    let until = Instant::now() + limit;
    let mut batch = Vec::new();
    while Instant::now() < until {
        if let Err(end) = connection.turn(Some(until), &mut batch) {
            return (batch, Some(end));
        }
    }
    (batch, None)
}

#[test]
fn t211_after_a_sleep_a_sign_of_life_is_waited_for_before_anything_is_sent() {
    let (connection, mut peer, skew) = pair();
    skew.fetch_add(60_000, Ordering::Relaxed);
    thread::scope(|scope| {
        let sender = scope.spawn(|| connection.send("4after the sleep".into()));
        let reader = scope.spawn(|| read(&connection, Duration::from_secs(4)));
        assert!(matches!(peer.read().unwrap(), Message::Ping(_)), "the probe comes first");
        peer.get_ref().set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        assert!(peer.get_ref().peek(&mut [0]).is_err(), "and nothing behind it until it is answered");
        // The pong was prepared by the read. Any write sends it.
        peer.flush().unwrap();
        peer.get_ref().set_read_timeout(Some(SOON)).unwrap();
        assert_eq!(peer.read().unwrap(), Message::text("4after the sleep"));
        sender.join().unwrap().unwrap();
        assert!(reader.join().unwrap().1.is_none());
    });
    // A short sleep has no effect.
    skew.fetch_add(9_000, Ordering::Relaxed);
    connection.send("4soon".into()).unwrap();
    assert_eq!(peer.read().unwrap(), Message::text("4soon"));
}

#[test]
fn t86_t211_a_link_that_died_in_the_sleep_takes_nothing_with_it() {
    let (connection, peer, skew) = pair();
    skew.fetch_add(3_600_000, Ordering::Relaxed);
    let started = Instant::now();
    thread::scope(|scope| {
        let reader = scope.spawn(|| read(&connection, 3 * SOON));
        // The server is there but silent.
        let failure = connection.send("4lost?".into()).unwrap_err();
        assert!(matches!(&failure, SendFailure::NotSent(end) if end.reason == "ping timeout"), "{failure:?}");
        let (_, end) = reader.join().unwrap();
        assert_eq!(end.unwrap().reason, "ping timeout");
    });
    assert!(started.elapsed() >= Duration::from_secs(5) && started.elapsed() < Duration::from_secs(30));
    drop(peer);
}

#[test]
fn a_send_that_must_not_wait_does_not_wait_for_a_sign_of_life() {
    let (connection, mut peer, skew) = pair();
    let connection = Arc::new(connection);
    skew.fetch_add(60_000, Ordering::Relaxed);
    let started = Instant::now();
    assert!(matches!(connection.try_send("4lost?".into()), Err(SendFailure::Busy(_))));
    assert!(started.elapsed() < Duration::from_secs(4), "a sign of life may take 5 s");
    assert!(matches!(peer.read().unwrap(), Message::Ping(_)));
    peer.flush().unwrap();
    read(&connection, Duration::from_secs(2));
    connection.try_send("4awake".into()).unwrap();
    assert_eq!(peer.read().unwrap(), Message::text("4awake"));
}

#[test]
fn what_is_sent_without_waiting_arrives_whole_and_in_order() {
    let patient = Handshake::parse(r#"{"sid":"x","maxPayload":1000000}"#).unwrap();
    let (connection, mut peer, _) = pair_with(patient);
    let connection = Arc::new(connection);
    let text = |n: usize| format!("4{n} {}", "x".repeat(300_000));
    let (mut sent, mut busy) = (0, 0);
    while busy < 3 {
        let started = Instant::now();
        match connection.try_send(text(sent).into()) {
            Ok(_) => sent += 1,
            Err(SendFailure::Busy(_)) => busy += 1,
            Err(failure) => panic!("{failure:?}"),
        }
        assert!(started.elapsed() < Duration::from_secs(7), "a write may take 8 s: {:?}", started.elapsed());
        assert!(sent < 1000, "the peer reads nothing");
    }
    thread::scope(|scope| {
        scope.spawn(|| connection.send("4the last".into()).unwrap());
        for n in 0..sent {
            assert!(peer.read().unwrap() == Message::text(text(n)), "{n} of {sent}");
        }
        assert_eq!(peer.read().unwrap(), Message::text("4the last"));
    });
    assert_eq!(connection.unconfirmed(), sent as u64 + 1);
}

#[test]
fn t211_whoever_only_reads_notices_the_sleep_too() {
    let (connection, mut peer, skew) = pair();
    assert!(read(&connection, Duration::from_millis(10)).1.is_none());
    skew.fetch_add(60_000, Ordering::Relaxed);
    let started = Instant::now();
    // Calls `turn` several times without data, like a caller with its own deadline.
    let (_, end) = read(&connection, Duration::from_millis(50));
    assert!(end.is_none());
    assert!(matches!(peer.read().unwrap(), Message::Ping(_)));
    // No answer comes.
    let (_, end) = read(&connection, 2 * SOON);
    let end = end.unwrap();
    assert_eq!(end.reason, "ping timeout");
    assert!(end.detail.contains("suspended"), "{}", end.detail);
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
}

#[test]
fn what_ended_a_link_is_said_again_and_again() {
    let (connection, mut peer, _) = pair();
    peer.send(Message::text("41")).unwrap();
    for _ in 0..3 {
        let (_, end) = read(&connection, SOON);
        assert_eq!(end.unwrap().reason, "io server disconnect");
    }
    let failure = connection.send("4late".into()).unwrap_err();
    assert!(matches!(failure, SendFailure::NotSent(_)));
    // The client must close the socket, not leave it for the server.
    assert!(matches!(peer.read().unwrap(), Message::Close(_)));
}

#[test]
fn b39_attachments_get_a_minute() {
    let patient = Handshake::parse(r#"{"sid":"x","pingInterval":3600000}"#).unwrap();
    let (connection, mut peer, _) = pair_with(patient);
    peer.send(Message::text("452-[\"x\"]")).unwrap();
    peer.send(Message::binary(b"a".to_vec())).unwrap();
    let (events, end) = read(&connection, Duration::from_secs(1));
    assert!(events.is_empty() && end.is_none());
    let now = Instant::now();
    let in_seconds = |seconds| connection.core.link().check(now + Duration::from_secs(seconds));
    assert!(in_seconds(50).unwrap() < now + Duration::from_secs(61), "and it is looked at in time");
    assert_eq!(in_seconds(61).unwrap_err().reason, "parse error");
}

#[test]
fn t82_frames_of_several_threads_stay_whole_and_in_order() {
    let (connection, mut peer, _) = pair();
    thread::scope(|scope| {
        for thread in 0..8 {
            let connection = &connection;
            scope.spawn(move || {
                for number in 0..25 {
                    connection.send(format!("4{thread} {number} {}", "x".repeat(1500)).into()).unwrap();
                }
            });
        }
        let mut next = [0; 8];
        for _ in 0..200 {
            let text = peer.read().unwrap().into_text().unwrap();
            let mut words = text.strip_prefix('4').unwrap().split(' ');
            let thread: usize = words.next().unwrap().parse().unwrap();
            assert_eq!(words.next().unwrap().parse(), Ok(next[thread]));
            assert_eq!(words.next().unwrap(), "x".repeat(1500));
            next[thread] += 1;
        }
    });
}

#[test]
fn r135_a_frame_has_to_fit() {
    let (connection, mut peer, _) = pair();
    let connection = Arc::new(connection);
    for failure in [connection.send("x".repeat(2001).into()), connection.try_send("x".repeat(2001).into())] {
        assert!(matches!(failure, Err(SendFailure::Refused(_))), "{failure:?}");
    }
    // The refused sends have written nothing.
    connection.send("x".repeat(2000).into()).unwrap();
    assert_eq!(peer.read().unwrap().len(), 2000);
}
