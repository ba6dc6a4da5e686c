//! Measures the steps of a bot's start and of its normal work, one by one. A bot far away from the server waits for
//! these steps.

use std::io::Write as _;
use std::time::{Duration, Instant};

use crustocean::config::Tls;
use crustocean::{AgencyId, Agent, Event};

/// The names of the steps, in the order in which [`run`] makes them.
pub const STEPS: [&str; 8] = [
    "connect",
    "join one room",
    "recent(20) of a room with one message",
    "join five more rooms",
    "recent(120)",
    "post",
    "a command's result",
    "back after a lost connection, six rooms restored",
];

/// Prints the duration of each step in milliseconds. `busy` is a room with a long history, and `ca` is a root
/// certificate.
pub fn run(url: &str, token: &str, busy: &str, tls: &str, ca: Option<Vec<u8>>) {
    let mut times = Vec::new();
    let mut builder = Agent::builder().api_url(url);
    if let Some(pem) = ca {
        builder = builder.add_root_certificate(pem);
        builder = builder.tls(if tls == "native" { Tls::Native } else { Tls::Rustls });
    }
    let agent = timed(&mut times, || builder.connect(token.parse().expect("a token")).expect("connects"));
    let lobby = timed(&mut times, || agent.join("lobby").expect("joins"));
    timed(&mut times, || assert_eq!(lobby.recent(20).expect("a history").len(), 1));
    let rooms = timed(&mut times, || agent.join_all().expect("joins"));
    let busy = AgencyId::from(busy);
    let busy = rooms.iter().find(|room| *room.id() == busy).expect("the busy room");
    timed(&mut times, || assert_eq!(busy.recent(120).expect("a history").len(), 120));
    timed(&mut times, || drop(lobby.post("hello").expect("posts")));
    timed(&mut times, || assert!(lobby.command("/roll 2d6").send().expect("an answer").ok));

    // The program that started this one cuts the connection when it reads this line.
    println!("cut");
    let _ = std::io::stdout().flush();
    let mut lost = None;
    for event in agent.events() {
        match event.expect("an event") {
            Event::Disconnected { .. } => {
                lost = Some(Instant::now());
                agent.reconnect_now();
            }
            Event::Connected { .. } => {
                if let Some(lost) = lost {
                    times.push(lost.elapsed());
                    break;
                }
            }
            _ => {}
        }
    }
    let millis: Vec<String> = times.iter().map(|time| format!("{:.1}", time.as_secs_f64() * 1e3)).collect();
    println!("{}", millis.join(" "));
}

fn timed<T>(times: &mut Vec<Duration>, step: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let result = step();
    times.push(started.elapsed());
    result
}
