//! The thread that renews a term.

use std::time::Duration;

use super::term::{Next, Shared, TermEnd};
use crate::moment::Moment;

pub(super) fn run(term: &Shared) {
    let mut link = term.lease.link();
    let every = term.lease.length() / 3;
    let pause = (term.lease.length() / 30).clamp(Duration::from_millis(5), Duration::from_millis(250));
    loop {
        match term.next(every) {
            Next::Renew => {}
            Next::Release => {
                if let Err(error) = term.give_up(&mut link) {
                    log::warn!("the lease {:?} ends by itself: {error}", term.lease.name());
                }
                return;
            }
            // It may be the owner's again for Redis, by a renewal that came too late here.
            Next::Nothing => return drop(term.give_up(&mut link)),
        }
        let asked = Moment::now();
        match term.ask_to_renew(&mut link) {
            Ok(true) => {
                term.renewed(asked);
            }
            Ok(false) => term.end(TermEnd::Lost),
            Err(error) => {
                log::warn!("cannot renew the lease {:?}: {error}", term.lease.name());
                term.pause(pause);
            }
        }
    }
}
