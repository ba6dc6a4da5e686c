//! A proxy that the test controls: HTTP CONNECT or SOCKS 5.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::http::Request;

/// How long a client may take for its part of the handshake.
const TIMEOUT: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Connect,
    Socks5,
}

/// What the proxy does with a connection.
#[derive(Debug, Clone, Copy)]
pub enum ProxyBehaviour {
    /// Forwards everything.
    Relay,
    /// Answers that the target cannot be reached: 403, or code 5 of SOCKS.
    Refuse,
    /// As `Refuse`, when the target is an IPv6 address.
    RefuseIpv6,
    /// Reads and never answers.
    Hang,
    /// Closes the connection at the first request.
    Close,
    /// Answers the first request with these bytes and waits.
    Say(&'static [u8]),
    /// Answers the first request with the first bytes, then repeats the other bytes with pauses.
    Repeat(&'static [u8], &'static [u8], Duration),
}

/// Listens on 127.0.0.1 until it is dropped.
pub struct TestProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    protocol: Protocol,
    credentials: Option<(String, String)>,
    /// One per connection. The last one applies to all later ones.
    behaviours: Vec<ProxyBehaviour>,
    /// The port to which every connection is forwarded, whatever the target.
    to: u16,
    stopped: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    connections: usize,
    targets: Vec<String>,
    open: Vec<TcpStream>,
}

impl TestProxy {
    /// Forwards every connection to this port of 127.0.0.1, whatever the target.
    pub fn start(protocol: Protocol, to: u16) -> TestProxy {
        TestProxy::launch(protocol, None, &[ProxyBehaviour::Relay], to)
    }

    /// Requires a user and a password.
    pub fn guarded(protocol: Protocol, user: &str, password: &str, to: u16) -> TestProxy {
        TestProxy::launch(
            protocol,
            Some((user.to_owned(), password.to_owned())),
            &[ProxyBehaviour::Relay],
            to,
        )
    }

    /// Uses the first behaviour for the first connection and so on. The last one applies to all later ones.
    pub fn in_turn(protocol: Protocol, behaviours: &[ProxyBehaviour], to: u16) -> TestProxy {
        TestProxy::launch(protocol, None, behaviours, to)
    }

    fn launch(
        protocol: Protocol,
        credentials: Option<(String, String)>,
        behaviours: &[ProxyBehaviour],
        to: u16,
    ) -> TestProxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            protocol,
            credentials,
            behaviours: behaviours.to_vec(),
            to,
            stopped: AtomicBool::new(false),
            state: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(io::Result::ok) {
                if serving.stopped.load(Ordering::Acquire) {
                    break;
                }
                let index = {
                    let mut state = serving.lock();
                    state.connections += 1;
                    state.connections - 1
                };
                let shared = Arc::clone(&serving);
                thread::spawn(move || {
                    // Clients may close at any time.
                    let _ = shared.serve(index, &client);
                    let _ = client.shutdown(Shutdown::Both);
                });
            }
        });
        TestProxy { address, shared }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The URL without credentials. For SOCKS: `socks5h`, which sends names.
    pub fn url(&self) -> String {
        self.url_with("")
    }

    /// The URL with credentials, such as `me:secret@`.
    pub fn url_with(&self, credentials: &str) -> String {
        let scheme = match self.shared.protocol {
            Protocol::Connect => "http",
            Protocol::Socks5 => "socks5h",
        };
        format!("{scheme}://{credentials}127.0.0.1:{}", self.port())
    }

    /// The number of connections.
    pub fn connections(&self) -> usize {
        self.shared.lock().connections
    }

    /// The requested targets as `host:port`, including refused ones.
    pub fn targets(&self) -> Vec<String> {
        self.shared.lock().targets.clone()
    }
}

impl Drop for TestProxy {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        for socket in &self.shared.lock().open {
            let _ = socket.shutdown(Shutdown::Both);
        }
        // Wakes the accepting thread.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, index: usize, client: &TcpStream) -> io::Result<()> {
        let mut client = client.try_clone()?;
        self.lock().open.push(client.try_clone()?);
        client.set_nodelay(true)?;
        client.set_read_timeout(Some(TIMEOUT))?;
        let behaviour = self.behaviours[index.min(self.behaviours.len() - 1)];
        match behaviour {
            ProxyBehaviour::Hang => return wait_for_end(&mut client),
            ProxyBehaviour::Close => return client.read(&mut [0; 1024]).map(drop),
            ProxyBehaviour::Say(bytes) => {
                let _ = client.read(&mut [0; 1024])?;
                client.write_all(bytes)?;
                return wait_for_end(&mut client);
            }
            ProxyBehaviour::Repeat(first, then, pause) => {
                let _ = client.read(&mut [0; 1024])?;
                client.write_all(first)?;
                while !self.stopped.load(Ordering::Acquire) {
                    client.write_all(then)?;
                    thread::sleep(pause);
                }
                return Ok(());
            }
            ProxyBehaviour::Relay | ProxyBehaviour::Refuse | ProxyBehaviour::RefuseIpv6 => {}
        }
        let accepted = match self.protocol {
            Protocol::Connect => self.answer_connect(&mut client, behaviour)?,
            Protocol::Socks5 => self.answer_socks(&mut client, behaviour)?,
        };
        if !accepted {
            return Ok(());
        }
        client.set_read_timeout(None)?;
        let server = TcpStream::connect((Ipv4Addr::LOCALHOST, self.to))?;
        server.set_nodelay(true)?;
        self.lock().open.push(server.try_clone()?);
        thread::scope(|scope| {
            scope.spawn(|| pass_on(&server, &client));
            pass_on(&client, &server);
        });
        Ok(())
    }

    fn refuses(&self, behaviour: ProxyBehaviour, target: &str) -> bool {
        self.lock().targets.push(target.to_owned());
        match behaviour {
            ProxyBehaviour::Refuse => true,
            ProxyBehaviour::RefuseIpv6 => target.starts_with('['),
            _ => false,
        }
    }

    fn answer_connect(&self, client: &mut TcpStream, behaviour: ProxyBehaviour) -> io::Result<bool> {
        let (request, behind) = Request::read(client, TIMEOUT)?;
        assert_eq!(request.method, "CONNECT", "{request:?}");
        assert_eq!(request.header("host"), Some(request.path.as_str()));
        assert!(behind.is_empty(), "the client has to wait for the answer");
        let expected = self.credentials.as_ref().map(|(user, password)| basic(user, password));
        let answer = if expected.as_deref() != request.header("proxy-authorization") {
            "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"test\"\r\n\
             Content-Length: 4\r\n\r\nnope"
        } else if self.refuses(behaviour, &request.path) {
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
        } else {
            "HTTP/1.1 200 Connection established\r\nVia: a test\r\n\r\n"
        };
        client.write_all(answer.as_bytes())?;
        Ok(answer.contains(" 200 "))
    }

    fn answer_socks(&self, client: &mut TcpStream, behaviour: ProxyBehaviour) -> io::Result<bool> {
        let [version, count] = read(client)?;
        assert_eq!(version, 5);
        let mut methods = vec![0; usize::from(count)];
        client.read_exact(&mut methods)?;
        let method = if self.credentials.is_some() { 2 } else { 0 };
        if !methods.contains(&method) {
            client.write_all(&[5, 0xff])?;
            return Ok(false);
        }
        client.write_all(&[5, method])?;
        if let Some((user, password)) = &self.credentials {
            let [version] = read(client)?;
            assert_eq!(version, 1);
            let given = (read_text(client)?, read_text(client)?);
            let good = given == (user.clone(), password.clone());
            client.write_all(&[1, u8::from(!good)])?;
            if !good {
                return Ok(false);
            }
        }

        let [version, command, _, kind] = read(client)?;
        assert_eq!((version, command), (5, 1));
        let host = match kind {
            1 => IpAddr::from(read::<4>(client)?).to_string(),
            3 => read_text(client)?,
            4 => format!("[{}]", Ipv6Addr::from(read::<16>(client)?)),
            other => panic!("address of kind {other}"),
        };
        let target = format!("{host}:{}", u16::from_be_bytes(read(client)?));
        if self.refuses(behaviour, &target) {
            client.write_all(&[5, 5, 0, 1, 0, 0, 0, 0, 0, 0])?;
            return Ok(false);
        }
        // The reply has a name as its address, which is the most difficult kind to skip.
        client.write_all(b"\x05\x00\x00\x03\x09localhost\x12\x34")?;
        Ok(true)
    }
}

fn pass_on(mut from: &TcpStream, mut to: &TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    for socket in [from, to] {
        let _ = socket.shutdown(Shutdown::Both);
    }
}

fn wait_for_end(client: &mut TcpStream) -> io::Result<()> {
    while client.read(&mut [0; 1024])? > 0 {}
    Ok(())
}

fn read<const N: usize>(client: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    client.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn read_text(client: &mut TcpStream) -> io::Result<String> {
    let [length] = read(client)?;
    let mut bytes = vec![0; usize::from(length)];
    client.read_exact(&mut bytes)?;
    String::from_utf8(bytes).map_err(io::Error::other)
}

fn basic(user: &str, password: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = "Basic ".to_owned();
    for three in format!("{user}:{password}").as_bytes().chunks(3) {
        let bits = three.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = char::from(DIGITS[(bits >> (18 - 6 * place)) as usize & 63]);
            text.push(if place <= three.len() { digit } else { '=' });
        }
    }
    text
}
