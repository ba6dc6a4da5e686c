//! A Redis server and a sandbox for one test.

#![allow(dead_code, unreachable_pub, reason = "each test program uses a part of it")]

use std::fs;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crustocean::Agent;
use crustocean::agent::AgentBuilder;
use crustocean_sandbox::{Credentials, Sandbox};
use crustocean_workers::Store;
use serde_json::Value;

/// A `redis-server` on a free port, which ends with the test.
pub struct Redis {
    server: Option<Child>,
    pub port: u16,
    directory: PathBuf,
    append_only: bool,
    _reserved: UdpSocket,
}

impl Redis {
    pub fn start() -> Redis {
        Self::with_persistence(false)
    }

    pub fn with_persistence(append_only: bool) -> Redis {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("crustocean-workers-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).unwrap();
        let (port, reserved) = free_port();
        let mut redis = Redis { server: None, port, directory, append_only, _reserved: reserved };
        redis.resume();
        redis
    }

    /// Starts the server again, on the same port.
    pub fn resume(&mut self) {
        let port = self.port.to_string();
        let append_only = if self.append_only { "yes" } else { "no" };
        let server = Command::new("redis-server")
            .args([
                "--port",
                &port,
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                append_only,
                "--dir",
            ])
            .arg(&self.directory)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server: apt-get install redis-server");
        self.server = Some(server);
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.command(&["PING"]) != "PONG" {
            assert!(Instant::now() < deadline, "redis-server does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills the server as `kill -9` does.
    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }

    pub fn pid(&self) -> u32 {
        self.server.as_ref().unwrap().id()
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn store(&self) -> Store {
        Store::open(&self.url()).unwrap()
    }

    /// Runs a command with `redis-cli` and returns what that prints.
    pub fn command(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("redis-cli");
        command.args(["-p", &self.port.to_string()]).args(arguments).stderr(Stdio::null());
        String::from_utf8_lossy(&command.output().unwrap().stdout).trim().to_owned()
    }
}

/// A free port for a server that is stopped and started again, and the sign that it is taken: the UDP port of the same
/// number. Systems give higher ports to outgoing connections, and sandboxes have lower ones.
fn free_port() -> (u16, UdpSocket) {
    let is_free = |port| TcpStream::connect(("127.0.0.1", port)).is_err();
    let take = |port| Some((port, UdpSocket::bind(("127.0.0.1", port)).ok().filter(|_| is_free(port))?));
    (27_000..32_000).find_map(take).expect("a free port")
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A sandbox with a user who asks, an agent who answers, and rooms.
pub struct Platform {
    pub sandbox: Sandbox,
    pub alice: Credentials,
    pub larry: Credentials,
    pub rooms: Vec<String>,
}

impl Platform {
    pub fn start(rooms: usize) -> Platform {
        let sandbox = Sandbox::start().unwrap();
        let alice = sandbox.add_user("alice").unwrap();
        let larry = sandbox.add_agent("larry", &alice.id).unwrap();
        let rooms =
            (0..rooms).map(|n| sandbox.add_agency(&format!("Room {n}"), &alice.id).unwrap()).collect();
        Platform { sandbox, alice, larry, rooms }
    }

    pub fn ask(&self, room: usize, text: &str) -> String {
        self.sandbox.say(&self.rooms[room], &self.alice.id, &format!("@larry {text}"), Value::Null).unwrap()
    }

    pub fn say(&self, room: usize, text: &str) -> String {
        self.sandbox.say(&self.rooms[room], &self.alice.id, text, Value::Null).unwrap()
    }

    /// The messages of a room that are not questions.
    pub fn answers(&self, room: usize) -> Vec<String> {
        let messages = self.sandbox.messages(&self.rooms[room]).into_iter().map(|said| said.content);
        messages.filter(|text| !text.starts_with("@larry")).collect()
    }

    pub fn connect(&self) -> impl Fn(AgentBuilder) -> crustocean::Result<Agent> + Send + Sync + use<> {
        connect(self.sandbox.url(), &self.larry.token)
    }

    pub fn join(&self) -> impl Fn(&Agent) -> crustocean::Result<()> + Send + Sync + use<> {
        join(self.rooms.clone())
    }
}

pub fn connect(
    url: &str,
    token: &str,
) -> impl Fn(AgentBuilder) -> crustocean::Result<Agent> + Send + Sync + use<> {
    let (url, token) = (url.to_owned(), token.to_owned());
    move |builder| builder.api_url(url.clone()).connect(token.parse()?)
}

pub fn join(rooms: Vec<String>) -> impl Fn(&Agent) -> crustocean::Result<()> + Send + Sync + use<> {
    move |agent| rooms.iter().try_for_each(|room| agent.join(room).map(drop))
}

/// Waits until a condition holds. The test fails if it does not hold within `limit`.
#[track_caller]
pub fn eventually(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Sends a signal to a process: `-STOP`, `-CONT`.
pub fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args([name, &pid.to_string()]).status().unwrap().success());
}

/// A proxy in front of Redis that delays the data of the clients.
pub fn slow_proxy(redis: u16, delay: Duration) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(server) = TcpStream::connect(("127.0.0.1", redis)) else { continue };
            let pump = move |mut from: TcpStream, mut to: TcpStream, delay: Duration| {
                std::thread::spawn(move || {
                    use std::io::{Read, Write};
                    let mut buffer = [0; 65_536];
                    while let Ok(count @ 1..) = from.read(&mut buffer) {
                        std::thread::sleep(delay);
                        if to.write_all(&buffer[..count]).is_err() {
                            break;
                        }
                    }
                    let _ = to.shutdown(std::net::Shutdown::Both);
                })
            };
            pump(client.try_clone().unwrap(), server.try_clone().unwrap(), delay);
            pump(server, client, Duration::ZERO);
        }
    });
    port
}
