//! The short table of the README. It shows some of the figures of all clients.

use std::fmt::Write as _;

use crate::table::Table;

const WHO: [&str; 3] = ["crustocean", "rust_socketio", "socket.io-client"];

pub(crate) fn of(table: &Table) -> String {
    let ratio = |what: &str, who: &str| {
        let value = table.value(what, who)?;
        value.rsplit_once('(').map(|(_, ratio)| ratio.trim_end_matches(')').to_owned())
    };
    let median = |what: &str, who: &str| {
        let value = table.value(what, who)?;
        value.split([' ', ',']).next().map(str::to_owned)
    };
    let measured =
        |what: &str| table.measured(what).and_then(|text| text.split(' ').next()).map(str::to_owned);

    let mut text = String::from("| | crustocean | rust_socketio | socket.io-client |\n|---|---|---|---|\n");
    let mut row = |name: &str, cells: [Option<String>; 3]| {
        let cells = cells.map(Option::unwrap_or_default);
        let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
    };
    let pair = |one: Option<String>, other: Option<String>| Some(format!("{} / {}", one?, other?));
    let ratios = |one: &str, other: &str| WHO.map(|who| pair(ratio(one, who), ratio(other, who)));
    row(
        "messages/s against the bare loop, 120 / 2,000 characters",
        ratios("messages/s, 120 characters", "messages/s, 2000 characters"),
    );
    row(
        "CPU per message against the bare loop",
        ratios("CPU µs per message, 120 characters", "CPU µs per message, 2000 characters"),
    );
    for name in ["rustls", "native-tls"] {
        let title = |what: &str, size: usize| format!("{what} over {name}, {size} characters");
        let of = |what: &str| pair(ratio(&title(what, 120), WHO[0]), ratio(&title(what, 2000), WHO[0]));
        row(&format!("messages/s over {name}"), [of("messages/s"), None, None]);
        row(&format!("CPU per message over {name}"), [of("CPU µs per message"), None, None]);
    }
    row("a command's round trip, 99th percentile", WHO.map(|who| ratio("ack round trip p99, µs", who)));
    row("process start to joined", WHO.map(|who| ratio("process start to joined, ms", who)));
    row(
        "memory, idle / each further agent",
        WHO.map(|who| {
            let idle = median("resident memory, idle, MB", who)?;
            let each = median("resident memory per further connection, kB", who)?;
            Some(format!("{idle} MB / {each} kB"))
        }),
    );
    row(
        "a history of 100,000 messages to a file, against ureq",
        [ratio("a history of 100000 messages to a file, s", WHO[0]), None, None],
    );
    let peer = "rust_socketio + reqwest";
    row(
        "crates, default / no TLS",
        [pair(measured("crates, default"), measured("crates, no TLS")), median("crates", peer), None],
    );
    let build = |who: &str| Some(format!("{} s", median("cold release build, s", who)?));
    row("cold release build, default / no TLS", [pair(build("default"), build("no TLS")), build(peer), None]);
    let size = |variant: &str| Some(format!("{} MB", measured(&format!("stripped release bot, {variant}"))?));
    let peer_size = median("stripped bot, release profile, MB", peer).map(|size| format!("{size} MB"));
    row("stripped bot, default / no TLS", [pair(size("default"), size("no TLS")), peer_size, None]);
    text
}
