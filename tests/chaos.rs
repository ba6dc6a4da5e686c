//! Three rooms, a direct conversation, thousands of messages, and a network that keeps failing. One loop or several get every
//! message of the server once and in order, and every `post` returns a true result. Where that is not possible, the agent
//! reports it.
//!
//! `CHAOS_SEEDS=20 cargo test --release --test chaos` runs more seeds, and `CHAOS_FIRST` sets the first one. Each seed is one
//! series of failures.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failure here is a failed test"
)]

mod common;

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use common::{FaultyProxy, Random, Stage, wait_for, wait_for_message, watchdog};
use crustocean::agent::{RecvError, Transport};
use crustocean::{AgencyId, Agent, ErrorKind, Event, MessageId};
use serde_json::Value;

/// How many messages others post, in all rooms together.
const INCOMING: usize = 12_000;
/// How many messages the agent posts.
const POSTS: usize = 1_200;
const POSTERS: usize = 4;
const FAILURES_FOR: Duration = Duration::from_secs(10);

/// The settings of one run.
#[derive(Debug, Clone, Copy)]
struct Setup {
    /// How many threads take events.
    loops: usize,
    transport: Transport,
    clocks: Clocks,
    /// Whether the agent is closed during the failures.
    closes: bool,
}

/// The clocks that stamp the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clocks {
    One,
    /// Several clocks, minutes apart. The history is in the order of arrival.
    Several,
    /// The same, with a history sorted by time.
    Sorted,
}

const SIMPLE: Setup = Setup { loops: 1, transport: Transport::WebSocket, clocks: Clocks::One, closes: false };

fn number(variable: &str) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

fn run_seeds(setup: Setup) {
    let (seeds, first) = (number("CHAOS_SEEDS"), number("CHAOS_FIRST"));
    for seed in first..first + seeds {
        let _watchdog = watchdog(Duration::from_secs(300));
        let started = Instant::now();
        let cuts = run(seed, setup);
        println!("seed {seed}, {setup:?}: {cuts} cuts, {:?}", started.elapsed());
    }
}

#[test]
fn every_message_arrives_once_in_order_and_every_post_result_is_true() {
    run_seeds(SIMPLE);
}

#[test]
fn several_loops_miss_nothing() {
    run_seeds(Setup { loops: 3, ..SIMPLE });
}

#[test]
#[cfg(feature = "polling")]
fn several_loops_miss_nothing_over_polling() {
    run_seeds(Setup { loops: 3, transport: Transport::Polling, ..SIMPLE });
}

#[test]
fn different_clocks_hide_no_message() {
    run_seeds(Setup { loops: 2, clocks: Clocks::Several, ..SIMPLE });
}

#[test]
fn a_history_sorted_by_time_hides_no_message() {
    run_seeds(Setup { loops: 2, clocks: Clocks::Sorted, ..SIMPLE });
}

#[test]
fn closing_during_failures_ends_everything() {
    run_seeds(Setup { loops: 3, closes: true, ..SIMPLE });
}

#[test]
#[cfg(feature = "polling")]
fn closing_during_failures_with_polling_ends_everything() {
    run_seeds(Setup { loops: 3, closes: true, transport: Transport::Polling, ..SIMPLE });
}

/// A reset of the proxy really resets the connection.
#[test]
fn the_agent_reconnects_after_a_reset() {
    let _watchdog = watchdog(Duration::from_secs(60));
    let stage = Stage::new();
    let proxy = FaultyProxy::new(stage.sandbox.url().strip_prefix("http://").unwrap().parse().unwrap());
    let agent = Agent::builder().api_url(proxy.url()).connect(stage.agent_token("larry")).unwrap();
    agent.join("lobby").unwrap();
    let events = agent.events();
    proxy.reset();
    let (reason, detail) = wait_for(&events, "the end of the link", |event| match event {
        Event::Disconnected { reason, detail, .. } => Some((reason, detail)),
        _ => None,
    });
    assert!(reason == "transport close" && detail.contains("reset"), "{reason}: {detail}");
    stage.alice_says("still there?");
    wait_for_message(&events, "still there?");
}

/// What all loops have heard.
#[derive(Default)]
struct Heard {
    /// How often each message, and which of them live.
    times: HashMap<MessageId, usize>,
    /// Rooms in which something may be missing, as the agent has said.
    gaps: HashMap<AgencyId, String>,
    /// The events of the connection.
    story: Vec<String>,
    total: usize,
}

/// The messages that one loop has got, by room, in order, and whether they were live.
type Story = HashMap<AgencyId, Vec<(MessageId, bool)>>;

fn run(seed: u64, setup: Setup) -> usize {
    let heartbeat = Duration::from_millis(1000);
    let stage =
        Stage::with(crustocean_sandbox::Sandbox::builder().ping_interval(heartbeat).ping_timeout(heartbeat));
    let address = stage.sandbox.url().strip_prefix("http://").unwrap().parse().unwrap();
    let proxy = FaultyProxy::new(address);
    if setup.clocks != Clocks::One {
        let offsets = [0, -90_000, 0, 3, 45_000, -2, 0, -150_000, 7, 0, 60_000];
        stage.sandbox.skew_clocks(&offsets, setup.clocks == Clocks::Sorted);
    }
    let agent = Agent::builder()
        .api_url(proxy.url())
        .transport(setup.transport)
        .request_timeout(Duration::from_secs(5))
        .handshake_timeout(Duration::from_secs(3))
        .connect(stage.agent_token("larry"))
        .unwrap();
    let dm = stage.client().dms().open(&agent.user().id).unwrap();
    let mut rooms: Vec<AgencyId> = Vec::new();
    for name in ["one", "two", "three"] {
        stage.sandbox.add_agency(name, &stage.alice.id).unwrap();
        rooms.push(agent.join(name).unwrap().id().clone());
    }
    agent.join_dms().unwrap();
    rooms.push(dm);

    let heard: Mutex<Heard> = Mutex::default();
    let (mut random, mut others) = (Random::new(seed), Random::new(seed + 1000));
    let (posted, denied, unsure, stories) = std::thread::scope(|scope| {
        let loops: Vec<_> = (0..setup.loops)
            .map(|number| {
                let (agent, heard) = (agent.clone(), &heard);
                scope.spawn(move || listen(&agent, heard, Random::new(seed * 10 + number as u64)))
            })
            .collect();
        let posters: Vec<_> = (0..POSTERS)
            .map(|poster| {
                let (agent, room) = (agent.clone(), rooms[poster % rooms.len()].clone());
                scope.spawn(move || post(&agent, &room, poster))
            })
            .collect();
        let talk = {
            let (stage, rooms) = (&stage, &rooms);
            scope.spawn(move || {
                for n in 0..INCOMING {
                    let room = &rooms[others.below(rooms.len() as u64) as usize];
                    stage
                        .sandbox
                        .say(room.as_str(), &stage.alice.id, &format!("number {n}"), Value::Null)
                        .unwrap();
                    if n % 120 == 0 {
                        std::thread::sleep(Duration::from_millis(100));
                    }
                }
            })
        };
        if setup.closes {
            proxy.disturb(&mut random, closing_time(seed));
            // Another test checks that everything arrives.
            let _ = agent.clone().close();
        } else {
            proxy.disturb(&mut random, FAILURES_FOR);
        }
        talk.join().unwrap();
        let (mut posted, mut denied, mut unsure) = (HashSet::new(), HashSet::new(), 0);
        for poster in posters {
            let (sent, not_sent, maybe) = poster.join().unwrap();
            posted.extend(sent);
            denied.extend(not_sent);
            unsure += maybe;
        }
        if !setup.closes {
            // The failures have ended, so missing messages arrive now.
            let total = || rooms.iter().map(|room| held(&stage, room).len()).sum::<usize>();
            let end = Instant::now() + Duration::from_secs(60);
            let is_whole = || {
                let heard = heard.lock().unwrap();
                heard.total >= total()
            };
            while !is_whole() && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(20));
                // Messages reported as missing do not arrive any more.
                let heard = heard.lock().unwrap();
                if !heard.gaps.is_empty() && Instant::now() + Duration::from_secs(50) > end {
                    break;
                }
            }
            agent.clone().close().unwrap();
        }
        let stories: Vec<Story> = loops.into_iter().map(|listener| listener.join().unwrap()).collect();
        (posted, denied, unsure, stories)
    });

    let heard = heard.into_inner().unwrap();
    let context = || {
        let gaps: Vec<_> = heard.gaps.iter().collect();
        format!("seed {seed}, {setup:?}: gaps {gaps:?}, {:#?}", heard.story)
    };
    let twice: Vec<_> = heard.times.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "heard twice: {twice:?}; {}", context());
    let (mut texts, mut ids) = (HashSet::new(), HashSet::new());
    for room in &rooms {
        let server = held(&stage, room);
        let places: HashMap<&MessageId, usize> =
            server.iter().enumerate().map(|(place, (id, _))| (id, place)).collect();
        let gap_is_said = heard.gaps.contains_key(room);
        for (number, story) in stories.iter().enumerate() {
            let heard = story.get(room).into_iter().flatten();
            let ordered: Vec<(usize, bool)> = heard
                // With several clocks there is no common order, but each clock's order is kept.
                .map(|(id, live)| (places[id], *live))
                .collect();
            if setup.clocks == Clocks::One {
                // After `GapNotFilled` the room goes on, and messages of the gap that are found later arrive late.
                let late = |live: bool| !live && gap_is_said;
                let wrong = ordered.windows(2).find(|pair| pair[0].0 >= pair[1].0 && !late(pair[1].1));
                assert!(wrong.is_none(), "loop {number}, room {room}: {wrong:?} out of order; {}", context());
            }
        }
        let missing = server.iter().filter(|(id, _)| !heard.times.contains_key(id));
        let missing: Vec<usize> = missing.map(|(id, _)| places[id]).collect();
        // No message arrives after the end, and none is missing before it.
        let last = server.iter().rposition(|(id, _)| heard.times.contains_key(id)).unwrap_or_default();
        let holes =
            if setup.closes { missing.iter().filter(|place| **place < last).count() } else { missing.len() };
        assert!(
            holes == 0 || gap_is_said || setup.clocks != Clocks::One && setup.closes,
            "room {room}: {holes} of {} are missing and nobody said so: {missing:?}; {}",
            server.len(),
            context()
        );
        if holes > 0 {
            println!(
                "seed {seed}, {setup:?}: {holes} of {} missing, as was said: {:?}",
                server.len(),
                heard.gaps
            );
        }
        texts.extend(server.iter().map(|(_, text)| text.clone()));
        ids.extend(server.into_iter().map(|(id, _)| id));
    }
    assert!(posted.iter().all(|id| ids.contains(id)), "seed {seed}: a confirmed post is not there");
    for text in &denied {
        assert!(!texts.contains(text), "seed {seed}: {text} was said not to be there");
    }
    assert_eq!(posted.len() + denied.len() + unsure, POSTS);
    println!("seed {seed}: {} posted, {} not sent, {unsure} unsure", posted.len(), denied.len());
    proxy.cuts()
}

/// How long after the start the agent is closed.
fn closing_time(seed: u64) -> Duration {
    Random::new(seed + 77).millis(1000, 9000)
}

fn listen(agent: &Agent, heard: &Mutex<Heard>, mut random: Random) -> Story {
    let events = agent.events();
    let mut story = Story::new();
    loop {
        match events.recv_timeout(Duration::from_secs(120)) {
            Ok(Event::Message(message)) => {
                if random.below(64) == 0 {
                    // Some threads are slower than others.
                    std::thread::sleep(random.millis(1, 10));
                }
                story.entry(message.agency_id).or_default().push((message.id.clone(), !message.replayed));
                let mut heard = heard.lock().unwrap();
                heard.total += 1;
                *heard.times.entry(message.id).or_default() += 1;
            }
            // The failures end before the longest reconnect delay has passed.
            Ok(event @ (Event::Disconnected { .. } | Event::ConnectFailed { .. })) => {
                heard.lock().unwrap().story.push(format!("{event:?}"));
                std::thread::sleep(Duration::from_millis(50));
                agent.reconnect_now();
            }
            Ok(Event::GapNotFilled { agency_id, error, .. }) => {
                heard.lock().unwrap().gaps.insert(agency_id, error.to_string());
            }
            Ok(Event::AgencyJoined(_)) => {}
            Ok(event) => heard.lock().unwrap().story.push(format!("{event:?}")),
            Err(RecvError::Closed) => return story,
            Err(error) => panic!("{error}"),
        }
    }
}

/// The results of the posts: arrived, certainly not arrived, and how many are uncertain.
fn post(agent: &Agent, room: &AgencyId, poster: usize) -> (Vec<MessageId>, Vec<String>, usize) {
    let room = agent.rooms().into_iter().find(|joined| joined.id() == room).unwrap();
    let (mut posted, mut denied, mut unsure) = (Vec::new(), Vec::new(), 0);
    for n in 0..POSTS / POSTERS {
        // Spread over the whole time of the failures.
        std::thread::sleep(Duration::from_millis(15));
        let text = format!("post {n} of {poster}");
        match room.post(text.as_str()) {
            Ok(posted_now) => {
                let message = posted_now.first;
                assert_eq!(message.content, text);
                posted.push(message.id);
            }
            Err(error) if error.kind() == ErrorKind::NotSent => denied.push(text),
            Err(error) if matches!(error.kind(), ErrorKind::MaybeSent | ErrorKind::Timeout) => unsure += 1,
            Err(error) if error.is_closed() => unsure += 1,
            Err(error) => panic!("{text}: {error}"),
        }
    }
    (posted, denied, unsure)
}

/// The messages on the server, oldest first.
fn held(stage: &Stage, room: &AgencyId) -> Vec<(MessageId, String)> {
    stage
        .sandbox
        .messages(room.as_str())
        .into_iter()
        .map(|message| (message.id.into(), message.content))
        .collect()
}
