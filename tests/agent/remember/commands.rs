//! Commands with a prefix are remembered like questions.

use std::time::Duration;

use super::{LIMIT, Larry, panic_with};
use crate::common::{SOON, eventually, watchdog};
use crustocean::Outgoing;
use crustocean::agent::CommandMentions;

fn next(commands: &CommandMentions) -> (String, bool) {
    let command = commands.recv_timeout(SOON).unwrap();
    (command.text(), command.replayed)
}

#[test]
fn commands_that_were_not_done_and_those_of_meanwhile_come_first() {
    let _watchdog = watchdog(LIMIT);
    let larry = Larry::new();
    larry.sandbox.alice_says("!deploy before the first start");
    {
        let agent = larry.start();
        let commands = agent.commands("!deploy");
        larry.sandbox.alice_says("!deploy one");
        larry.sandbox.alice_says("!deploy two");
        larry.sandbox.alice_says("!deploy three");
        assert_eq!(next(&commands), ("one".to_owned(), false), "the first run begins now");
        let two = commands.recv_timeout(SOON).unwrap();
        assert!(!larry.has_saved(two.id.as_str()));
        // The room has the answer to the first command, but its handler panics. The handler of the next command panics,
        // too.
        two.room().post(Outgoing::new("deployed two").in_reply_to(&two)).unwrap();
        panic_with(two);
        panic_with(commands.recv_timeout(SOON).unwrap());
    }
    larry.sandbox.alice_says("!deploy four");
    {
        // Another loop takes the messages and has a question of its own.
        let agent = larry.start();
        let (commands, mentions) = (agent.commands("!deploy"), agent.mentions());
        larry.sandbox.alice_says("@larry hello");
        assert_eq!(mentions.recv_timeout(SOON).unwrap().text(), "hello");
        assert!(mentions.try_recv().is_err());
        assert_eq!(next(&commands), ("three".to_owned(), true));
        let four = commands.recv_timeout(SOON).unwrap();
        assert_eq!(four.text(), "four");
        four.done();
        assert!(larry.has_saved(four.id.as_str()));
    }
    // All old commands are done, so only the new one comes.
    let agent = larry.start();
    let commands = agent.commands("!deploy");
    larry.sandbox.alice_says("!deploy five");
    assert_eq!(next(&commands).0, "five");
    assert!(commands.recv_timeout(Duration::ZERO).is_err());
}

#[test]
fn a_command_given_to_another_thread_is_done_when_it_is_dropped() {
    let _watchdog = watchdog(LIMIT);
    let larry = Larry::new();
    let agent = larry.start();
    // A loop over events gets the command, too. That does not change whether the command is done.
    let (commands, events) = (agent.commands("!deploy"), agent.events());
    larry.sandbox.alice_says("!deploy one");
    let one = commands.recv_timeout(SOON).unwrap();
    while events.try_recv().is_ok() {}
    let id = one.id.clone();
    assert!(!larry.has_saved(id.as_str()));
    assert!(commands.recv_timeout(Duration::ZERO).is_err());
    std::thread::spawn(move || drop(one)).join().unwrap();
    eventually("it is saved", || larry.has_saved(id.as_str()));
}
