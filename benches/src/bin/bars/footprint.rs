//! Measures the number of crates, the build time and the size. It builds scratch copies of two minimal bots that do the
//! same work.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crustocean_bench::process;

use crate::Options;
use crate::table::{Bar, Sample, Table};

/// The features of the crate and their bars: the number of crates, then megabytes. Each has a limit and an aim.
const VARIANTS: [(&str, &[&str], [f64; 4]); 3] = [
    ("default", &[], [50.0, 46.0, 3.6, 3.4]),
    ("native-tls", &["--no-default-features", "--features", "tls-native"], [50.0, 46.0, 2.1, 1.9]),
    ("no TLS", &["--no-default-features"], [42.0, 38.0, 2.0, 1.8]),
];

const BOT: &str = "bot-crustocean";
const PEER: &str = "bot-rust-socketio";

pub(crate) fn measure(options: &Options, table: &mut Table) {
    let Some(peers) = &options.peers else { return };
    let ours = peers.join("crustocean");
    let theirs = peers.join("rust-socketio");

    for (name, features, [must, aim, ..]) in VARIANTS {
        let mut count = Sample::default();
        count.push(crates(&ours, features) - 1.0);
        table.bar(&format!("crates, {name}"), "", Bar::AtMost(must, aim), &count, 0);
    }
    table.figure("crates", "rust_socketio + reqwest", format!("{}", crates(&theirs, &[]) - 1.0));

    let mut wall = vec![Sample::default(); 4];
    let mut cpu = vec![Sample::default(); 4];
    let mut ratios = vec![Sample::default(); 4];
    for _ in 0..options.builds {
        let (base, base_cpu) = build(&theirs, PEER, &[]);
        wall[3].push(base);
        cpu[3].push(base_cpu);
        for (at, (_, features, _)) in VARIANTS.iter().enumerate() {
            let (took, spent) = build(&ours, BOT, features);
            wall[at].push(took);
            cpu[at].push(spent);
            ratios[at].push(took / base);
        }
    }
    table.bar(
        "cold build, default, against rust_socketio + reqwest",
        "x",
        Bar::AtMost(0.72, 0.63),
        &ratios[0],
        2,
    );
    table.bar(
        "cold build, no TLS, against rust_socketio + reqwest",
        "x",
        Bar::AtMost(0.48, 0.4),
        &ratios[2],
        2,
    );
    let names = VARIANTS.map(|(name, ..)| name).into_iter().chain(["rust_socketio + reqwest"]);
    for (at, name) in names.enumerate() {
        table.figure("cold release build, s", name, format!("{}, CPU {}", wall[at].text(1), cpu[at].text(1)));
    }

    for (name, features, [.., must, aim]) in VARIANTS {
        let mut size = Sample::default();
        size.push(bytes(&ours, BOT, features, "release"));
        table.bar(&format!("stripped release bot, {name}"), " MB", Bar::AtMost(must, aim), &size, 2);
        let small = bytes(&ours, BOT, features, "small");
        table.figure("stripped bot, small profile, MB", name, format!("{small:.2}"));
    }
    for profile in ["release", "small"] {
        let size = bytes(&theirs, PEER, &[], profile);
        table.figure(
            &format!("stripped bot, {profile} profile, MB"),
            "rust_socketio + reqwest",
            format!("{size:.2}"),
        );
    }
}

fn cargo(folder: &Path, args: &[&str]) -> Vec<u8> {
    let mut cargo = Command::new("cargo");
    cargo.args(args).current_dir(folder).env_remove("RUSTFLAGS").env_remove("CARGO_TARGET_DIR");
    let output = cargo.output().expect("cargo");
    assert!(output.status.success(), "cargo {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Returns the number of different crates, including the bot's own.
fn crates(folder: &Path, features: &[&str]) -> f64 {
    let tree = cargo(folder, &[&["tree", "-e", "normal", "--prefix", "none"], features].concat());
    let tree = String::from_utf8_lossy(&tree);
    let mut names: Vec<_> = tree.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    names.sort_unstable();
    names.dedup();
    names.len() as f64
}

/// Builds from nothing, after all crates are downloaded. Returns the seconds, and the seconds of all processors.
fn build(folder: &Path, bin: &str, features: &[&str]) -> (f64, f64) {
    cargo(folder, &[&["fetch"] as &[&str], &[]].concat());
    cargo(folder, &["clean", "--release"]);
    let (cpu, started) = (process::children_cpu(), Instant::now());
    cargo(folder, &[&["build", "--release", "--offline", "--bin", bin], features].concat());
    (started.elapsed().as_secs_f64(), (process::children_cpu() - cpu).as_secs_f64())
}

/// Returns the size of the program in megabytes.
fn bytes(folder: &Path, bin: &str, features: &[&str], profile: &str) -> f64 {
    cargo(folder, &[&["build", "--offline", "--profile", profile, "--bin", bin], features].concat());
    let program = folder.join("target").join(profile).join(bin);
    fs::metadata(program).map_or(f64::NAN, |file| file.len() as f64 / 1e6)
}
