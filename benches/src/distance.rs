//! Makes a server seem far away: a relay delays every byte, in both directions, by half a round trip.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Starts a relay to `127.0.0.1:port` in this process, and returns the relay's port. Each direction takes `one_way`.
///
/// The operating system completes the TCP handshake before the relay sees the connection. A distant server would
/// complete it one round trip later. So the relay delays the first bytes of a client by one more round trip.
pub fn start(port: u16, one_way: Duration) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let own = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let far = TcpStream::connect(("127.0.0.1", port)).expect("the server");
            near.set_nodelay(true).and(far.set_nodelay(true)).expect("nodelay");
            let opened = Instant::now() + 2 * one_way;
            carry(&near, &far, opened, one_way);
            carry(&far, &near, opened, one_way);
        }
    });
    own
}

/// Forwards what `from` sends to `to`, later.
fn carry(from: &TcpStream, to: &TcpStream, opened: Instant, one_way: Duration) {
    let (mut from, mut to) = (from.try_clone().expect("a socket"), to.try_clone().expect("a socket"));
    let (send, receive) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        let mut part = vec![0; 64 << 10];
        loop {
            let count = from.read(&mut part).unwrap_or(0);
            let arrives = Instant::now().max(opened) + one_way;
            if send.send((arrives, part[..count].to_vec())).is_err() || count == 0 {
                return;
            }
        }
    });
    thread::spawn(move || {
        for (arrives, bytes) in receive {
            thread::sleep(arrives.saturating_duration_since(Instant::now()));
            if bytes.is_empty() || to.write_all(&bytes).is_err() {
                let _ = to.shutdown(Shutdown::Write);
                return;
            }
        }
    });
}
