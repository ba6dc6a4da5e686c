//! Runs everything on this machine: Redis, a local Crustocean, two intakes and three workers. Asks 200 questions, kills
//! the connected intake and a worker meanwhile, and counts the answers.
//!
//! `cargo run -p crustocean-workers --example demo`. Needs `redis-server` (`apt-get install redis-server`).

use std::error::Error;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crustocean::agent::AgentBuilder;
use crustocean::{Agent, AgentToken};
use crustocean_sandbox::Sandbox;
use crustocean_workers::{Intake, Output, Status, Stop, Store, Workers};

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

const TTL: Duration = Duration::from_secs(2);
const ROOMS: usize = 8;
const QUESTIONS: usize = 200;

fn main() -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("intake") => intake(),
        Some("worker") => worker(),
        _ => demo(),
    }
}

/// Connects as [`Agent::from_env`] does, in both kinds of process.
fn connect(builder: AgentBuilder) -> crustocean::Result<Agent> {
    builder.connect(AgentToken::from_env()?)
}

fn intake() -> Result<()> {
    let rooms = std::env::var("DEMO_ROOMS")?;
    let join = move |agent: &Agent| rooms.split(',').try_for_each(|room| agent.join(room).map(drop));
    Ok(Intake::new(&Store::from_env()?, "larry")?.connect(connect).rooms(join).ttl(TTL).run(&Stop::new())?)
}

fn worker() -> Result<()> {
    let workers = Workers::new(&Store::from_env()?, "larry")?.output(Output::direct(connect)).ttl(TTL);
    workers.run(&Stop::new(), |task| {
        sleep(Duration::from_millis(20)); // a very fast language model
        Ok(task.message().content.replace("@larry question", "answer"))
    })?;
    Ok(())
}

/// A process that ends with the demo.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn redis(port: u16) -> Result<Process> {
    let arguments = ["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
    let server = Command::new("redis-server").args(arguments).stdout(Stdio::null()).spawn();
    let server =
        Process(server.map_err(|error| format!("redis-server (apt-get install redis-server): {error}"))?);
    wait("redis-server", || TcpStream::connect(("127.0.0.1", port)).is_ok())?;
    Ok(server)
}

fn wait(what: &str, mut until: impl FnMut() -> bool) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !until() {
        if Instant::now() > deadline {
            return Err(format!("timed out: {what}").into());
        }
        sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn demo() -> Result<()> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let _redis = redis(port)?;
    let url = format!("redis://127.0.0.1:{port}");
    let store = Store::open(&url)?;
    let sandbox = Sandbox::start()?;
    let alice = sandbox.add_user("alice")?;
    let larry = sandbox.add_agent("larry", &alice.id)?;
    let rooms = (0..ROOMS).map(|n| sandbox.add_agency(&format!("Room {n}"), &alice.id));
    let rooms = rooms.collect::<std::io::Result<Vec<_>>>()?;
    let start = |role: &str| -> Result<Process> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(role).env("REDIS_URL", &url).env("CRUSTOCEAN_API_URL", sandbox.url());
        command.env("AGENT_TOKEN", &larry.token).env("DEMO_ROOMS", rooms.join(","));
        Ok(Process(command.spawn()?))
    };
    let mut processes = Vec::new();
    for role in ["intake", "intake", "worker", "worker", "worker"] {
        processes.push(start(role)?);
    }
    println!("redis-server on port {port}, Crustocean at {}, 2 intakes, 3 workers", sandbox.url());
    let status = || Status::read(&store, "larry");
    let is_up = |status: Status| {
        status.holder.is_some()
            && !status.shards.is_empty()
            && status.shards.iter().all(|shard| shard.owner.is_some())
    };
    wait("all processes run", || status().is_ok_and(is_up))?;
    // A new intake ignores questions that were asked before it joined their rooms.
    wait("the holder has joined the rooms", || {
        sandbox.connections() > 0 && rooms.iter().all(|room| is_joined(&sandbox, room))
    })?;
    sleep(Duration::from_millis(500));
    println!("{}", status()?);

    let started = Instant::now();
    for n in 0..QUESTIONS {
        if n == QUESTIONS / 4 {
            let holder = status()?.holder.ok_or("no holder")?.name;
            println!("kill -9 the holder, {holder}");
            kill(&mut processes, &holder);
        }
        if n == QUESTIONS / 2 {
            let owner = status()?.shards.into_iter().find_map(|shard| shard.owner).ok_or("no owner")?.name;
            println!("kill -9 a worker, {owner}");
            kill(&mut processes, &owner);
        }
        let (room, number) = (rooms.get(n % ROOMS).ok_or("no room")?, n / ROOMS + 1);
        sandbox.say(room, &alice.id, &format!("@larry question {number}"), serde_json::Value::Null)?;
        sleep(Duration::from_millis(10));
    }
    println!("asked {QUESTIONS} questions in {ROOMS} rooms in {:.1} s", started.elapsed().as_secs_f64());
    let answers = |room: &String| {
        let messages = sandbox.messages(room).into_iter().map(|said| said.content);
        messages.filter(|text| text.starts_with("answer")).collect::<Vec<_>>()
    };
    let expected: Vec<String> = (1..=QUESTIONS / ROOMS).map(|n| format!("answer {n}")).collect();
    wait("all answers", || rooms.iter().all(|room| answers(room).len() >= expected.len()))?;
    println!("all answers after {:.1} s", started.elapsed().as_secs_f64());
    // Long enough for a second answer to arrive, if a worker posted one.
    sleep(TTL * 2);
    for room in &rooms {
        if answers(room) != expected {
            return Err(format!("answers are missing, doubled or out of order: {:?}", answers(room)).into());
        }
    }
    println!("{}", status()?);
    println!("{QUESTIONS} of {QUESTIONS} questions answered, each once and in order");
    Ok(())
}

fn is_joined(sandbox: &Sandbox, room: &str) -> bool {
    sandbox.events().iter().any(|(name, payload)| name == "join-agency" && payload["agencyId"] == room)
}

/// Kills the process with this name. Names end with the process id.
fn kill(processes: &mut Vec<Process>, name: &str) {
    processes.retain(|process| !name.ends_with(&format!(":{}", process.0.id())));
}
