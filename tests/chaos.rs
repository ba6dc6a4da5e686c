//! Three rooms and a direct conversation, thousands of messages, and a network that breaks all the time: every message
//! that the server holds is heard once and in order, and every `post` ends in the truth.
//!
//! `CHAOS_SEEDS=20 cargo test --release --test chaos` tries more weather, `CHAOS_FIRST` says where to begin. Each seed is
//! one storm.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failure here is a failed test"
)]

mod common;

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::Duration;

use common::{Dice, Stage, Weather, wait_for, wait_for_message, watchdog};
use crustocean::{AgencyId, Agent, ErrorKind, Event, MessageId, agent::RecvError};
use serde_json::Value;

/// Said by others, in all rooms together.
const INCOMING: usize = 20_000;
/// Posted by the agent.
const POSTS: usize = 2_000;
const POSTERS: usize = 4;

#[test]
fn every_message_once_in_order_and_every_post_the_truth() {
    let seeds = std::env::var("CHAOS_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let first = std::env::var("CHAOS_FIRST").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    for seed in first..first + seeds {
        let _watchdog = watchdog(Duration::from_secs(300));
        let started = std::time::Instant::now();
        let cuts = storm(seed);
        println!("seed {seed}: {cuts} cuts, {:?}", started.elapsed());
    }
}

/// The storm's resets are what they say.
#[test]
fn a_reset_connection_comes_back() {
    let _watchdog = watchdog(Duration::from_secs(60));
    let stage = Stage::new();
    let weather = Weather::new(stage.sandbox.url().strip_prefix("http://").unwrap().parse().unwrap());
    let agent = Agent::builder().api_url(weather.url()).connect(stage.agent_token("larry")).unwrap();
    agent.join("lobby").unwrap();
    let events = agent.events();
    weather.reset();
    let (reason, detail) = wait_for(&events, "the end of the link", |event| match event {
        Event::Disconnected { reason, detail, .. } => Some((reason, detail)),
        _ => None,
    });
    assert!(reason == "transport close" && detail.contains("reset"), "{reason}: {detail}");
    stage.alice_says("still there?");
    wait_for_message(&events, "still there?");
}

/// What the agent has heard, room by room, in order.
#[derive(Default)]
struct Heard {
    rooms: HashMap<AgencyId, Vec<(MessageId, bool)>>,
    /// What happened to the connection, and behind how many messages of each room.
    story: Vec<(HashMap<AgencyId, usize>, String)>,
    total: usize,
}

fn storm(seed: u64) -> usize {
    let heartbeat = Duration::from_millis(1000);
    let stage =
        Stage::with(crustocean_sandbox::Sandbox::builder().ping_interval(heartbeat).ping_timeout(heartbeat));
    let address = stage.sandbox.url().strip_prefix("http://").unwrap().parse().unwrap();
    let weather = Weather::new(address);
    let agent = Agent::builder()
        .api_url(weather.url())
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
    let (mut dice, mut others) = (Dice::new(seed), Dice::new(seed + 1000));
    let (posted, denied, unsure) = std::thread::scope(|scope| {
        let listener = {
            let (agent, heard) = (agent.clone(), &heard);
            scope.spawn(move || listen(&agent, heard))
        };
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
                    if n % 200 == 0 {
                        std::thread::sleep(Duration::from_millis(100));
                    }
                }
            })
        };
        weather.storm(&mut dice, Duration::from_secs(10));
        talk.join().unwrap();
        let (mut posted, mut denied, mut unsure) = (HashSet::new(), HashSet::new(), 0);
        for poster in posters {
            let (sent, not_sent, maybe) = poster.join().unwrap();
            posted.extend(sent);
            denied.extend(not_sent);
            unsure += maybe;
        }
        // The weather is fine; what is still missing comes now.
        let total = || rooms.iter().map(|room| held(&stage, room).len()).sum::<usize>();
        let so_far = || heard.lock().unwrap().total;
        let end = std::time::Instant::now() + Duration::from_secs(60);
        while so_far() < total() && std::time::Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
        agent.clone().close().unwrap();
        listener.join().unwrap();
        (posted, denied, unsure)
    });

    let Heard { rooms: heard, story, .. } = heard.into_inner().unwrap();
    let mut texts = HashSet::new();
    let mut ids = HashSet::new();
    for room in &rooms {
        let server = held(&stage, room);
        let server_ids: Vec<&MessageId> = server.iter().map(|(id, _)| id).collect();
        let flags: Vec<bool> = heard.get(room).into_iter().flatten().map(|(_, replayed)| *replayed).collect();
        let heard: Vec<&MessageId> = heard.get(room).into_iter().flatten().map(|(id, _)| id).collect();
        let first = server_ids.iter().zip(&heard).position(|(server, heard)| server != heard);
        if let Some(first) = first {
            // Where on the server each of the messages around the difference stands, and how it came.
            let place = |id: &&MessageId| server_ids.iter().position(|server| server == id);
            let around = first.saturating_sub(5)..(first + 30).min(heard.len());
            let places: Vec<_> = around.map(|at| (place(&heard[at]), flags[at])).collect();
            println!("seed {seed}: heard around the difference: {places:?}");
            println!("seed {seed}: missing: {:?}", server.get(first));
            for (behind, what) in &story {
                println!("seed {seed}: after {:?} messages: {what}", behind.get(room));
            }
        }
        assert!(
            server_ids == heard,
            "seed {seed}, room {room}: the server holds {}, heard {}, they differ at {first:?}",
            server_ids.len(),
            heard.len()
        );
        texts.extend(server.iter().map(|(_, text)| text.clone()));
        ids.extend(server.into_iter().map(|(id, _)| id));
    }
    assert!(posted.iter().all(|id| ids.contains(id)), "seed {seed}: a confirmed post is not there");
    for text in &denied {
        assert!(!texts.contains(text), "seed {seed}: {text} was said not to be there");
    }
    assert_eq!(posted.len() + denied.len() + unsure, POSTS);
    println!("seed {seed}: {} posted, {} not sent, {unsure} unsure", posted.len(), denied.len());
    weather.cuts()
}

fn listen(agent: &Agent, heard: &Mutex<Heard>) {
    let events = agent.events();
    let tell = |what: String| {
        let mut heard = heard.lock().unwrap();
        let behind = heard.rooms.iter().map(|(room, heard)| (room.clone(), heard.len())).collect();
        heard.story.push((behind, what));
    };
    loop {
        match events.recv_timeout(Duration::from_secs(120)) {
            Ok(Event::Message(message)) => {
                let mut heard = heard.lock().unwrap();
                heard.total += 1;
                heard.rooms.entry(message.agency_id).or_default().push((message.id, message.replayed));
            }
            // The storm is over sooner than the politeness between two tries.
            Ok(event @ (Event::Disconnected { .. } | Event::ConnectFailed { .. })) => {
                tell(format!("{event:?}"));
                std::thread::sleep(Duration::from_millis(50));
                agent.reconnect_now();
            }
            Ok(Event::GapNotFilled { agency_id, error, .. }) => panic!("gap in {agency_id}: {error}"),
            Ok(Event::AgencyJoined(_)) => {}
            Ok(event) => tell(format!("{event:?}")),
            Err(RecvError::Closed) => return,
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
            Ok(message) => {
                assert_eq!(message.content, text);
                posted.push(message.id);
            }
            Err(error) if error.kind() == ErrorKind::NotSent => denied.push(text),
            Err(error) if matches!(error.kind(), ErrorKind::MaybeSent | ErrorKind::Timeout) => unsure += 1,
            Err(error) => panic!("{text}: {error}"),
        }
    }
    (posted, denied, unsure)
}

/// What the server holds, oldest first.
fn held(stage: &Stage, room: &AgencyId) -> Vec<(MessageId, String)> {
    stage
        .sandbox
        .messages(room.as_str())
        .into_iter()
        .map(|message| (message.id.into(), message.content))
        .collect()
}
