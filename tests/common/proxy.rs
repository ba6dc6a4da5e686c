//! A proxy that does what the test says: HTTP CONNECT or SOCKS 5.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::http::Request;

/// How long a client may take for its part of the handshake.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Connect,
    Socks5,
}

/// What the proxy does with a connection.
#[derive(Debug, Clone, Copy)]
pub enum Manner {
    /// Its work.
    Relay,
    /// Says that the target cannot be reached: 403, or 5 by SOCKS.
    Refuse,
    /// As `Refuse`, when the target is an IPv6 address.
    RefuseIpv6,
    /// Reads and says nothing.
    Hang,
    /// Closes the connection when it is asked for something.
    Close,
    /// Answers the first request with these bytes and waits.
    Say(&'static [u8]),
    /// Answers the first request with the first bytes, then with the others again and again, with pauses.
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
    /// One a connection; the last one is for all that follow.
    manners: Vec<Manner>,
    /// Where every connection ends, whatever the target.
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
    /// Connects everybody to this port of 127.0.0.1, whatever they ask for.
    pub fn start(protocol: Protocol, to: u16) -> TestProxy {
        TestProxy::launch(protocol, None, &[Manner::Relay], to)
    }

    /// Only for those who know user and password.
    pub fn guarded(protocol: Protocol, user: &str, password: &str, to: u16) -> TestProxy {
        TestProxy::launch(protocol, Some((user.to_owned(), password.to_owned())), &[Manner::Relay], to)
    }

    /// With the first manner for the first connection and so on; the last one is for all that follow.
    pub fn in_turn(protocol: Protocol, manners: &[Manner], to: u16) -> TestProxy {
        TestProxy::launch(protocol, None, manners, to)
    }

    fn launch(
        protocol: Protocol,
        credentials: Option<(String, String)>,
        manners: &[Manner],
        to: u16,
    ) -> TestProxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            protocol,
            credentials,
            manners: manners.to_vec(),
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
                    // Clients go when they like.
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

    /// Without credentials; for SOCKS the kind that sends names.
    pub fn url(&self) -> String {
        self.url_with("")
    }

    /// With credentials, such as `me:secret@`.
    pub fn url_with(&self, credentials: &str) -> String {
        let scheme = match self.shared.protocol {
            Protocol::Connect => "http",
            Protocol::Socks5 => "socks5h",
        };
        format!("{scheme}://{credentials}127.0.0.1:{}", self.port())
    }

    /// How many have connected to it.
    pub fn connections(&self) -> usize {
        self.shared.lock().connections
    }

    /// What was asked for, as `host:port`, also in vain.
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
        // Wakes the listener.
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
        client.set_read_timeout(Some(PATIENCE))?;
        let manner = self.manners[index.min(self.manners.len() - 1)];
        match manner {
            Manner::Hang => return wait_for_end(&mut client),
            Manner::Close => return client.read(&mut [0; 1024]).map(drop),
            Manner::Say(bytes) => {
                let _ = client.read(&mut [0; 1024])?;
                client.write_all(bytes)?;
                return wait_for_end(&mut client);
            }
            Manner::Repeat(first, then, pause) => {
                let _ = client.read(&mut [0; 1024])?;
                client.write_all(first)?;
                while !self.stopped.load(Ordering::Acquire) {
                    client.write_all(then)?;
                    thread::sleep(pause);
                }
                return Ok(());
            }
            Manner::Relay | Manner::Refuse | Manner::RefuseIpv6 => {}
        }
        let accepted = match self.protocol {
            Protocol::Connect => self.answer_connect(&mut client, manner)?,
            Protocol::Socks5 => self.answer_socks(&mut client, manner)?,
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

    fn refuses(&self, manner: Manner, target: &str) -> bool {
        self.lock().targets.push(target.to_owned());
        match manner {
            Manner::Refuse => true,
            Manner::RefuseIpv6 => target.starts_with('['),
            _ => false,
        }
    }

    fn answer_connect(&self, client: &mut TcpStream, manner: Manner) -> io::Result<bool> {
        let (request, behind) = Request::read(client, PATIENCE)?;
        assert_eq!(request.method, "CONNECT", "{request:?}");
        assert_eq!(request.header("host"), Some(request.path.as_str()));
        assert!(behind.is_empty(), "the client has to wait for the answer");
        let expected = self.credentials.as_ref().map(|(user, password)| basic(user, password));
        let answer = if expected.as_deref() != request.header("proxy-authorization") {
            "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"test\"\r\n\
             Content-Length: 4\r\n\r\nnope"
        } else if self.refuses(manner, &request.path) {
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
        } else {
            "HTTP/1.1 200 Connection established\r\nVia: a test\r\n\r\n"
        };
        client.write_all(answer.as_bytes())?;
        Ok(answer.contains(" 200 "))
    }

    fn answer_socks(&self, client: &mut TcpStream, manner: Manner) -> io::Result<bool> {
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
        if self.refuses(manner, &target) {
            client.write_all(&[5, 5, 0, 1, 0, 0, 0, 0, 0, 0])?;
            return Ok(false);
        }
        // Bound to a name, which is the kind of address that is the hardest to skip.
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
