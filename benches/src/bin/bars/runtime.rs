//! Measures the cost of a running agent. It compares the crate with the bare loop and with the peers.

use std::time::Duration;

use crate::Options;
use crate::contender::{Contender, Rounds, Server, contenders, value};
use crate::table::{Bar, Sample, Table};

pub(crate) fn measure(options: &Options, table: &mut Table) {
    let server = Server::plain();
    let all = contenders(options);
    let scale = |full: usize, smoke: usize| if options.smoke { smoke } else { full };
    let rounds = options.rounds;

    for size in [120, 2000] {
        let count = scale(200_000, 2000);
        let events = Rounds::new(&all, rounds, 2, |who| {
            let figures = who.run(&server, "events", &[count, size]);
            vec![value(&figures, "rate"), value(&figures, "cpu")]
        });
        let what = format!("typed messages/s, {size} characters, against the bare loop");
        table.bar(&what, "x", Bar::AtLeast(0.85, 0.95), events.ratio(0), 2);
        let what = format!("CPU per message, {size} characters, against the bare loop");
        table.bar(&what, "x", Bar::AtMost(1.25, 1.05), events.ratio(1), 2);
        events.print(table, 0, &format!("messages/s, {size} characters"), 1.0, 0);
        events.print(table, 1, &format!("CPU µs per message, {size} characters"), 1e6, 2);
    }

    let calls = scale(5000, 50);
    let acks = Rounds::new(&all, rounds, 2, |who| {
        let figures = who.run(&server, "acks", &[calls]);
        vec![value(&figures, "p50"), value(&figures, "p99")]
    });
    table.bar("ack round trip p50, against the bare loop", "x", Bar::AtMost(1.1, 1.05), acks.ratio(0), 2);
    table.bar("ack round trip p99, against the bare loop", "x", Bar::AtMost(1.3, 1.3), acks.ratio(1), 2);
    acks.print(table, 0, "ack round trip p50, µs", 1.0, 1);
    acks.print(table, 1, "ack round trip p99, µs", 1.0, 1);

    let joins = Rounds::new(&all, scale(rounds * 3, 1), 1, |who| {
        let (took, joined) = who.join(&server);
        // Waits for the end of the process, so that it does not slow the next one.
        drop(joined);
        vec![took]
    });
    table.bar(
        "process start to joined, against the bare loop",
        "x",
        Bar::AtMost(2.0, 1.3),
        joins.ratio(0),
        2,
    );
    joins.print(table, 0, "process start to joined, ms", 1e3, 1);

    let pause = Duration::from_millis(scale(1000, 10) as u64);
    let idle = Rounds::new(&all, scale(5, 1), 2, |who| who.idle(&server, pause));
    table.bar("resident memory, idle, no TLS", " MB", Bar::AtMost(4.0, 3.0), &idle.figures[1][0], 2);
    idle.print(table, 0, "resident memory, idle, MB", 1.0, 2);
    idle.print(table, 1, "threads, idle", 1.0, 0);

    let count = scale(1000, 10);
    let many = Rounds::new(&all, scale(3, 1), 2, |who| {
        let figures = who.run(&server, "many", &[count]);
        vec![value(&figures, "each"), value(&figures, "threads")]
    });
    let what = format!("resident memory per further agent, {count} in one process, each with its loop");
    table.bar(&what, " kB", Bar::AtMost(45.0, 30.0), &many.figures[1][0], 1);
    many.print(table, 0, "resident memory per further connection, kB", 1.0, 1);
    many.print(table, 1, "threads per connection", 1.0, 1);

    let figures = all[1].run(&server, "set", &[count, scale(10, 1), 4]);
    let mut each = Sample::default();
    each.push(value(&figures, "each"));
    let what = format!("resident memory per further agent, {count} in one set, one loop");
    table.bar(&what, " kB", Bar::AtMost(20.0, 20.0), &each, 1);
    table.figure("threads for them all", "crustocean", format!("{} more", value(&figures, "threads")));
    let rate = format!("{:.0} a second, {:.2} cores", value(&figures, "rate"), value(&figures, "cores"));
    table.figure(&format!("100 messages/s on each of {count} agents, 4 threads"), "crustocean", rate);

    threads(options, table, &server, &all);
    growth(options, table, &server, &all[1]);
}

fn threads(options: &Options, table: &mut Table, server: &Server, all: &[Contender]) {
    let count = if options.smoke { 2000 } else { 200_000 };
    for threads in [1, 2, 4] {
        let events = Rounds::new(&all[..2], options.rounds, 1, |who| {
            vec![value(&who.run(server, "events", &[count, 2000, threads]), "rate")]
        });
        let value = format!("{}x the bare loop on one thread", events.ratio(0).text(2));
        table.figure(
            "messages/s, 2000 characters, by consumer threads",
            &format!("crustocean, {threads}"),
            value,
        );
    }
}

/// Measures whether an event costs more after many events.
fn growth(options: &Options, table: &mut Table, server: &Server, who: &Contender) {
    let counts = if options.smoke { vec![100, 1000] } else { vec![1000, 10_000, 100_000, 1_000_000] };
    let mut times = vec![Sample::default(); counts.len()];
    let mut flat = Sample::default();
    for _ in 0..options.rounds.min(5) {
        let round: Vec<f64> = counts
            .iter()
            .map(|count| 1e6 / value(&who.run(server, "events", &[*count, 120]), "rate"))
            .collect();
        times.iter_mut().zip(&round).for_each(|(times, time)| times.push(*time));
        flat.push(round[round.len() - 1] / round.iter().copied().fold(f64::MAX, f64::min));
    }
    for (count, times) in counts.iter().zip(&times) {
        table.figure(&format!("time per event, {count} events, µs"), who.name, times.text(2));
    }
    table.bar(
        "time per event, 1,000,000 events against the best of 1,000 to 100,000",
        "x",
        Bar::AtMost(1.15, 1.05),
        &flat,
        2,
    );

    let counts = if options.smoke { [100, 1000] } else { [100_000, 1_000_000] };
    // The consumer is much slower than the server.
    let micros = 10;
    let peaks = counts.map(|count| {
        let peak = value(&who.run(server, "slow", &[count, micros]), "peak") / 1000.0;
        table.figure(
            &format!("peak memory, {count} events, slow consumer, MB"),
            who.name,
            format!("{peak:.1}"),
        );
        peak
    });
    let mut flat = Sample::default();
    flat.push(peaks[1] / peaks[0]);
    table.bar(
        "memory, 1,000,000 events and a slow consumer, against 100,000",
        "x",
        Bar::AtMost(1.2, 1.1),
        &flat,
        2,
    );
}
