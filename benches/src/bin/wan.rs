//! Measures how long each step takes from far away, in round trips: `wan [smoke]`. `benches/run wan` starts it.
//!
//! The server is the sandbox. A relay in front of it delays every byte. For TLS, a second relay speaks TLS.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a bench that fails should stop"
)]

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crustocean::{Client, PersonalAccessToken};
use crustocean_bench::distance;
use crustocean_bench::steps::STEPS;
use crustocean_bench::tls::{Authority, TlsRelay};
use crustocean_sandbox::Sandbox;

/// The number of messages in the room whose history is read.
const HISTORY: usize = 150;

struct Contender {
    name: &'static str,
    command: Vec<String>,
    /// The names that this client gives to the kinds of TLS that it supports.
    tls: &'static [&'static str],
}

fn main() {
    let smoke = std::env::args().any(|argument| argument == "smoke");
    let number =
        |name: &str, default| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let rounds: usize = number("ROUNDS", if smoke { 1 } else { 3 });
    let distances: &[u64] = if smoke { &[20] } else { &[20, 80, 200] };
    let contenders = contenders(smoke);
    let columns: Vec<(&Contender, &str)> =
        contenders.iter().flat_map(|it| it.tls.iter().map(move |tls| (it, *tls))).collect();
    let started = Instant::now();
    for millis in distances {
        let names: Vec<String> = columns.iter().map(|(who, tls)| format!("{}, {tls}", who.name)).collect();
        println!("| {millis} ms | {} |", names.join(" | "));
        println!("|---|{}", "---|".repeat(columns.len()));
        let trips: Vec<Vec<f64>> =
            columns.iter().map(|(who, tls)| measure(who, tls, *millis, rounds)).collect();
        for (step, name) in STEPS.iter().enumerate() {
            let cell =
                |trips: &Vec<f64>| trips.get(step).map_or("-".to_owned(), |trips| format!("{trips:.1}"));
            println!("| {name} | {} |", trips.iter().map(cell).collect::<Vec<_>>().join(" | "));
        }
        println!();
    }
    println!(
        "Round trips: medians of {rounds} rounds, measured in {:.0} s.",
        started.elapsed().as_secs_f64()
    );
}

fn contenders(smoke: bool) -> Vec<Contender> {
    let own = std::env::current_exe().expect("its own path").with_file_name("bench-client");
    let mut all = vec![Contender {
        name: "crustocean",
        command: vec![own.to_string_lossy().into_owned(), "crate".to_owned(), "steps".to_owned()],
        tls: if cfg!(feature = "tls") { &["plain", "rustls", "native"] } else { &["plain"] },
    }];
    let Some(peers) = std::env::var_os("PEERS").map(PathBuf::from).filter(|_| !smoke) else { return all };
    let load = peers.join("rust-socketio/target/bench/load");
    if load.exists() {
        let command = vec![load.to_string_lossy().into_owned(), "steps".to_owned()];
        all.push(Contender { name: "rust_socketio + reqwest", command, tls: &["plain", "native"] });
    }
    if peers.join("node/node_modules/socket.io-client").exists() {
        let script = peers.join("node/load.mjs").to_string_lossy().into_owned();
        let command = vec!["node".to_owned(), script, "steps".to_owned()];
        all.push(Contender { name: "socket.io-client + fetch", command, tls: &["plain", "openssl"] });
    }
    all
}

/// Returns the median of each step, in round trips of `millis`.
fn measure(contender: &Contender, tls: &str, millis: u64, rounds: usize) -> Vec<f64> {
    let mut all: Vec<Vec<f64>> = Vec::new();
    for _ in 0..rounds {
        let times = once(contender, tls, Duration::from_millis(millis));
        all.resize_with(times.len().max(all.len()), Vec::new);
        all.iter_mut().zip(times).for_each(|(all, time)| all.push(time / millis as f64));
    }
    for values in &mut all {
        values.sort_by(f64::total_cmp);
    }
    all.iter().map(|values| values[values.len() / 2]).collect()
}

/// Returns the output of one run: the milliseconds of each step.
fn once(contender: &Contender, tls: &str, round_trip: Duration) -> Vec<f64> {
    let sandbox = Sandbox::start().expect("a sandbox");
    let alice = sandbox.add_user("alice").expect("a user");
    let bot = sandbox.add_agent("larry", &alice.id).expect("an agent");
    let token: PersonalAccessToken = alice.token.parse().expect("a token");
    let owner = Client::builder().api_url(sandbox.url()).build(token).expect("a client");
    let lobby = sandbox.lobby_id();
    let say = |room: &str, text: String| {
        sandbox.say(room, &alice.id, &text, serde_json::Value::Null).expect("a message");
    };
    say(&lobby, "hello".to_owned());
    let mut busy = String::new();
    for n in 0..5 {
        busy = sandbox.add_agency(&format!("Room {n}"), &alice.id).expect("a room");
        owner.agencies().add_agent(&busy.as_str().into(), "larry").expect("a member");
    }
    (0..HISTORY).for_each(|n| say(&busy, format!("message {n}")));

    let authority = Authority::new();
    let relay = (tls != "plain").then(|| TlsRelay::start(&authority.identity("localhost"), sandbox.port()));
    let port = distance::start(relay.as_ref().map_or(sandbox.port(), TlsRelay::port), round_trip / 2);
    let scheme = if relay.is_some() { "https" } else { "http" };
    let ca = std::env::temp_dir().join(format!("crustocean-wan-{}.pem", std::process::id()));
    std::fs::write(&ca, authority.pem()).expect("a certificate");

    let mut command = Command::new(&contender.command[0]);
    command.args(&contender.command[1..]).arg(format!("{scheme}://localhost:{port}"));
    command.args([bot.token.as_str(), busy.as_str(), tls]).arg(&ca);
    command.env("NODE_EXTRA_CA_CERTS", &ca).env("NO_PROXY", "*");
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("a contender");
    let mut times = Vec::new();
    for line in BufReader::new(child.stdout.take().expect("its output")).lines() {
        let line = line.expect("text");
        if line == "cut" {
            sandbox.drop_links();
        } else {
            times = line.split(' ').filter_map(|time| time.parse().ok()).collect();
        }
    }
    let success = child.wait().expect("its end").success();
    assert!(success && !times.is_empty(), "{} {tls}: {times:?}", contender.name);
    let _ = std::fs::remove_file(ca);
    times
}
