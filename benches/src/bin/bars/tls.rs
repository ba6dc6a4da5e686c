//! Measures the cost of a running agent over TLS. It compares the crate with the bare loop over the same TLS.

use std::time::Duration;

use crate::Options;
use crate::contender::{Rounds, Server, own, value};
use crate::table::{Bar, Table};

pub(crate) fn measure(options: &Options, table: &mut Table) {
    let server = Server::with_tls();
    let scale = |full: usize, smoke: usize| if options.smoke { smoke } else { full };

    for (library, name) in [("rustls", "rustls"), ("native", "native-tls")] {
        let both = own(Some(library));
        for size in [120, 2000] {
            let count = scale(200_000, 2000);
            let events = Rounds::new(&both, options.rounds, 2, |who| {
                let figures = who.run(&server, "events", &[count, size]);
                vec![value(&figures, "rate"), value(&figures, "cpu")]
            });
            let what = format!("typed messages/s over {name}, {size} characters, against the bare loop");
            table.bar(&what, "x", Bar::AtLeast(0.85, 0.95), events.ratio(0), 2);
            let what = format!("CPU per message over {name}, {size} characters, against the bare loop");
            table.bar(&what, "x", Bar::AtMost(1.25, 1.05), events.ratio(1), 2);
            events.print(table, 0, &format!("messages/s over {name}, {size} characters"), 1.0, 0);
            events.print(table, 1, &format!("CPU µs per message over {name}, {size} characters"), 1e6, 2);
        }

        let acks = Rounds::new(&both, options.rounds, 2, |who| {
            let figures = who.run(&server, "acks", &[scale(5000, 50)]);
            vec![value(&figures, "p50"), value(&figures, "p99")]
        });
        let what = format!("ack round trip p50 over {name}, against the bare loop");
        table.bar(&what, "x", Bar::AtMost(1.1, 1.05), acks.ratio(0), 2);
        acks.print(table, 0, &format!("ack round trip p50 over {name}, µs"), 1.0, 1);
        acks.print(table, 1, &format!("ack round trip p99 over {name}, µs"), 1.0, 1);

        let pause = Duration::from_millis(scale(1000, 10) as u64);
        let idle = Rounds::new(&both, scale(3, 1), 2, |who| who.idle(&server, pause));
        let what = format!("resident memory, idle, over {name}, against the bare loop");
        table.bar(&what, "x", Bar::AtMost(1.25, 1.15), idle.ratio(0), 2);
        idle.print(table, 0, &format!("resident memory, idle, over {name}, MB"), 1.0, 2);

        let count = scale(300, 10);
        let many = Rounds::new(&both, scale(2, 1), 1, |who| {
            vec![value(&who.run(&server, "many", &[count]), "each")]
        });
        let what = format!("resident memory per further connection over {name}, kB");
        many.print(table, 0, &what, 1.0, 1);
    }
}
