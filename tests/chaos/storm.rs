//! One storm: messages, posts, and losses of the connection.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::check::{Outcome, held};
use crate::common::{FaultyProxy, Random, TestSandbox};
use crate::odd_messages::{READABLE, odd};
use crate::participants::{Heard, POSTERS, Story, listen, post};
use crate::scene::{Clocks, Scene};
use crustocean::agent::Reconnect;
use crustocean::{AgencyId, Agent, MessageId};
use serde_json::Value;

/// The number of messages that another user sends, in all rooms together.
const INCOMING: usize = 12_000;

const STORM: Duration = Duration::from_secs(10);

/// Runs a storm and checks its outcome. Returns how often the connection was cut.
pub(crate) fn storm(seed: u64, scene: Scene) -> usize {
    let heartbeat = Duration::from_millis(1000);
    let sandbox = TestSandbox::with(
        crustocean_sandbox::Sandbox::builder().ping_interval(heartbeat).ping_timeout(heartbeat),
    );
    let address = sandbox.url().strip_prefix("http://").unwrap().parse().unwrap();
    let proxy = FaultyProxy::new(address);
    if scene.clocks != Clocks::One {
        let offsets = [0, -90_000, 0, 3, 45_000, -2, 0, -150_000, 7, 0, 60_000];
        sandbox.skew_clocks(&offsets, scene.clocks == Clocks::Sorted);
    }
    let agent = Agent::builder()
        .api_url(proxy.url())
        .transport(scene.transport)
        .request_timeout(Duration::from_secs(5))
        .handshake_timeout(Duration::from_secs(3))
        // On a busy machine, this may take longer before the storm.
        .first_connect(Reconnect::Forever)
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
            proxy.disturb(&mut dice, time_until_close(seed));
            // Other tests check the result of a close.
            let _ = agent.clone().close();
        } else {
            proxy.disturb(&mut dice, STORM);
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
            // The network works again, so the missing messages arrive now.
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
                // Messages that were reported as missing do not come any more.
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
    Outcome { seed, scene, rooms, heard, unreadable, stories, posted, denied, unsure }.check(&sandbox);
    proxy.cuts()
}

/// How long after the start the agent is closed.
fn time_until_close(seed: u64) -> Duration {
    Random::new(seed + 77).millis(1000, 9000)
}
