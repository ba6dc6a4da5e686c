//! Measures all figures that have a bar, one client after the other, and prints the table. `benches/run` starts this
//! program.
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

/// The options of the command line and of the environment.
#[derive(Debug)]
pub(crate) struct Options {
    /// The number of runs of each client.
    pub(crate) rounds: usize,
    /// The number of builds of each variant.
    pub(crate) builds: usize,
    /// Whether to run everything in a few seconds. Such a run shows only that the measurements work.
    pub(crate) smoke: bool,
    /// The folder into which the peers were copied and built, if the crate is compared with them.
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
