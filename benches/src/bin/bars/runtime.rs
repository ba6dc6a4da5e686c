//! What a running agent costs, beside the bare loop and the peers.

use std::io::{BufRead, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crustocean_bench::process;

use crate::Options;
use crate::table::{Bar, Sample, Table};

/// One who can be measured: the command before the name of the measurement.
struct Contender {
    name: &'static str,
    command: Vec<String>,
}

/// The server, ended when dropped.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start() -> Self {
        let mut child = Command::new(beside("bench-server"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the replay server");
        let mut url = String::new();
        let stdout = child.stdout.as_mut().expect("its output");
        BufReader::new(stdout).read_line(&mut url).expect("its URL");
        Server { child, url: url.trim().to_owned() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The end of its input is the end of it.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Another program of this crate.
fn beside(name: &str) -> String {
    let mut path = std::env::current_exe().expect("a path");
    path.set_file_name(name);
    path.to_string_lossy().into_owned()
}

fn contenders(options: &Options) -> Vec<Contender> {
    let own = |name, who: &str| Contender { name, command: vec![beside("bench-client"), who.to_owned()] };
    let mut all = vec![own("bare loop", "bare"), own("crustocean", "crate")];
    if let Some(peers) = &options.peers {
        let load = peers.join("rust-socketio/target/bench/load");
        if load.exists() {
            all.push(Contender { name: "rust_socketio", command: vec![load.to_string_lossy().into_owned()] });
        }
        let script = peers.join("node/load.mjs");
        if peers.join("node/node_modules/socket.io-client").exists() {
            let script = script.to_string_lossy().into_owned();
            all.push(Contender { name: "socket.io-client", command: vec!["node".to_owned(), script] });
        }
    }
    all
}

impl Contender {
    fn start(&self, server: &Server, what: &str, numbers: &[usize]) -> Child {
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).arg(what).arg(&server.url);
        command.args(numbers.iter().map(usize::to_string));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a contender")
    }

    /// The figures that a run prints.
    fn run(&self, server: &Server, what: &str, numbers: &[usize]) -> Vec<(String, f64)> {
        let mut child = self.start(server, what, numbers);
        let mut text = String::new();
        child.stdout.as_mut().expect("its output").read_to_string(&mut text).expect("its output");
        assert!(child.wait().expect("its end").success(), "{} {what} {numbers:?} failed: {text}", self.name);
        let pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
        pairs.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()
    }
}

fn value(figures: &[(String, f64)], name: &str) -> f64 {
    figures.iter().find(|(it, _)| it == name).map_or(f64::NAN, |(_, value)| *value)
}

/// Everybody in turn, `rounds` times; per contender and figure the values, and the ratios to the bare loop's of the
/// same round.
struct Rounds {
    names: Vec<&'static str>,
    figures: Vec<Vec<Sample>>,
    ratios: Vec<Vec<Sample>>,
}

impl Rounds {
    fn new(
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

    /// The crate's ratio.
    fn ratio(&self, what: usize) -> &Sample {
        &self.ratios[1][what]
    }

    fn print(&self, table: &mut Table, what: usize, title: &str, scale: f64, digits: usize) {
        for (who, name) in self.names.iter().enumerate() {
            let mut scaled = Sample::default();
            self.figures[who][what].each(|value| scaled.push(value * scale));
            let ratio = &self.ratios[who][what];
            table.figure(title, name, format!("{} ({:.2}x)", scaled.text(digits), ratio.median()));
        }
    }
}

pub(crate) fn measure(options: &Options, table: &mut Table) {
    let server = Server::start();
    let all = contenders(options);
    let scale = |full: usize, smoke: usize| if options.smoke { smoke } else { full };
    let rounds = options.rounds;

    for size in [120, 2000] {
        let count = scale(200_000, 2000);
        let events = Rounds::new(&all, rounds, 2, |who| {
            let figures = who.run(&server, "events", &[count, size]);
            vec![value(&figures, "rate"), value(&figures, "cpu")]
        });
        let what = format!("typed messages/s, {size} characters, against the bare loop");
        table.bar(&what, "x", Bar::AtLeast(0.85, 0.95), events.ratio(0), 2);
        let what = format!("CPU per message, {size} characters, against the bare loop");
        table.bar(&what, "x", Bar::AtMost(1.25, 1.05), events.ratio(1), 2);
        events.print(table, 0, &format!("messages/s, {size} characters"), 1.0, 0);
        events.print(table, 1, &format!("CPU µs per message, {size} characters"), 1e6, 2);
    }

    let calls = scale(5000, 50);
    let acks = Rounds::new(&all, rounds, 2, |who| {
        let figures = who.run(&server, "acks", &[calls]);
        vec![value(&figures, "p50"), value(&figures, "p99")]
    });
    table.bar("ack round trip p50, against the bare loop", "x", Bar::AtMost(1.1, 1.05), acks.ratio(0), 2);
    table.bar("ack round trip p99, against the bare loop", "x", Bar::AtMost(1.3, 1.3), acks.ratio(1), 2);
    acks.print(table, 0, "ack round trip p50, µs", 1.0, 1);
    acks.print(table, 1, "ack round trip p99, µs", 1.0, 1);

    let joins = Rounds::new(&all, scale(rounds * 3, 1), 1, |who| {
        let (took, child) = join(who, &server);
        // Its end must not be in the way of whoever starts next.
        end(child);
        vec![took]
    });
    table.bar(
        "process start to joined, against the bare loop",
        "x",
        Bar::AtMost(2.0, 1.3),
        joins.ratio(0),
        2,
    );
    joins.print(table, 0, "process start to joined, ms", 1e3, 1);

    let idle = Rounds::new(&all, scale(5, 1), 2, |who| {
        let (_, child) = join(who, &server);
        thread::sleep(Duration::from_millis(scale(1000, 10) as u64));
        let figures = vec![
            process::status(child.id(), "VmRSS") as f64 / 1000.0,
            process::status(child.id(), "Threads") as f64,
        ];
        end(child);
        figures
    });
    table.bar("resident memory, idle, no TLS", " MB", Bar::AtMost(4.0, 3.0), &idle.figures[1][0], 2);
    idle.print(table, 0, "resident memory, idle, MB", 1.0, 2);
    idle.print(table, 1, "threads, idle", 1.0, 0);

    let count = scale(1000, 10);
    let many = Rounds::new(&all, scale(3, 1), 2, |who| {
        let figures = who.run(&server, "many", &[count]);
        vec![value(&figures, "each"), value(&figures, "threads")]
    });
    let what = format!("resident memory per further agent, {count} in one process, each with its loop");
    table.bar(&what, " kB", Bar::AtMost(45.0, 30.0), &many.figures[1][0], 1);
    many.print(table, 0, "resident memory per further connection, kB", 1.0, 1);
    many.print(table, 1, "threads per connection", 1.0, 1);

    let figures = all[1].run(&server, "set", &[count, scale(10, 1), 4]);
    let mut each = Sample::default();
    each.push(value(&figures, "each"));
    let what = format!("resident memory per further agent, {count} in one set, one loop");
    table.bar(&what, " kB", Bar::AtMost(20.0, 20.0), &each, 1);
    table.figure("threads for them all", "crustocean", format!("{} more", value(&figures, "threads")));
    let rate = format!("{:.0} a second, {:.2} cores", value(&figures, "rate"), value(&figures, "cores"));
    table.figure(&format!("100 messages/s on each of {count} agents, 4 threads"), "crustocean", rate);

    threads(options, table, &server, &all);
    growth(options, table, &server, &all[1]);
}

/// How long from the start of the process until it says that it has joined. It still runs.
fn join(who: &Contender, server: &Server) -> (f64, Child) {
    let started = Instant::now();
    let mut child = who.start(server, "join", &[]);
    let mut said = [0; 6];
    child.stdout.as_mut().expect("its output").read_exact(&mut said).expect("joined");
    (started.elapsed().as_secs_f64(), child)
}

/// One that waits for the end of its standard input.
fn end(mut child: Child) {
    drop(child.stdin.take());
    let _ = child.wait();
}

fn threads(options: &Options, table: &mut Table, server: &Server, all: &[Contender]) {
    let count = if options.smoke { 2000 } else { 200_000 };
    for threads in [1, 2, 4] {
        let events = Rounds::new(&all[..2], options.rounds, 1, |who| {
            vec![value(&who.run(server, "events", &[count, 2000, threads]), "rate")]
        });
        let value = format!("{}x the bare loop on one thread", events.ratio(0).text(2));
        table.figure(
            "messages/s, 2000 characters, by consumer threads",
            &format!("crustocean, {threads}"),
            value,
        );
    }
}

/// Whether a long life costs more than a short one.
fn growth(options: &Options, table: &mut Table, server: &Server, who: &Contender) {
    let counts = if options.smoke { vec![100, 1000] } else { vec![1000, 10_000, 100_000, 1_000_000] };
    let mut times = vec![Sample::default(); counts.len()];
    let mut flat = Sample::default();
    for _ in 0..options.rounds.min(5) {
        let round: Vec<f64> = counts
            .iter()
            .map(|count| 1e6 / value(&who.run(server, "events", &[*count, 120]), "rate"))
            .collect();
        times.iter_mut().zip(&round).for_each(|(times, time)| times.push(*time));
        flat.push(round[round.len() - 1] / round.iter().copied().fold(f64::MAX, f64::min));
    }
    for (count, times) in counts.iter().zip(&times) {
        table.figure(&format!("time per event, {count} events, µs"), who.name, times.text(2));
    }
    table.bar(
        "time per event, 1,000,000 events against the best of 1,000 to 100,000",
        "x",
        Bar::AtMost(1.15, 1.05),
        &flat,
        2,
    );

    let counts = if options.smoke { [100, 1000] } else { [100_000, 1_000_000] };
    // Slower than the server by far.
    let micros = 10;
    let peaks = counts.map(|count| {
        let peak = value(&who.run(server, "slow", &[count, micros]), "peak") / 1000.0;
        table.figure(
            &format!("peak memory, {count} events, slow consumer, MB"),
            who.name,
            format!("{peak:.1}"),
        );
        peak
    });
    let mut flat = Sample::default();
    flat.push(peaks[1] / peaks[0]);
    table.bar(
        "memory, 1,000,000 events and a slow consumer, against 100,000",
        "x",
        Bar::AtMost(1.2, 1.1),
        &flat,
        2,
    );
}
