//! Measures reading a room's history page by page.
#![allow(clippy::expect_used, reason = "a bench that fails should stop")]

use crustocean::{Agent, Message};
use crustocean_bench::bare::BareHttp;
use crustocean_bench::{ROOM, TOKEN, replay};
use divan::Bencher;
use divan::counter::ItemsCount;

/// The number of messages in an iteration. A page has a hundred.
const WALK: usize = 2000;
const PAGE: usize = 100;

fn main() {
    divan::main();
}

#[divan::bench(max_time = 2)]
fn walk(bencher: Bencher<'_, '_>) {
    let token = TOKEN.parse().expect("a token");
    let agent = Agent::builder().api_url(replay::start()).connect(token).expect("connects");
    let room = ROOM.into();
    bencher.counter(ItemsCount::new(WALK)).bench_local(|| {
        let history = agent.client().agencies().messages(&room).limit(PAGE as u32).iter();
        assert_eq!(history.take(WALK).filter(Result::is_ok).count(), WALK);
    });
}

#[divan::bench(max_time = 2)]
fn walk_bare(bencher: Bencher<'_, '_>) {
    let mut http = BareHttp::new(&replay::start());
    bencher.counter(ItemsCount::new(WALK)).bench_local(|| {
        let mut before = String::new();
        for _ in 0..WALK / PAGE {
            let path = format!("/api/agencies/{ROOM}/messages?limit={PAGE}{before}");
            let page: Vec<Message> = serde_json::from_slice(&http.call("GET", &path, "")).expect("messages");
            let oldest = page.last().expect("a message");
            before = format!("&before={}", oldest.created_at.as_str().replace(':', "%3A"));
        }
    });
}
