//! A server that replays recorded frames: one thread per connection, frames encoded beforehand. It is faster than every
//! client, so it never limits a measurement.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde::Deserialize;
use tungstenite::handshake::derive_accept_key;

use crate::ROOM;
use crate::load::{self, DISTINCT, Flood, HISTORY};
use crate::tls::Identity;

/// The stack of a connection's thread. It is small, because there may be thousands of these threads.
const STACK: usize = 128 << 10;

/// Starts the server in this process and returns its URL.
pub fn start() -> String {
    format!("http://127.0.0.1:{}", launch(None))
}

/// Starts a server that speaks TLS in this process and returns its URL.
pub fn start_tls(identity: &Identity) -> String {
    format!("https://localhost:{}", launch(Some(Arc::new(identity.server_config()))))
}

fn launch(tls: Option<Arc<ServerConfig>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    thread::Builder::new().spawn(move || serve(&listener, tls)).expect("a thread");
    port
}

fn serve(listener: &TcpListener, tls: Option<Arc<ServerConfig>>) {
    let shared = Arc::new(Replay::default());
    for stream in listener.incoming().flatten() {
        let (shared, tls) = (Arc::clone(&shared), tls.clone());
        let serve = move || {
            stream.set_nodelay(true).expect("nodelay");
            // The error is ignored, because a client may close its connection.
            let _ = match tls {
                None => shared.connection(stream),
                Some(tls) => {
                    let tls = ServerConnection::new(tls).expect("TLS");
                    shared.connection(StreamOwned::new(tls, stream))
                }
            };
        };
        thread::Builder::new().stack_size(STACK).spawn(serve).expect("a thread");
    }
}

#[derive(Default)]
struct Replay {
    floods: Mutex<HashMap<usize, Arc<Flood>>>,
    /// The pages of the history that a client has asked for, by path and query.
    pages: Mutex<HashMap<String, Arc<str>>>,
}

/// A client's request for `count` messages, one every `micros`.
#[derive(Deserialize)]
struct Pace {
    count: usize,
    size: usize,
    micros: u64,
}

#[derive(Deserialize)]
struct Wanted {
    count: usize,
    size: usize,
}

impl Replay {
    fn connection(&self, stream: impl Read + Write) -> io::Result<()> {
        let mut reader = BufReader::with_capacity(4096, stream);
        loop {
            let mut path = String::new();
            let mut length = 0;
            let mut key = None;
            let mut line = String::new();
            loop {
                line.clear();
                if reader.read_line(&mut line)? == 0 {
                    return Ok(());
                }
                let text = line.trim_end();
                if text.is_empty() {
                    break;
                }
                if path.is_empty() {
                    path = text.split(' ').nth(1).unwrap_or("/").to_owned();
                } else if let Some((name, value)) = text.split_once(": ") {
                    match name.to_ascii_lowercase().as_str() {
                        "content-length" => length = value.parse().unwrap_or(0),
                        "sec-websocket-key" => key = Some(value.to_owned()),
                        _ => {}
                    }
                }
            }
            if let Some(key) = key {
                let accept = derive_accept_key(key.as_bytes());
                write!(
                    reader.get_mut(),
                    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                     Sec-WebSocket-Accept: {accept}\r\n\r\n"
                )?;
                return self.socket(reader);
            }
            io::copy(&mut reader.by_ref().take(length), &mut io::sink())?;
            let body = self.answer(&path);
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            reader.get_mut().write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
        }
    }

    fn answer(&self, path: &str) -> Arc<str> {
        let route = path.split('?').next().unwrap_or_default();
        if route == "/api/auth/agent" {
            return r#"{"token":"session","user":{"id":"usr-1","username":"bench","display_name":"Bench"}}"#
                .into();
        }
        if route == "/api/agencies" {
            return format!(r#"[{{"id":"{ROOM}","name":"Lobby","slug":"lobby"}}]"#).into();
        }
        if !route.ends_with("/messages") {
            return "{}".into();
        }
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(page) = pages.get(path) {
            return Arc::clone(page);
        }
        let parameter = |name: &str| {
            path.split(['?', '&'])
                .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=').map(str::to_owned))
        };
        let limit = parameter("limit").and_then(|limit| limit.parse().ok()).unwrap_or(50_usize);
        let before = parameter("before").map(|time| time.replace("%3A", ":"));
        let end = before.and_then(|time| load::number_at(&time)).unwrap_or(HISTORY).min(HISTORY);
        let page: Vec<_> =
            (end.saturating_sub(limit)..end).rev().map(|n| load::message(n, 120, false)).collect();
        let page: Arc<str> = format!("[{}]", page.join(",")).into();
        pages.insert(path.to_owned(), Arc::clone(&page));
        page
    }

    fn flood(&self, size: usize) -> Arc<Flood> {
        let mut floods = self.floods.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(floods.entry(size).or_insert_with(|| Arc::new(Flood::new(size))))
    }

    fn pace(&self, mut writer: impl Write, pace: &Pace) -> io::Result<()> {
        let (mut flood, started) = (Flood::clone(&self.flood(pace.size)), Instant::now());
        for n in 0..pace.count {
            if n % DISTINCT == 0 {
                flood.begin_round((n / DISTINCT) as u32 + 1);
            }
            writer.write_all(flood.one(n % DISTINCT))?;
            let next = started + Duration::from_micros(pace.micros * (n as u64 + 1));
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        Ok(())
    }

    /// Reads a client's frames, which are small and masked, and obeys them.
    fn socket(&self, mut reader: BufReader<impl Read + Write>) -> io::Result<()> {
        let open =
            r#"0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
        reader.get_mut().write_all(&load::frame(open))?;
        let mut payload = Vec::new();
        loop {
            let mut head = [0; 2];
            reader.read_exact(&mut head)?;
            let length = match head[1] & 0x7f {
                126 => {
                    let mut wide = [0; 2];
                    reader.read_exact(&mut wide)?;
                    usize::from(u16::from_be_bytes(wide))
                }
                127 => return Err(io::ErrorKind::InvalidData.into()),
                short => usize::from(short),
            };
            let mut mask = [0; 4];
            reader.read_exact(&mut mask)?;
            payload.resize(length, 0);
            reader.read_exact(&mut payload)?;
            payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
            if head[0] & 0x0f == 8 {
                let _ = reader.get_mut().write_all(&[0x88, 0]);
                return Ok(());
            }
            let writer = reader.get_mut();
            let text = std::str::from_utf8(&payload).map_err(|_| io::ErrorKind::InvalidData)?;
            if text.starts_with("40") {
                writer.write_all(&load::frame(r#"40{"sid":"y"}"#))?;
            } else if text.starts_with("42[\"join-agency\"") {
                let agency = format!(r#"{{"id":"{ROOM}","name":"Lobby","slug":"lobby"}}"#);
                writer.write_all(&load::frame(&format!(
                    r#"42["agency-joined",{{"agencyId":"{ROOM}","agency":{agency},"members":[]}}]"#
                )))?;
            } else if let Some(pace) = text.strip_prefix("42[\"pace\",") {
                let pace: Pace =
                    serde_json::from_str(pace.trim_end_matches(']')).map_err(io::Error::other)?;
                self.pace(reader.get_mut(), &pace)?;
            } else if let Some(wanted) = text.strip_prefix("42[\"flood\",") {
                let wanted = wanted.trim_end_matches(']');
                let wanted: Wanted = serde_json::from_str(wanted).map_err(io::Error::other)?;
                let mut flood = Flood::clone(&self.flood(wanted.size));
                let mut left = wanted.count;
                for round in 1.. {
                    if left == 0 {
                        break;
                    }
                    flood.begin_round(round);
                    writer.write_all(flood.first(left))?;
                    left = left.saturating_sub(DISTINCT);
                }
            } else if let Some(rest) = text.strip_prefix("42")
                && rest.starts_with(|first: char| first.is_ascii_digit())
            {
                let id = rest.split('[').next().unwrap_or_default();
                let answer = format!(r#"43{id}[{{"ok":true,"command":"dice","content":"rolled 4"}}]"#);
                writer.write_all(&load::frame(&answer))?;
            }
        }
    }
}
