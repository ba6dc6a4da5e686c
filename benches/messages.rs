//! Measures decoding a message from JSON, compared with decoding the same JSON into a tree.
#![allow(clippy::expect_used, reason = "a bench that fails should stop")]

use crustocean::Message;
use crustocean_bench::load;
use divan::Bencher;
use divan::counter::BytesCount;

const KINDS: [(usize, bool); 4] = [(120, false), (120, true), (2000, false), (2000, true)];

fn main() {
    divan::main();
}

/// The arguments are the number of characters of text, and whether the metadata is a string.
#[divan::bench(args = KINDS)]
fn message(bencher: Bencher<'_, '_>, (size, string): (usize, bool)) {
    let json = load::message(0, size, string);
    let decode = || serde_json::from_str::<Message>(&json).expect("a message");
    bencher.counter(BytesCount::of_str(&json)).bench(decode);
}

/// Also reads the loop guard from the metadata, as a bot does for every message that it answers.
#[divan::bench(args = KINDS)]
fn message_and_loop_guard(bencher: Bencher<'_, '_>, (size, string): (usize, bool)) {
    let json = load::message(0, size, string);
    let decode = || serde_json::from_str::<Message>(&json).expect("a message").loop_guard();
    bencher.counter(BytesCount::of_str(&json)).bench(decode);
}

#[divan::bench(args = KINDS)]
fn tree(bencher: Bencher<'_, '_>, (size, string): (usize, bool)) {
    let json = load::message(0, size, string);
    let decode = || serde_json::from_str::<serde_json::Value>(&json).expect("JSON");
    bencher.counter(BytesCount::of_str(&json)).bench(decode);
}
