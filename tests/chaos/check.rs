//! Checks the result of a storm.

use std::collections::{HashMap, HashSet};

use crate::common::TestSandbox;
use crate::participants::{Heard, POSTS, Story};
use crate::scene::{Clocks, Scene};
use crustocean::{AgencyId, MessageId};

/// The result of a storm.
pub(crate) struct Outcome {
    pub(crate) seed: u64,
    pub(crate) scene: Scene,
    pub(crate) rooms: Vec<AgencyId>,
    pub(crate) heard: Heard,
    /// The messages that cannot be read in the history.
    pub(crate) unreadable: HashSet<MessageId>,
    pub(crate) stories: Vec<Story>,
    /// The posts that are in the room, those that are certainly not, and the number of the others.
    pub(crate) posted: HashSet<MessageId>,
    pub(crate) denied: HashSet<String>,
    pub(crate) unsure: usize,
}

impl Outcome {
    /// Compares the result with the messages that the server has.
    pub(crate) fn check(&self, sandbox: &TestSandbox) {
        let Outcome { seed, scene, rooms, heard, unreadable, stories, posted, denied, unsure } = self;
        let context = || {
            let gaps: Vec<_> = heard.gaps.iter().collect();
            format!("seed {seed}, {scene:?}: gaps {gaps:?}, {:#?}", heard.story)
        };
        let twice: Vec<_> = heard.times.iter().filter(|(_, times)| **times > 1).collect();
        assert!(twice.is_empty(), "heard twice: {twice:?}; {}", context());
        let (mut texts, mut ids) = (HashSet::new(), HashSet::new());
        for room in rooms {
            let server = held(sandbox, room);
            let places: HashMap<&MessageId, usize> =
                server.iter().enumerate().map(|(place, (id, _))| (id, place)).collect();
            let gap_is_reported = heard.gaps.contains_key(room);
            for (number, story) in stories.iter().enumerate() {
                // A message that came live but is unreadable in the history has no known place in the order.
                let heard = story.get(room).into_iter().flatten().filter(|(id, _)| !unreadable.contains(id));
                let ordered: Vec<(usize, bool)> = heard.map(|(id, live)| (places[id], *live)).collect();
                // With several clocks there is no common order to check.
                if scene.clocks == Clocks::One {
                    // After `GapNotFilled` the room continues. Messages of the gap that are found later come late.
                    let late = |live: bool| !live && gap_is_reported;
                    let wrong = ordered.windows(2).find(|pair| pair[0].0 >= pair[1].0 && !late(pair[1].1));
                    assert!(
                        wrong.is_none(),
                        "loop {number}, room {room}: {wrong:?} out of order; {}",
                        context()
                    );
                }
            }
            let missing = server.iter().filter(|(id, _)| !heard.times.contains_key(id));
            let (lost, missing): (Vec<_>, Vec<_>) = missing.partition(|(id, _)| unreadable.contains(id));
            let missing: Vec<usize> = missing.into_iter().map(|(id, _)| places[id]).collect();
            // Each unreadable message is reported at most once.
            let reported = heard.unreadable.get(room).copied().unwrap_or_default();
            let odd = server.iter().filter(|(id, _)| unreadable.contains(id)).count();
            assert!(
                reported <= odd,
                "room {room}: {reported} are reported as unreadable, {odd} are; {}",
                context()
            );
            assert!(
                lost.len() <= reported || gap_is_reported || scene.closes,
                "room {room}: {} unreadable ones are missing, {reported} are reported; {}",
                lost.len(),
                context()
            );
            // After a close, no more messages come. Before the last received message, none may be missing.
            let last = server.iter().rposition(|(id, _)| heard.times.contains_key(id)).unwrap_or_default();
            let holes = if scene.closes {
                missing.iter().filter(|place| **place < last).count()
            } else {
                missing.len()
            };
            assert!(
                holes == 0 || gap_is_reported || scene.clocks != Clocks::One && scene.closes,
                "room {room}: {holes} of {} are missing and not reported: {missing:?}; {}",
                server.len(),
                context()
            );
            if holes > 0 {
                println!(
                    "seed {seed}, {scene:?}: {holes} of {} missing, as reported: {:?}",
                    server.len(),
                    heard.gaps
                );
            }
            texts.extend(server.iter().map(|(_, text)| text.clone()));
            ids.extend(server.into_iter().map(|(id, _)| id));
        }
        assert!(posted.iter().all(|id| ids.contains(id)), "seed {seed}: a confirmed post is not there");
        for text in denied {
            assert!(!texts.contains(text), "seed {seed}: {text} was reported as not sent, but it is there");
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
    }
}

/// The messages that the server has, oldest first.
pub(crate) fn held(sandbox: &TestSandbox, room: &AgencyId) -> Vec<(MessageId, String)> {
    sandbox.messages(room.as_str()).into_iter().map(|message| (message.id.into(), message.content)).collect()
}
