//! Makes the measurements of `bench-client` with rust_socketio: `load <events|acks|join|many> <url> [numbers]`.
use std::collections::VecDeque;
use std::io::Read as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::time::{Duration, Instant};

use rust_socketio::client::Client;
use rust_socketio::{ClientBuilder, Payload, RawClient, TransportType};
use serde::Deserialize;
use serde_json::{Value, json};

/// The same fields as the crate's message.
#[derive(Deserialize)]
#[allow(dead_code)]
struct Message {
    id: String,
    #[serde(rename = "agencyId")]
    agency_id: String,
    content: String,
    sender_id: String,
    sender_username: String,
    sender_display_name: String,
    sender_type: String,
    r#type: String,
    metadata: Value,
    created_at: String,
    dm: bool,
}

static TAKEN: AtomicUsize = AtomicUsize::new(0);

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let url = args[1].as_str();
    let number = |at: usize| args.get(at).and_then(|text| text.parse::<usize>().ok()).unwrap_or(1);
    match args[0].as_str() {
        "events" => events(url, number(2), number(3)),
        "acks" => acks(url, number(2)),
        "join" => {
            rest(url);
            let _socket = join(url, usize::MAX, None);
            println!("joined");
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
        }
        "many" => many(url, number(2)),
        "steps" => steps(url, &args[1..]),
        other => panic!("{other}"),
    }
    std::process::exit(0);
}

/// Makes the steps of `steps.rs` of the benches, in the same order, without the last step. A program cannot wait until
/// this client is connected again.
fn steps(url: &str, args: &[String]) {
    let (agent_token, busy, tls, ca) = (&args[1], &args[2], &args[3], &args[4]);
    let pem = std::fs::read(ca).unwrap();
    let mut times: Vec<String> = Vec::new();
    let mut http = reqwest::blocking::Client::builder();
    if tls != "plain" {
        http = http.add_root_certificate(reqwest::Certificate::from_pem(&pem).unwrap());
    }
    let http = http.build().unwrap();
    let (events, heard) = mpsc::channel::<(&'static str, Payload)>();
    let started = Instant::now();
    let exchange = http.post(format!("{url}/api/auth/agent")).json(&json!({ "agentToken": agent_token }));
    let session = exchange.send().unwrap().json::<Value>().unwrap()["token"].as_str().unwrap().to_owned();
    let mut builder = ClientBuilder::new(url).transport_type(TransportType::Websocket);
    if tls != "plain" {
        let root = native_tls::Certificate::from_pem(&pem).unwrap();
        builder = builder.tls_config(native_tls::TlsConnector::builder().add_root_certificate(root).build().unwrap());
    }
    for name in ["agency-joined", "message"] {
        let events = events.clone();
        builder = builder.on(name, move |payload: Payload, _: RawClient| {
            let _ = events.send((name, payload));
        });
    }
    let (open, opened) = mpsc::channel();
    let builder = builder.on("open", move |_: Payload, _: RawClient| {
        let _ = open.send(());
    });
    let socket = builder.auth(json!({ "token": session })).connect().unwrap();
    opened.recv().unwrap();
    let mut note = |started: Instant| times.push(format!("{:.1}", started.elapsed().as_secs_f64() * 1e3));
    note(started);
    let get = |path: String| {
        http.get(format!("{url}/api/{path}")).bearer_auth(&session).send().unwrap().json::<Value>().unwrap()
    };
    let wait_for = |name: &str, count: usize| {
        (0..count).for_each(|_| while heard.recv_timeout(Duration::from_secs(20)).unwrap().0 != name {});
    };
    let started = Instant::now();
    let agencies = get("agencies".to_owned());
    let lobby = agencies.as_array().unwrap().iter().find(|agency| agency["slug"] == "lobby").unwrap();
    let lobby = lobby["id"].as_str().unwrap().to_owned();
    socket.emit("join-agency", json!({ "agencyId": lobby })).unwrap();
    wait_for("agency-joined", 1);
    note(started);
    let started = Instant::now();
    get(format!("agencies/{lobby}/messages?limit=20"));
    note(started);
    let started = Instant::now();
    let agencies = get("agencies".to_owned());
    let mine = |agency: &&Value| agency["isMember"] == true || agency["is_member"] == true;
    let more: Vec<&Value> = agencies.as_array().unwrap().iter().filter(mine).filter(|it| it["id"] != lobby).collect();
    for agency in &more {
        socket.emit("join-agency", json!({ "agencyId": agency["id"] })).unwrap();
    }
    wait_for("agency-joined", more.len());
    note(started);
    let started = Instant::now();
    let page = get(format!("agencies/{busy}/messages?limit=100"));
    let last = page.as_array().unwrap().last().unwrap()["created_at"].as_str().unwrap().replace(':', "%3A");
    get(format!("agencies/{busy}/messages?limit=20&before={last}"));
    note(started);
    let started = Instant::now();
    socket.emit("send-message", json!({ "agencyId": lobby, "content": "hello" })).unwrap();
    wait_for("message", 1);
    note(started);
    let started = Instant::now();
    let (answer, answered) = mpsc::channel();
    let roll = json!({ "agencyId": lobby, "content": "/roll 2d6" });
    let on_ack = move |_: Payload, _: RawClient| {
        let _ = answer.send(());
    };
    socket.emit_with_ack("send-message", roll, Duration::from_secs(20), on_ack).unwrap();
    answered.recv_timeout(Duration::from_secs(20)).unwrap();
    note(started);
    println!("{}", times.join(" "));
}

fn rest(url: &str) {
    let http = reqwest::blocking::Client::new();
    let exchange = http.post(format!("{url}/api/auth/agent")).json(&json!({ "agentToken": "sk_bench" }));
    exchange.send().unwrap().json::<Value>().unwrap();
    for path in ["agencies", "agencies/4f0c8e4e-7d1b-4a61-9a6e-0c5f3b1d2a90/messages?limit=1"] {
        http.get(format!("{url}/api/{path}")).bearer_auth("x").send().unwrap().json::<Value>().unwrap();
    }
}

fn join(url: &str, count: usize, done: Option<Sender<()>>) -> Client {
    let (joined, wait) = mpsc::channel();
    let socket = ClientBuilder::new(url)
        .transport_type(TransportType::Websocket)
        .auth(json!({ "token": "sk_bench" }))
        .on("agency-joined", move |_: Payload, _: RawClient| {
            let _ = joined.send(());
        })
        .on("message", move |payload: Payload, _: RawClient| {
            let Payload::Text(mut values) = payload else { return };
            let message: Message = serde_json::from_value(values.swap_remove(0)).unwrap();
            assert!(!message.content.is_empty());
            if TAKEN.fetch_add(1, Ordering::Relaxed) + 1 == count {
                done.iter().for_each(|done| {
                    let _ = done.send(());
                });
            }
        })
        .connect()
        .unwrap();
    socket.emit("join-agency", json!({ "agencyId": "4f0c8e4e-7d1b-4a61-9a6e-0c5f3b1d2a90" })).unwrap();
    wait.recv().unwrap();
    socket
}

fn cpu() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let nanos = tasks.filter_map(|task| {
        let stat = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        stat.split_whitespace().next()?.parse::<u64>().ok()
    });
    nanos.sum::<u64>() as f64 / 1e9
}

fn status(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0.0)
}

fn events(url: &str, count: usize, size: usize) {
    let (done, wait) = mpsc::channel();
    let socket = join(url, count, Some(done));
    let (before, started) = (cpu(), Instant::now());
    socket.emit("flood", json!({ "count": count, "size": size })).unwrap();
    wait.recv().unwrap();
    let took = started.elapsed().as_secs_f64();
    println!("rate={} cpu={}", count as f64 / took, (cpu() - before) / count as f64);
}

fn acks(url: &str, count: usize) {
    let socket = join(url, usize::MAX, None);
    let mut times = VecDeque::new();
    for n in 0..count + 200 {
        let (done, wait) = mpsc::channel();
        let started = Instant::now();
        let payload = json!({ "agencyId": "x", "content": "/dice 6" });
        let answered = move |_: Payload, _: RawClient| {
            let _ = done.send(());
        };
        socket.emit_with_ack("send-message", payload, Duration::from_secs(10), answered).unwrap();
        wait.recv().unwrap();
        if n >= 200 {
            times.push_back(started.elapsed());
        }
    }
    times.make_contiguous().sort_unstable();
    let micros = |at: usize| times[at.min(count - 1)].as_secs_f64() * 1e6;
    println!("p50={} p99={}", micros(count / 2), micros(count * 99 / 100));
}

fn many(url: &str, count: usize) {
    let first = join(url, usize::MAX, None);
    std::thread::sleep(Duration::from_millis(500));
    let before = status("VmRSS");
    let all: Vec<Client> = (0..count).map(|_| join(url, usize::MAX, None)).collect();
    std::thread::sleep(Duration::from_secs(3));
    println!(
        "each={} threads={}",
        (status("VmRSS") - before) / count as f64,
        status("Threads") / (count + 1) as f64
    );
    std::mem::forget((first, all));
}
