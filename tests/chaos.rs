//! Three rooms and a direct conversation, thousands of messages, and a network that breaks all the time: every message
//! that the server holds is heard once and in order, by one loop or by several, and every `post` ends in the truth. Where
//! that cannot be, it is said.
//!
//! `cargo test` runs one seed of each scene. More of them:
//!
//! ```sh
//! CHAOS_SEEDS=200 cargo test --release --test chaos                   # seeds 1 to 200 of each scene
//! CHAOS_SEEDS=41..60 CHAOS_SCENE=any,odd cargo test --test chaos      # only these seeds of these scenes
//! ```
//!
//! `SCENES` lists the scenes. `any` draws what the others have from its seed. A seed is a storm of 10 s; a failure names its
//! seed and scene.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failure here is a failed test"
)]

mod common;

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{FaultyProxy, Random, TestSandbox, wait_for, wait_for_message, watchdog};
use crustocean::agent::{RecvError, Transport};
use crustocean::{AgencyId, Agent, ErrorKind, Event, MessageId};
use serde_json::{Value, json};

/// Said by others, in all rooms together.
const INCOMING: usize = 12_000;
/// Posted by the agent.
const POSTS: usize = 1_200;
const POSTERS: usize = 4;
const STORM: Duration = Duration::from_secs(10);

/// What a storm meets.
#[derive(Debug, Clone, Copy)]
struct Scene {
    name: &'static str,
    /// How many threads take events.
    loops: usize,
    transport: Transport,
    clocks: Clocks,
    /// The agent is closed in the middle of it.
    closes: bool,
    /// Some messages look odd in the history, and some cannot be read there.
    odd: bool,
    /// The server stands still now and then, for up to 6 s: it answers nothing, and its connections stay open.
    still: bool,
}

/// How messages are stamped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clocks {
    One,
    /// By several, minutes apart. The history keeps them as they came.
    Several,
    /// The same, and the history is sorted by time.
    Sorted,
}

const CALM: Scene = Scene {
    name: "calm",
    loops: 1,
    transport: Transport::WebSocket,
    clocks: Clocks::One,
    closes: false,
    odd: false,
    still: false,
};

const SCENES: &[Scene] = &[
    CALM,
    Scene { name: "loops", loops: 3, ..CALM },
    Scene { name: "polling", loops: 3, transport: Transport::Polling, ..CALM },
    Scene { name: "clocks", loops: 2, clocks: Clocks::Several, ..CALM },
    Scene { name: "sorted", loops: 2, clocks: Clocks::Sorted, ..CALM },
    Scene { name: "close", loops: 3, closes: true, ..CALM },
    Scene { name: "close-polling", loops: 3, closes: true, transport: Transport::Polling, ..CALM },
    Scene { name: "odd", loops: 2, odd: true, ..CALM },
    Scene { name: "still", loops: 3, still: true, ..CALM },
    Scene { name: "still-polling", loops: 3, still: true, transport: Transport::Polling, ..CALM },
    Scene { name: ANY, ..CALM },
];

const ANY: &str = "any";

impl Scene {
    /// The scene of this seed.
    fn of(self, seed: u64) -> Scene {
        if self.name != ANY {
            return self;
        }
        let mut dice = Random::new(seed + 500);
        dice.below(2);
        Scene {
            loops: 1 + dice.below(4) as usize,
            transport: common::TRANSPORTS[dice.below(common::TRANSPORTS.len() as u64) as usize],
            clocks: [Clocks::One, Clocks::One, Clocks::Several, Clocks::Sorted][dice.below(4) as usize],
            closes: dice.below(4) == 0,
            odd: dice.below(2) == 0,
            still: dice.below(2) == 0,
            ..self
        }
    }
}

/// The seeds to try: `CHAOS_SEEDS` is how many, or the first and the last one, as `41..60`.
fn seeds() -> RangeInclusive<u64> {
    let Ok(text) = std::env::var("CHAOS_SEEDS") else { return 1..=1 };
    let (first, last) = text.split_once("..").unwrap_or(("1", &text));
    let number = |text: &str| text.trim_start_matches('=').parse().ok();
    match (number(first), number(last)) {
        (Some(first), Some(last)) => first..=last,
        _ => panic!("CHAOS_SEEDS={text} is neither a number nor a range such as 1..200"),
    }
}

fn storms(name: &str) {
    let scene = SCENES.iter().find(|scene| scene.name == name).copied().unwrap();
    if let Ok(wanted) = std::env::var("CHAOS_SCENE") {
        for name in wanted.split(',') {
            assert!(SCENES.iter().any(|scene| scene.name == name), "CHAOS_SCENE: there is no scene {name}");
        }
        if !wanted.split(',').any(|wanted| wanted == name) {
            return;
        }
    }
    for seed in seeds() {
        let _watchdog = watchdog(Duration::from_secs(300));
        let scene = scene.of(seed);
        let started = Instant::now();
        let cuts = storm(seed, scene);
        println!("seed {seed}, {scene:?}: {cuts} cuts, {:?}", started.elapsed());
    }
}

#[test]
fn every_message_once_in_order_and_every_post_the_truth() {
    storms("calm");
}

#[test]
fn several_loops_miss_nothing() {
    storms("loops");
}

#[test]
#[cfg(feature = "polling")]
fn several_loops_miss_nothing_over_polling() {
    storms("polling");
}

#[test]
fn clocks_that_differ_hide_nothing() {
    storms("clocks");
}

#[test]
fn a_history_in_another_order_hides_nothing() {
    storms("sorted");
}

#[test]
fn closing_in_the_middle_of_it_is_the_end() {
    storms("close");
}

#[test]
#[cfg(feature = "polling")]
fn closing_in_the_middle_of_polling_is_the_end() {
    storms("close-polling");
}

#[test]
fn an_odd_message_of_the_history_costs_only_itself() {
    storms("odd");
}

#[test]
fn a_server_that_stands_still_costs_nothing() {
    storms("still");
}

#[test]
#[cfg(feature = "polling")]
fn a_server_that_stands_still_costs_nothing_over_polling() {
    storms("still-polling");
}

#[test]
fn all_of_it_at_once() {
    storms(ANY);
}

/// The storm's resets are what they say.
#[test]
fn a_reset_connection_comes_back() {
    let _watchdog = watchdog(Duration::from_secs(60));
    let sandbox = TestSandbox::new();
    let weather = FaultyProxy::new(sandbox.url().strip_prefix("http://").unwrap().parse().unwrap());
    let agent = Agent::builder().api_url(weather.url()).connect(sandbox.agent_token("larry")).unwrap();
    agent.join("lobby").unwrap();
    let events = agent.events();
    weather.reset();
    let (reason, detail) = wait_for(&events, "the end of the link", |event| match event {
        Event::Disconnected { reason, detail, .. } => Some((reason, detail)),
        _ => None,
    });
    assert!(reason == "transport close" && detail.contains("reset"), "{reason}: {detail}");
    sandbox.alice_says("still there?");
    wait_for_message(&events, "still there?");
}

/// What all loops have heard.
#[derive(Default)]
struct Heard {
    /// How often each message, and which of them live.
    times: HashMap<MessageId, usize>,
    /// Rooms in which something may be missing, as the agent has said.
    gaps: HashMap<AgencyId, Vec<String>>,
    /// How many messages of a room cannot be read in its history, as the agent has said.
    unreadable: HashMap<AgencyId, usize>,
    /// What happened to the connection.
    story: Vec<String>,
    total: usize,
}

/// What one loop has heard, room by room, in order; and whether it came live.
type Story = HashMap<AgencyId, Vec<(MessageId, bool)>>;

fn storm(seed: u64, scene: Scene) -> usize {
    let heartbeat = Duration::from_millis(1000);
    let sandbox = TestSandbox::with(
        crustocean_sandbox::Sandbox::builder().ping_interval(heartbeat).ping_timeout(heartbeat),
    );
    let address = sandbox.url().strip_prefix("http://").unwrap().parse().unwrap();
    let weather = FaultyProxy::new(address);
    if scene.clocks != Clocks::One {
        let offsets = [0, -90_000, 0, 3, 45_000, -2, 0, -150_000, 7, 0, 60_000];
        sandbox.skew_clocks(&offsets, scene.clocks == Clocks::Sorted);
    }
    let agent = Agent::builder()
        .api_url(weather.url())
        .transport(scene.transport)
        .request_timeout(Duration::from_secs(5))
        .handshake_timeout(Duration::from_secs(3))
        .connect(sandbox.agent_token("larry"))
        .unwrap();
    let dm = sandbox.client().dms().open(&agent.user().id).unwrap();
    let mut rooms: Vec<AgencyId> = Vec::new();
    for name in ["one", "two", "three"] {
        sandbox.add_agency(name, &sandbox.alice.id).unwrap();
        rooms.push(agent.join(name).unwrap().id().clone());
    }
    agent.join_dms().unwrap();
    rooms.push(dm);

    let heard: Mutex<Heard> = Mutex::default();
    let unreadable: Mutex<HashSet<MessageId>> = Mutex::default();
    let is_over = AtomicBool::new(false);
    let (mut dice, mut others) = (Random::new(seed), Random::new(seed + 1000));
    let (posted, denied, unsure, stories) = std::thread::scope(|scope| {
        let loops: Vec<_> = (0..scene.loops)
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
            let (sandbox, rooms, unreadable) = (&sandbox, &rooms, &unreadable);
            scope.spawn(move || {
                for n in 0..INCOMING {
                    let room = &rooms[others.below(rooms.len() as u64) as usize];
                    let text = format!("number {n}");
                    if scene.odd && others.below(20) == 0 {
                        let kind = others.below(12);
                        let alter = |usual| odd(kind, usual);
                        let id = sandbox.say_altered(room.as_str(), &sandbox.alice.id, &text, alter).unwrap();
                        if kind >= READABLE {
                            unreadable.lock().unwrap().insert(id.as_str().into());
                        }
                    } else {
                        sandbox.say(room.as_str(), &sandbox.alice.id, &text, Value::Null).unwrap();
                    }
                    if n % 120 == 0 {
                        std::thread::sleep(Duration::from_millis(100));
                    }
                }
            })
        };
        if scene.still {
            let (sandbox, is_over, mut dice) = (&sandbox, &is_over, Random::new(seed + 2000));
            scope.spawn(move || {
                while !is_over.load(Ordering::SeqCst) {
                    let length = dice.millis(300, 6000);
                    sandbox.freeze(length);
                    let end = Instant::now() + length + dice.millis(500, 2500);
                    while Instant::now() < end && !is_over.load(Ordering::SeqCst) {
                        std::thread::sleep(Duration::from_millis(20));
                    }
                }
                sandbox.thaw();
            });
        }
        if scene.closes {
            weather.disturb(&mut dice, dice_millis(seed));
            // Whether all has arrived is another test's question.
            let _ = agent.clone().close();
        } else {
            weather.disturb(&mut dice, STORM);
        }
        is_over.store(true, Ordering::SeqCst);
        talk.join().unwrap();
        let (mut posted, mut denied, mut unsure) = (HashSet::new(), HashSet::new(), 0);
        for poster in posters {
            let (sent, not_sent, maybe) = poster.join().unwrap();
            posted.extend(sent);
            denied.extend(not_sent);
            unsure += maybe;
        }
        if !scene.closes {
            // The weather is fine; what is still missing comes now.
            let all: Vec<MessageId> =
                rooms.iter().flat_map(|room| held(&sandbox, room)).map(|(id, _)| id).collect();
            let end = Instant::now() + Duration::from_secs(60);
            let is_whole = || {
                let (heard, unreadable) = (heard.lock().unwrap(), unreadable.lock().unwrap());
                heard.total + unreadable.len() >= all.len()
                    && all.iter().all(|id| heard.times.contains_key(id) || unreadable.contains(id))
            };
            while !is_whole() && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(20));
                // What has been said to be missing does not come any more.
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
    let unreadable = unreadable.into_inner().unwrap();
    let context = || {
        let gaps: Vec<_> = heard.gaps.iter().collect();
        format!("seed {seed}, {scene:?}: gaps {gaps:?}, {:#?}", heard.story)
    };
    let twice: Vec<_> = heard.times.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "heard twice: {twice:?}; {}", context());
    let (mut texts, mut ids) = (HashSet::new(), HashSet::new());
    for room in &rooms {
        let server = held(&sandbox, room);
        let places: HashMap<&MessageId, usize> =
            server.iter().enumerate().map(|(place, (id, _))| (id, place)).collect();
        let gap_is_said = heard.gaps.contains_key(room);
        for (number, story) in stories.iter().enumerate() {
            // What came live and cannot be read in the history has no certain place among what was missed.
            let heard = story.get(room).into_iter().flatten().filter(|(id, _)| !unreadable.contains(id));
            let ordered: Vec<(usize, bool)> = heard
                // With several clocks there is no one order, but that of one clock is kept.
                .map(|(id, live)| (places[id], *live))
                .collect();
            if scene.clocks == Clocks::One {
                // After `GapNotFilled` the room goes on, and what a later look finds of the gap comes late.
                let late = |live: bool| !live && gap_is_said;
                let wrong = ordered.windows(2).find(|pair| pair[0].0 >= pair[1].0 && !late(pair[1].1));
                assert!(wrong.is_none(), "loop {number}, room {room}: {wrong:?} out of order; {}", context());
            }
        }
        let missing = server.iter().filter(|(id, _)| !heard.times.contains_key(id));
        let (lost, missing): (Vec<_>, Vec<_>) = missing.partition(|(id, _)| unreadable.contains(id));
        let missing: Vec<usize> = missing.into_iter().map(|(id, _)| places[id]).collect();
        // What cannot be read is reported, once.
        let said = heard.unreadable.get(room).copied().unwrap_or_default();
        let odd = server.iter().filter(|(id, _)| unreadable.contains(id)).count();
        assert!(said <= odd, "room {room}: {said} are reported as unreadable, {odd} are; {}", context());
        assert!(
            lost.len() <= said || gap_is_said || scene.closes,
            "room {room}: {} unreadable ones are missing, {said} are reported; {}",
            lost.len(),
            context()
        );
        // After the end nothing comes any more; before it there is no hole.
        let last = server.iter().rposition(|(id, _)| heard.times.contains_key(id)).unwrap_or_default();
        let holes =
            if scene.closes { missing.iter().filter(|place| **place < last).count() } else { missing.len() };
        assert!(
            holes == 0 || gap_is_said || scene.clocks != Clocks::One && scene.closes,
            "room {room}: {holes} of {} are missing and nobody said so: {missing:?}; {}",
            server.len(),
            context()
        );
        if holes > 0 {
            println!(
                "seed {seed}, {scene:?}: {holes} of {} missing, as was said: {:?}",
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
    let lost = unreadable.iter().filter(|id| !heard.times.contains_key(*id)).count();
    println!(
        "seed {seed}: {} posted, {} not sent, {unsure} unsure; {lost} of {} unreadable are missing, {} reported",
        posted.len(),
        denied.len(),
        unreadable.len(),
        heard.unreadable.values().sum::<usize>()
    );
    weather.cuts()
}

/// The kinds of [`odd`] messages below this one can be read.
const READABLE: u64 = 8;

/// What a history shows in place of a message.
fn odd(kind: u64, usual: Value) -> String {
    let with = |key: &str, value: Value| {
        let mut odd = usual.clone();
        odd[key] = value;
        odd.to_string()
    };
    match kind {
        0 => with("content", Value::Null),
        1 => with("content", json!(17)),
        2 => with("sender_username", json!(["alice"])),
        3 => with("type", json!({"a": 1})),
        4 => with("metadata", json!("{not json")),
        5 => with("edited_at", json!(false)),
        6 => with("created_at", json!(1_700_000_000_000_u64)),
        // Half of a character that was cut in two.
        7 => usual.to_string().replace("number", "number \\ud83d"),
        8 => Value::Null.to_string(),
        9 => "[[]]".to_owned(),
        10 => json!({ "id": usual["id"], "content": "no room" }).to_string(),
        _ => json!({ "agency_id": usual["agency_id"], "content": "no id" }).to_string(),
    }
}

/// When the agent is closed.
fn dice_millis(seed: u64) -> Duration {
    Random::new(seed + 77).millis(1000, 9000)
}

fn listen(agent: &Agent, heard: &Mutex<Heard>, mut dice: Random) -> Story {
    let events = agent.events();
    let mut story = Story::new();
    loop {
        match events.recv_timeout(Duration::from_secs(120)) {
            Ok(Event::Message(message)) => {
                if dice.below(64) == 0 {
                    // Some threads are slower than others.
                    std::thread::sleep(dice.millis(1, 10));
                }
                story.entry(message.agency_id).or_default().push((message.id.clone(), !message.replayed));
                let mut heard = heard.lock().unwrap();
                heard.total += 1;
                *heard.times.entry(message.id).or_default() += 1;
            }
            // The storm is over sooner than the politeness between two tries.
            Ok(event @ (Event::Disconnected { .. } | Event::ConnectFailed { .. })) => {
                heard.lock().unwrap().story.push(format!("{event:?}"));
                std::thread::sleep(Duration::from_millis(50));
                agent.reconnect_now();
            }
            Ok(Event::GapNotFilled { agency_id, error, .. }) => {
                let (mut heard, error) = (heard.lock().unwrap(), error.to_string());
                match error.strip_suffix(" of the room's history cannot be read") {
                    Some(count) => {
                        let count: usize = count.split(' ').next().unwrap().parse().unwrap();
                        *heard.unreadable.entry(agency_id).or_default() += count;
                    }
                    None => heard.gaps.entry(agency_id).or_default().push(error),
                }
            }
            Ok(Event::AgencyJoined(_)) => {}
            Ok(event) => heard.lock().unwrap().story.push(format!("{event:?}")),
            Err(RecvError::Closed) => return story,
            Err(error) => panic!("{error}"),
        }
    }
}

/// What became of the posts: there, certainly not there, unsure.
fn post(agent: &Agent, room: &AgencyId, poster: usize) -> (Vec<MessageId>, Vec<String>, usize) {
    let room = agent.rooms().into_iter().find(|joined| joined.id() == room).unwrap();
    let (mut posted, mut denied, mut unsure) = (Vec::new(), Vec::new(), 0);
    for n in 0..POSTS / POSTERS {
        // Spread over the whole storm.
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

/// What the server holds, oldest first.
fn held(sandbox: &TestSandbox, room: &AgencyId) -> Vec<(MessageId, String)> {
    sandbox.messages(room.as_str()).into_iter().map(|message| (message.id.into(), message.content)).collect()
}
