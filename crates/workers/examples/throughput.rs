//! Measures messages per second through workers and through an intake, beside `redis-benchmark` with the bare commands.
//!
//! `cargo run --release -p crustocean-workers --example throughput`. Needs `redis-server`.

use std::error::Error;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crustocean_sandbox::Sandbox;
use crustocean_workers::{Answer, HandlerError, Intake, Output, Status, Stop, Store, Task, Workers};

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

const SHARDS: usize = 6;
const MESSAGES: usize = 12_000;

struct Redis(Child);

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(program: &str, port: u16, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(["-p", &port.to_string()]).args(arguments).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn wait(mut until: impl FnMut() -> Result<bool>) -> Result<()> {
    while !until()? {
        sleep(Duration::from_millis(2));
    }
    Ok(())
}

fn main() -> Result<()> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let arguments = ["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
    let _redis = Redis(Command::new("redis-server").args(arguments).stdout(Stdio::null()).spawn()?);
    wait(|| Ok(run("redis-cli", port, &["PING"])? == "PONG"))?;
    let (clients, count) = (SHARDS.to_string(), "50000");
    let text = "x".repeat(400);
    let benchmark = |command: &[&str]| {
        run("redis-benchmark", port, &[&["-q", "-c", &clients, "-n", count], command].concat())
    };
    println!("redis-benchmark XADD: {}", benchmark(&["XADD", "bench", "*", "message", &text])?);
    run("redis-cli", port, &["XGROUP", "CREATE", "bench", "g", "0"])?;
    let read = ["XREADGROUP", "GROUP", "g", "c", "COUNT", "1", "STREAMS", "bench", ">"];
    println!("redis-benchmark XREADGROUP: {}", benchmark(&read)?);
    run("redis-cli", port, &["DEL", "bench"])?;

    let store = Store::open(&format!("redis://127.0.0.1:{port}"))?;
    workers(port, &store)?;
    intake(&store)
}

/// Measures workers that read full streams and whose handlers do nothing.
fn workers(port: u16, store: &Store) -> Result<()> {
    run("redis-cli", port, &["SET", "crustocean:{agent:full}:shards", &SHARDS.to_string()])?;
    let fill = "for n = 1, ARGV[2] do for _, key in ipairs(KEYS) do \
                redis.call('XADD', key, '*', 'room', n % 8, 'id', 'm', 'message', ARGV[1]) end end";
    let text = "x".repeat(300);
    let message =
        format!(r#"{{"id":"m","agency_id":"a","content":"{text}","created_at":"2026-01-01T00:00:00Z"}}"#);
    let streams: Vec<String> = (0..SHARDS).map(|n| format!("crustocean:{{agent:full}}:in:{n}")).collect();
    let (shards, each) = (SHARDS.to_string(), (MESSAGES / SHARDS).to_string());
    let mut eval = vec!["EVAL", fill, &shards];
    eval.extend(streams.iter().map(String::as_str));
    eval.extend([message.as_str(), &each]);
    run("redis-cli", port, &eval)?;
    let (stop, done) = (Stop::new(), AtomicUsize::new(0));
    let handler = |_: &Task<'_>| {
        done.fetch_add(1, Ordering::Relaxed);
        Ok::<_, HandlerError>(Answer::nothing())
    };
    let workers = Workers::new(store, "full")?.output(Output::ThroughHolder);
    std::thread::scope(|scope| {
        let running = scope.spawn(|| workers.run(&stop, handler));
        wait(|| Ok(done.load(Ordering::Relaxed) > 0))?;
        let started = Instant::now();
        wait(|| Ok(done.load(Ordering::Relaxed) >= MESSAGES))?;
        println!("workers, one process: {:.0} a second", MESSAGES as f64 / started.elapsed().as_secs_f64());
        stop.stop();
        Ok(running.join().map_err(|_| "panicked")??)
    })
}

/// Measures from the first message until the last one is in its stream. Includes the time of the sandbox.
fn intake(store: &Store) -> Result<()> {
    let sandbox = Sandbox::start()?;
    let alice = sandbox.add_user("alice")?;
    let larry = sandbox.add_agent("larry", &alice.id)?;
    let room = sandbox.add_agency("Room", &alice.id)?;
    let (url, token, joined) = (sandbox.url().to_owned(), larry.token.clone(), room.clone());
    let intake = Intake::new(store, "larry")?
        .shards(SHARDS)
        .ttl(Duration::from_secs(1))
        .connect(move |builder| builder.api_url(url.clone()).connect(token.parse()?))
        .rooms(move |agent| agent.join(&joined).map(drop));
    let stop = Stop::new();
    std::thread::scope(|scope| {
        let running = scope.spawn(|| intake.run(&stop));
        wait(|| Ok(Status::read(store, "larry")?.holder.is_some()))?;
        sleep(Duration::from_secs(1));
        let started = Instant::now();
        let text = format!("@larry {}", "x".repeat(300));
        for _ in 0..MESSAGES / 4 {
            sandbox.say(&room, &alice.id, &text, serde_json::Value::Null)?;
        }
        wait(|| {
            Ok(Status::read(store, "larry")?.shards.iter().map(|shard| shard.lag).sum::<usize>()
                >= MESSAGES / 4)
        })?;
        println!("intake: {:.0} a second", (MESSAGES / 4) as f64 / started.elapsed().as_secs_f64());
        stop.stop();
        Ok(running.join().map_err(|_| "panicked")??)
    })
}
