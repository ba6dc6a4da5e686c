//! The clients to measure, the server that they connect to, and the rounds.

use std::fs;
use std::io::{BufRead, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crustocean_bench::{process, stream};

use crate::Options;
use crate::table::{Sample, Table};

/// A client that can be measured. `command` is the part of its command line before the name of the measurement.
#[derive(Debug)]
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    command: Vec<String>,
    /// The TLS library that it uses, if any: `rustls` or `native`.
    tls: Option<&'static str>,
}

/// The replay server. Its process ends when this value is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
    /// The file with its root certificate, if it speaks TLS.
    root: Option<PathBuf>,
}

impl Server {
    pub(crate) fn plain() -> Self {
        Server::start(None)
    }

    pub(crate) fn with_tls() -> Self {
        let name = format!("crustocean-bench-{}.pem", std::process::id());
        Server::start(Some(std::env::temp_dir().join(name)))
    }

    fn start(root: Option<PathBuf>) -> Self {
        let mut command = Command::new(beside("bench-server"));
        command.args(&root).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the replay server");
        let mut url = String::new();
        let stdout = child.stdout.as_mut().expect("its output");
        BufReader::new(stdout).read_line(&mut url).expect("its URL");
        Server { child, url: url.trim().to_owned(), root }
    }

    /// The port on which it listens.
    pub(crate) fn port(&self) -> u16 {
        self.url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.child);
        if let Some(root) = &self.root {
            let _ = fs::remove_file(root);
        }
    }
}

/// A process that has joined the room. It ends when this value is dropped.
#[derive(Debug)]
pub(crate) struct Joined(Child);

impl Drop for Joined {
    fn drop(&mut self) {
        end(&mut self.0);
    }
}

/// Ends a process that waits for the end of its standard input.
fn end(child: &mut Child) {
    drop(child.stdin.take());
    let _ = child.wait();
}

/// Returns the path of another program of this crate.
fn beside(name: &str) -> String {
    let mut path = std::env::current_exe().expect("a path");
    path.set_file_name(name);
    path.to_string_lossy().into_owned()
}

/// Returns the bare loop, the crate, and the peers if they are installed.
pub(crate) fn contenders(options: &Options) -> Vec<Contender> {
    let mut all = Vec::from(own(None));
    if let Some(peers) = &options.peers {
        let peer = |name, command| Contender { name, command, tls: None };
        let load = peers.join("rust-socketio/target/bench/load");
        if load.exists() {
            all.push(peer("rust_socketio", vec![load.to_string_lossy().into_owned()]));
        }
        let script = peers.join("node/load.mjs");
        if peers.join("node/node_modules/socket.io-client").exists() {
            let script = script.to_string_lossy().into_owned();
            all.push(peer("socket.io-client", vec!["node".to_owned(), script]));
        }
    }
    all
}

/// Returns the bare loop and the crate.
pub(crate) fn own(tls: Option<&'static str>) -> [Contender; 2] {
    // The client with TLS is a separate build, so that the others are measured without TLS.
    let client = std::env::var("TLS_CLIENT").ok().filter(|_| tls.is_some());
    let client = client.unwrap_or_else(|| beside("bench-client"));
    [("bare loop", "bare"), ("crustocean", "crate")].map(|(name, who)| {
        let command = vec![client.clone(), who.to_owned()];
        Contender { name, command, tls }
    })
}

impl Contender {
    fn start(&self, server: &Server, what: &str, numbers: &[usize]) -> Child {
        self.start_at(&server.url, server, what, numbers)
    }

    fn start_at(&self, url: &str, server: &Server, what: &str, numbers: &[usize]) -> Child {
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).arg(what).arg(url);
        if let (Some(tls), Some(root)) = (self.tls, &server.root) {
            command.env(stream::TLS, tls).env(stream::ROOT, root);
        }
        command.args(numbers.iter().map(usize::to_string));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a contender")
    }

    /// Returns the seconds from the start of the process until it prints that it has joined. The process still runs.
    pub(crate) fn join(&self, server: &Server) -> (f64, Joined) {
        let started = Instant::now();
        let mut child = self.start(server, "join", &[]);
        let mut said = [0; 6];
        child.stdout.as_mut().expect("its output").read_exact(&mut said).expect("joined");
        (started.elapsed().as_secs_f64(), Joined(child))
    }

    /// Returns the megabytes and the threads of a process that has joined and has waited for `pause`.
    pub(crate) fn idle(&self, server: &Server, pause: Duration) -> Vec<f64> {
        let (_, joined) = self.join(server);
        thread::sleep(pause);
        let status = |name| process::status(joined.0.id(), name) as f64;
        vec![status("VmRSS") / 1000.0, status("Threads")]
    }

    /// Returns the figures that a run prints.
    pub(crate) fn run(&self, server: &Server, what: &str, numbers: &[usize]) -> Vec<(String, f64)> {
        self.run_at(server.url.as_str(), server, what, numbers)
    }

    /// Does the same with another URL, for example that of a relay.
    pub(crate) fn run_at(
        &self,
        url: &str,
        server: &Server,
        what: &str,
        numbers: &[usize],
    ) -> Vec<(String, f64)> {
        let mut child = self.start_at(url, server, what, numbers);
        let mut text = String::new();
        child.stdout.as_mut().expect("its output").read_to_string(&mut text).expect("its output");
        assert!(child.wait().expect("its end").success(), "{} {what} {numbers:?} failed: {text}", self.name);
        let pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
        pairs.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()
    }
}

/// Returns one of the figures that a run has printed.
pub(crate) fn value(figures: &[(String, f64)], name: &str) -> f64 {
    figures.iter().find(|(it, _)| it == name).map_or(f64::NAN, |(_, value)| *value)
}

/// The results of `rounds` rounds, in which each client runs once. For each client and figure it has the values, and
/// their ratios to the values of the bare loop in the same round.
#[derive(Debug)]
pub(crate) struct Rounds {
    names: Vec<&'static str>,
    pub(crate) figures: Vec<Vec<Sample>>,
    ratios: Vec<Vec<Sample>>,
}

impl Rounds {
    pub(crate) fn new(
        contenders: &[Contender],
        rounds: usize,
        count: usize,
        run: impl Fn(&Contender) -> Vec<f64>,
    ) -> Self {
        let empty = vec![vec![Sample::default(); count]; contenders.len()];
        let names = contenders.iter().map(|contender| contender.name).collect();
        let mut all = Rounds { names, figures: empty.clone(), ratios: empty };
        for _ in 0..rounds {
            let results: Vec<_> = contenders.iter().map(&run).collect();
            for (who, result) in results.iter().enumerate() {
                for (what, value) in result.iter().enumerate() {
                    all.figures[who][what].push(*value);
                    all.ratios[who][what].push(value / results[0][what]);
                }
            }
        }
        all
    }

    /// The ratios of the crate for a figure.
    pub(crate) fn ratio(&self, what: usize) -> &Sample {
        &self.ratios[1][what]
    }

    pub(crate) fn print(&self, table: &mut Table, what: usize, title: &str, scale: f64, digits: usize) {
        for (who, name) in self.names.iter().enumerate() {
            let mut scaled = Sample::default();
            self.figures[who][what].each(|value| scaled.push(value * scale));
            let ratio = &self.ratios[who][what];
            table.figure(title, name, format!("{} ({:.2}x)", scaled.text(digits), ratio.median()));
        }
    }
}
