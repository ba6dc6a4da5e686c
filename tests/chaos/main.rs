//! Three rooms and a direct conversation, thousands of messages, and a network whose connections break all the time.
//! One such run is called a storm here: 10 s with one seed, in one scene. The tests check that every message that the
//! server has is received once and in order, by one loop or by several, and that every `post` returns its true outcome.
//! If a message cannot be received, the agent must report that.
//!
//! `cargo test` runs one seed of each scene. More of them:
//!
//! ```sh
//! CHAOS_SEEDS=200 cargo test --release --test chaos                   # seeds 1 to 200 of each scene
//! CHAOS_SEEDS=41..60 CHAOS_SCENE=any,odd cargo test --test chaos      # only these seeds of these scenes
//! ```
//!
//! `scene.rs` lists the scenes. The scene `any` chooses a random mix of the other scenes' conditions, by its seed. A
//! failure names its seed and scene.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failure here is a failed test"
)]

#[path = "../common/mod.rs"]
mod common;

mod check;
mod odd_messages;
mod participants;
mod scene;
mod storm;

use std::time::{Duration, Instant};

use common::{FaultyProxy, TestSandbox, wait_for, wait_for_message, watchdog};
use crustocean::{Agent, Event};
use scene::{ANY, SCENES, seeds};
use storm::storm;

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
fn several_clocks_hide_no_message() {
    storms("clocks");
}

#[test]
fn a_history_sorted_by_time_hides_no_message() {
    storms("sorted");
}

#[test]
fn no_message_comes_after_a_close() {
    storms("close");
}

#[test]
#[cfg(feature = "polling")]
fn no_message_comes_after_a_close_over_polling() {
    storms("close-polling");
}

#[test]
fn an_odd_message_of_the_history_costs_only_itself() {
    storms("odd");
}

#[test]
fn a_frozen_server_loses_no_message() {
    storms("still");
}

#[test]
#[cfg(feature = "polling")]
fn a_frozen_server_loses_no_message_over_polling() {
    storms("still-polling");
}

#[test]
fn a_random_mix_of_all_scenes() {
    storms(ANY);
}

/// The proxy's reset, which the storms use, reaches the agent as a reset connection.
#[test]
fn a_reset_connection_comes_back() {
    let _watchdog = watchdog(Duration::from_secs(180));
    let sandbox = TestSandbox::new();
    let proxy = FaultyProxy::new(sandbox.url().strip_prefix("http://").unwrap().parse().unwrap());
    let agent = Agent::builder().api_url(proxy.url()).connect(sandbox.agent_token("larry")).unwrap();
    agent.join("lobby").unwrap();
    let events = agent.events();
    proxy.reset();
    let (reason, detail) = wait_for(&events, "the end of the link", |event| match event {
        Event::Disconnected { reason, detail, .. } => Some((reason, detail)),
        _ => None,
    });
    // If a write notices the reset before a read does, the reason differs.
    assert!(detail.contains("reset"), "{reason}: {detail}");
    sandbox.alice_says("still there?");
    wait_for_message(&events, "still there?");
}
