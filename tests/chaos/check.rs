//! Checks what came of a storm.

use std::collections::{HashMap, HashSet};

use crate::common::TestSandbox;
use crate::participants::{Heard, POSTS, Story};
use crate::scene::{Clocks, Scene};
use crustocean::{AgencyId, MessageId};

/// What came of a storm.
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
    /// Compares it with what the server holds.
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
            let holes = if scene.closes {
                missing.iter().filter(|place| **place < last).count()
            } else {
                missing.len()
            };
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
        for text in denied {
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
    }
}

/// What the server holds, oldest first.
pub(crate) fn held(sandbox: &TestSandbox, room: &AgencyId) -> Vec<(MessageId, String)> {
    sandbox.messages(room.as_str()).into_iter().map(|message| (message.id.into(), message.content)).collect()
}
