//! The thread that renews a term.

use std::time::Duration;

use super::term_state::{Next, TermEnd, TermState};
use crate::moment::Moment;

pub(super) fn run(term: &TermState) {
    let mut redis = term.config.connection();
    let every = term.config.ttl / 3;
    let pause = (term.config.ttl / 30).clamp(Duration::from_millis(5), Duration::from_millis(250));
    loop {
        match term.next(every) {
            Next::Renew => {}
            Next::Release => {
                if let Err(error) = term.give_up(&mut redis) {
                    crate::logging::record!(
                        Warn,
                        "cannot release the lease {:?}, so it ends by timeout: {error}",
                        term.config.name
                    );
                }
                return;
            }
            // Release the lease, because a late renewal may have succeeded in Redis although the term is lost here.
            Next::Stop => return drop(term.give_up(&mut redis)),
        }
        let asked = Moment::now();
        match term.ask_to_renew(&mut redis) {
            Ok(true) => term.renewed(asked),
            Ok(false) => term.end(TermEnd::Lost),
            Err(error) => {
                crate::logging::record!(Warn, "cannot renew the lease {:?}: {error}", term.config.name);
                term.pause(pause);
            }
        }
    }
}
