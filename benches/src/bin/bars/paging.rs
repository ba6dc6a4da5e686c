//! Measures how long it takes to write a long history to a file. It compares the crate with the same requests through
//! ureq.

use std::time::Duration;

use crustocean_bench::distance;
use crustocean_bench::paging::PAGE;

use crate::Options;
use crate::contender::{Rounds, Server, own, value};
use crate::table::{Bar, Sample, Table};

/// The round trip to the distant server.
const ROUND_TRIP: Duration = Duration::from_millis(80);
/// The caller's work on each page, in milliseconds.
const WORK: usize = 60;

pub(crate) fn measure(options: &Options, table: &mut Table) {
    let server = Server::plain();
    let both = own(None);
    let count = if options.smoke { 2000 } else { 100_000 };
    // This run is not measured: the server makes each page at the first request for it.
    both[0].run(&server, "history", &[count, 0]);
    let near = Rounds::new(&both, options.rounds, 1, |who| {
        vec![value(&who.run(&server, "history", &[count, 0]), "secs")]
    });
    let what = format!("a history of {count} messages to a file, against ureq");
    table.bar(&what, "x", Bar::AtMost(1.2, 1.0), near.ratio(0), 2);
    near.print(table, 0, &format!("a history of {count} messages to a file, s"), 1.0, 2);

    let count = if options.smoke { 500 } else { 5000 };
    let url = format!("http://127.0.0.1:{}", distance::start(server.port(), ROUND_TRIP / 2));
    let rounds = options.rounds.min(3);
    let millis = ROUND_TRIP.as_millis();
    let far = Rounds::new(&both, rounds, 2, |who| {
        let secs = |work| value(&who.run_at(&url, &server, "history", &[count, work]), "secs");
        vec![secs(0), secs(WORK)]
    });
    let what = format!("a history of {count} messages to a file, {millis} ms away, against ureq");
    table.bar(&what, "x", Bar::AtMost(1.1, 1.0), far.ratio(0), 2);
    let title = format!("a history of {count} messages to a file, {millis} ms away, s");
    far.print(table, 0, &title, 1.0, 2);
    far.print(table, 1, &format!("{title}, with {WORK} ms of work a page"), 1.0, 2);

    // The crate cannot prefetch the first page, and no fetch overlaps the work on the last page.
    let pages = (count / PAGE) as f64;
    let work = WORK as f64 / 1e3;
    let wire = far.figures[0][0].median() / pages;
    let least = wire + (pages - 1.0) * work.max(wire) + work;
    let mut pause = Sample::default();
    far.figures[1][1].each(|took| pause.push(took / least));
    table.bar(
        &format!("the same with {WORK} ms of work a page, against the longer of work and requests"),
        "x",
        Bar::AtMost(1.1, 1.03),
        &pause,
        2,
    );
}
