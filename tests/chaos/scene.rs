//! The scenes of the chaos test.

use std::ops::RangeInclusive;

use crate::common::{Random, TRANSPORTS};
use crustocean::agent::Transport;

/// The conditions of a storm.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scene {
    pub(crate) name: &'static str,
    /// How many threads take events.
    pub(crate) loops: usize,
    pub(crate) transport: Transport,
    pub(crate) clocks: Clocks,
    /// The agent is closed in the middle of the storm.
    pub(crate) closes: bool,
    /// Some messages look odd in the history, and some cannot be read there.
    pub(crate) odd: bool,
    /// The server freezes now and then, for up to 6 s: it answers nothing, and its connections stay open.
    pub(crate) still: bool,
}

/// The clocks that give messages their times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clocks {
    /// One clock.
    One,
    /// Several clocks, minutes apart. The history has the messages in the order of arrival.
    Several,
    /// Several clocks, and the history is sorted by time.
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

pub(crate) const SCENES: &[Scene] = &[
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

pub(crate) const ANY: &str = "any";

impl Scene {
    /// The scene for this seed. Only [`ANY`] depends on the seed.
    pub(crate) fn of(self, seed: u64) -> Scene {
        if self.name != ANY {
            return self;
        }
        let mut dice = Random::new(seed + 500);
        dice.below(2);
        Scene {
            loops: 1 + dice.below(4) as usize,
            transport: TRANSPORTS[dice.below(TRANSPORTS.len() as u64) as usize],
            clocks: [Clocks::One, Clocks::One, Clocks::Several, Clocks::Sorted][dice.below(4) as usize],
            closes: dice.below(4) == 0,
            odd: dice.below(2) == 0,
            still: dice.below(2) == 0,
            ..self
        }
    }
}

/// The seeds to run. `CHAOS_SEEDS` is the number of seeds, or the first and the last seed, such as `41..60`.
pub(crate) fn seeds() -> RangeInclusive<u64> {
    let Ok(text) = std::env::var("CHAOS_SEEDS") else { return 1..=1 };
    let (first, last) = text.split_once("..").unwrap_or(("1", &text));
    let number = |text: &str| text.trim_start_matches('=').parse().ok();
    match (number(first), number(last)) {
        (Some(first), Some(last)) => first..=last,
        _ => panic!("CHAOS_SEEDS={text} is neither a number nor a range such as 1..200"),
    }
}
