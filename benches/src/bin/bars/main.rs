//! Measures everything that has a bar, one contender after the other in turn, and prints the table. Started by
//! `benches/run`.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a bench that fails should stop"
)]

mod contender;
mod footprint;
mod paging;
mod runtime;
mod short;
mod table;
mod tls;

use std::path::PathBuf;

use table::Table;

/// What is asked for on the command line.
#[derive(Debug)]
pub(crate) struct Options {
    /// How often each contender is run.
    pub(crate) rounds: usize,
    /// How often each variant is built from nothing.
    pub(crate) builds: usize,
    /// Everything in seconds: whether it runs, not how fast.
    pub(crate) smoke: bool,
    /// Where the peers were copied to and are built, if they are to be compared with.
    pub(crate) peers: Option<PathBuf>,
}

fn main() {
    let variable = |name: &str| std::env::var(name).ok();
    let number = |name: &str, default| variable(name).and_then(|text| text.parse().ok()).unwrap_or(default);
    let smoke = std::env::args().any(|argument| argument == "smoke");
    let wanted = |part: &str| smoke || !std::env::args().any(|it| it.starts_with("only-") && it != part);
    let options = Options {
        rounds: number("ROUNDS", if smoke { 1 } else { 5 }),
        builds: number("BUILDS", 3),
        smoke,
        peers: variable("PEERS").map(PathBuf::from).filter(|_| !smoke),
    };
    let mut table = Table::default();
    if wanted("only-runtime") {
        runtime::measure(&options, &mut table);
        tls::measure(&options, &mut table);
        paging::measure(&options, &mut table);
    }
    if !smoke && wanted("only-footprint") {
        footprint::measure(&options, &mut table);
    }
    print!("{table}");
    if let Some(path) = std::env::var_os("SHORT_TABLE") {
        std::fs::write(path, short::of(&table)).expect("the short table");
    }
}
