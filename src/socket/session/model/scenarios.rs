//! The scenarios.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::scene::{Time, check, forever, spawn, take};
use super::server::{Packet, Setup};
use crate::deadline;
use crate::socket::session::reader::Waited;
use crate::sync::modelled::{FOREVER, below};

#[test]
fn several_consumers_an_ack_and_a_sender_each_get_theirs() {
    check(Time::StandsStill, Setup::default(), |scene| {
        let threads = vec![scene.consumer(), scene.consumer(), scene.consumer()];
        let others = [scene.asks(7, false), scene.asks(8, false), scene.sends(9, false)];
        (1..=5).for_each(|number| assert!(scene.server.send_event(number)));
        scene.seen.until(|log| log.events.len() == 5);
        others.into_iter().for_each(|other| other.join().unwrap());
        scene.close(threads);
        assert_eq!(scene.seen.log.lock().ended, 3);
        scene.is_in_order();
    });
}

#[test]
fn events_reach_a_consumer_while_another_thread_reads_nothing() {
    check(Time::StandsStill, Setup { answers: false, ..Setup::default() }, |scene| {
        let threads = vec![scene.asks(7, true), scene.consumer(), scene.asks(8, true)];
        for number in 1..=3 {
            assert!(scene.server.send_event(number));
            scene.seen.until(|log| log.events.last() == Some(&number));
        }
        scene.close(threads);
    });
}

#[test]
fn a_connection_that_is_lost_while_somebody_reads_comes_back() {
    let setup = Setup { failing_dials: 2, dial: Duration::from_millis(100), ..Setup::default() };
    check(Time::Moves, setup, |scene| {
        let threads = vec![scene.consumer(), scene.consumer(), scene.asks(7, true), scene.sends(9, true)];
        scene.server.send_event(1);
        if below(2) == 0 {
            scene.server.send_event(2);
        }
        scene.server.break_connection();
        let session = Arc::clone(&scene.session);
        let hurries = spawn(move || session.reconnect_now());
        scene.seen.until(|log| log.restored >= 1);
        assert!(scene.server.send_event(100));
        scene.seen.until(|log| log.events.last() == Some(&100));
        hurries.join().unwrap();
        scene.close(threads);
        scene.is_in_order();
    });
}

#[test]
fn close_ends_everybody_who_waits() {
    let setup = Setup { answers: false, ..Setup::default() };
    check(Time::StandsStill, setup, |scene| {
        let mut threads = vec![scene.consumer(), scene.consumer(), scene.asks(7, true), scene.sends(9, true)];
        let session = Arc::clone(&scene.session);
        threads.push(spawn(move || {
            let watch = session.subscribe(Box::new(|_| false));
            watch.next(forever()).unwrap_err();
        }));
        let session = Arc::clone(&scene.session);
        threads.push(spawn(move || drop(session.close(2 * FOREVER))));
        scene.server.send_event(1);
        scene.close(threads);
    });
}

#[test]
fn a_stop_ends_all_waits_and_what_was_sent_is_still_confirmed() {
    let setup = Setup { answers: false, stoppable: true, ..Setup::default() };
    check(Time::Moves, setup, |scene| {
        let mut threads = vec![scene.consumer(), scene.consumer(), scene.asks(7, true), scene.sends(9, true)];
        let session = Arc::clone(&scene.session);
        threads.push(spawn(move || {
            let until = deadline::later(deadline::now(), FOREVER * 2);
            assert!(session.wait_over(until));
        }));
        scene.server.send_event(1);
        scene.session.stop_waits();
        scene.seen.until(|log| log.ended == 2);
        scene.close(threads);
    });
}

#[test]
fn with_a_stop_the_background_thread_reads_when_nothing_comes() {
    let setup = Setup { stoppable: true, ..Setup::default() };
    check(Time::Moves, setup, |scene| {
        let mut threads = vec![scene.consumer(), scene.asks(7, true)];
        if below(2) == 0 {
            threads.extend(scene.drive(1));
        }
        let repeating = scene.session.repeat("typing", &1, &0, Duration::from_secs(1)).unwrap();
        for number in 1..=3 {
            assert!(scene.server.send_event(number));
            scene.seen.until(|log| log.events.last() == Some(&number));
        }
        scene.asks(8, false).join().unwrap();
        if below(2) == 0 {
            scene.server.break_connection();
            scene.seen.until(|log| log.restored >= 1);
        }
        scene.sends(9, true).join().unwrap();
        drop(repeating);
        scene.session.stop_waits();
        scene.seen.until(|log| log.ended >= 1);
        scene.close(threads);
        scene.is_in_order();
    });
}

#[test]
fn with_long_polling_events_answers_and_wake_ups_reach_all() {
    let setup = Setup { polling: true, ..Setup::default() };
    check(Time::Moves, setup, |scene| {
        let source = Arc::new(AtomicBool::new(false));
        let mut threads = vec![scene.looks_elsewhere(Arc::clone(&source)), scene.asks(7, true)];
        if below(2) == 0 {
            threads.extend(scene.drive(1));
        }
        for number in 1..=2 {
            assert!(scene.server.send_event(number));
            scene.seen.until(|log| log.events.last() == Some(&number));
        }
        // The server sends nothing more.
        scene.session.wake_reader();
        source.store(true, Ordering::SeqCst);
        scene.session.wake_all();
        scene.seen.until(|log| log.wake_ups == 1);
        scene.asks(8, false).join().unwrap();
        if below(2) == 0 {
            scene.server.break_connection();
            scene.seen.until(|log| log.restored >= 1);
            assert!(scene.server.send_event(100));
            scene.seen.until(|log| log.events.last() == Some(&100));
        }
        scene.close(threads);
        scene.is_in_order();
    });
}

#[test]
fn close_does_not_wait_for_a_server_that_says_nothing_nor_for_a_dial() {
    let setup = Setup {
        answers: false,
        answers_close: false,
        failing_dials: 2,
        dial: Duration::from_secs(5),
        ..Setup::default()
    };
    check(Time::Moves, setup, |scene| {
        let threads = vec![scene.consumer(), scene.asks(7, true)];
        if below(2) == 0 {
            scene.server.break_connection();
        }
        // The checker decides how far the set-up of the new connection has come at this point.
        let _ = scene.session.close(Duration::from_secs(2));
        scene.close(threads);
    });
}

#[test]
fn pings_are_answered_while_a_handler_is_busy() {
    check(Time::Moves, Setup::default(), |scene| {
        let (session, server, seen) =
            (Arc::clone(&scene.session), Arc::clone(&scene.server), Arc::clone(&scene.seen));
        let slow = spawn(move || {
            loop {
                match session.wait_for_items(None, &|| false) {
                    Waited::Items => take(&session, &seen),
                    Waited::Nothing => {}
                    Waited::Ended => return,
                }
                // The handler is busy until the server has received a pong, which only another thread can send.
                if seen.log.lock().events.contains(&1) {
                    server.send(Packet::Ping);
                    server.until(|world| world.wires[0].pongs >= 1);
                    return;
                }
            }
        });
        scene.server.send_event(1);
        // Up to two events may queue in front of the ping.
        (0..below(3)).for_each(|more| assert!(scene.server.send_event(2 + more as u64)));
        slow.join().unwrap();
        scene.asks(7, false).join().unwrap();
        let threads = vec![scene.consumer()];
        scene.server.send_event(100);
        scene.seen.until(|log| log.events.last() == Some(&100));
        scene.close(threads);
        scene.is_in_order();
    });
}

#[test]
fn a_wake_up_reaches_a_consumer_whoever_reads() {
    check(Time::StandsStill, Setup::default(), |scene| {
        let mut threads = vec![scene.consumer()];
        if below(2) == 0 {
            threads.push(scene.asks(7, true));
        }
        scene.session.wake_reader();
        scene.seen.until(|log| log.wake_ups == 1);
        scene.session.wake_reader();
        scene.seen.until(|log| log.wake_ups == 2);
        scene.close(threads);
    });
}

#[test]
fn waking_all_reaches_every_consumer() {
    check(Time::StandsStill, Setup::default(), |scene| {
        let sources: Vec<_> = (0..3).map(|_| Arc::new(AtomicBool::new(false))).collect();
        let mut threads: Vec<_> =
            sources.iter().map(|source| scene.looks_elsewhere(Arc::clone(source))).collect();
        if below(2) == 0 {
            threads.push(scene.asks(7, true));
        }
        if below(2) == 0 {
            scene.server.send_event(1);
        }
        for round in 1..=2 {
            sources.iter().for_each(|source| source.store(true, Ordering::SeqCst));
            scene.session.wake_all();
            scene.seen.until(|log| log.wake_ups == 3 * round);
        }
        scene.close(threads);
        assert_eq!(scene.seen.log.lock().ended, 3);
    });
}

#[test]
fn a_connection_that_was_opened_in_advance_is_used_or_replaced() {
    check(Time::Moves, Setup { opened: true, ..Setup::default() }, |scene| {
        let threads = vec![scene.consumer()];
        let others = [scene.asks(7, false), scene.sends(9, false)];
        assert!(scene.server.send_event(1));
        scene.seen.until(|log| log.events.last() == Some(&1));
        others.into_iter().for_each(|other| other.join().unwrap());
        // The connection opened in advance, and one more if that connection is too old or the server refused it.
        assert!(scene.server.lock().wires.len() <= 2);
        scene.close(threads);
        scene.is_in_order();
    });
}

#[test]
fn a_full_queue_drops_the_oldest_events_and_nobody_is_left_waiting() {
    let setup = Setup { queue: 3, ..Setup::default() };
    check(Time::Moves, setup, |scene| {
        let mut threads = Vec::new();
        // A request makes its thread read, while no consumer takes the events.
        let asked = scene.asks(7, false);
        (1..=4).for_each(|number| assert!(scene.server.send_event(number)));
        if below(2) == 0 {
            threads.extend(scene.drive(1));
        } else {
            threads.extend([scene.consumer(), scene.consumer()]);
        }
        (5..=9).for_each(|number| assert!(scene.server.send_event(number)));
        scene.asks(8, false).join().unwrap();
        asked.join().unwrap();
        scene.seen.until(|log| log.events.len() as u64 + log.missed == 9);
        assert!(scene.server.send_event(10));
        scene.seen.until(|log| log.events.last() == Some(&10));
        scene.close(threads);
        scene.is_in_order();
    });
}

#[test]
fn a_helper_reaches_a_consumer_without_a_word_of_the_server() {
    check(Time::Moves, Setup { answers: false, ..Setup::default() }, |scene| {
        let waker = scene.session.waker();
        let announced = waker.announce();
        let helper = spawn(move || {
            waker.wake();
            drop(announced);
        });
        let threads = vec![scene.consumer(), helper];
        scene.seen.until(|log| log.wake_ups == 1);
        scene.close(threads);
    });
}

#[test]
fn a_time_limit_ends_a_wait_and_the_role_goes_on() {
    check(Time::Moves, Setup::default(), |scene| {
        let mut threads = vec![scene.consumer()];
        for limit in [50, 3000] {
            let session = Arc::clone(&scene.session);
            threads.push(spawn(move || {
                let until = deadline::after(Duration::from_millis(limit));
                let watch = session.subscribe(Box::new(|_| false));
                let caught = watch.next(until);
                // The wait must not end early. If it never ends, the checker reports a deadlock.
                assert!(deadline::now() >= until || caught.is_err());
            }));
        }
        let session = Arc::clone(&scene.session);
        let limited = spawn(move || {
            let until = deadline::after(Duration::from_millis(70));
            let waited = session.wait_for_items(Some(until), &|| false);
            assert!(waited != Waited::Nothing || deadline::now() >= until);
        });
        limited.join().unwrap();
        scene.server.send_event(1);
        scene.seen.until(|log| log.events == [1]);
        scene.close(threads);
    });
}

#[test]
fn what_is_repeated_goes_out_on_time_whoever_reads() {
    check(Time::Moves, Setup::default(), |scene| {
        let threads = if below(2) == 0 { vec![scene.consumer()] } else { Vec::new() };
        let second = Duration::from_secs(1);
        let repeating = scene.session.repeat("typing", &1, &0, second).unwrap();
        let times = |frame: &'static str, least| {
            scene.server.until(move |world| {
                let frames = world.wires.iter().flat_map(|wire| &wire.received);
                frames.filter(|other| *other == frame).count() >= least
            });
        };
        times("42[\"typing\",1]", 3);
        if below(2) == 0 {
            scene.server.break_connection();
            times("42[\"join\",0]", 1);
            times("42[\"typing\",1]", 5);
        }
        drop(repeating);
        times("42[\"typing\",0]", 1);
        scene.close(threads);
    });
}

#[test]
fn a_driver_reads_for_a_consumer_and_for_those_who_read_themselves() {
    check(Time::Moves, Setup::default(), |scene| {
        let threads = scene.drive(1);
        let others = [scene.asks(7, false), scene.asks(8, false), scene.sends(9, false)];
        (1..=5).for_each(|number| assert!(scene.server.send_event(number)));
        scene.seen.until(|log| log.events.len() == 5);
        others.into_iter().for_each(|other| other.join().unwrap());
        scene.server.send_event(6);
        scene.seen.until(|log| log.events.len() == 6);
        scene.close(threads);
        scene.is_in_order();
    });
}

#[test]
fn a_driver_connects_again_and_sends_what_is_repeated() {
    let setup = Setup { failing_dials: 2, dial: Duration::from_millis(100), ..Setup::default() };
    check(Time::Moves, setup, |scene| {
        let mut threads = scene.drive(1);
        threads.extend([scene.asks(7, true), scene.sends(9, true)]);
        let repeating = scene.session.repeat("typing", &1, &0, Duration::from_secs(1)).unwrap();
        scene.server.send_event(1);
        scene.server.break_connection();
        scene.seen.until(|log| log.restored >= 1);
        assert!(scene.server.send_event(100));
        scene.seen.until(|log| log.events.last() == Some(&100));
        scene.server.until(|world| {
            let frames = world.wires.iter().flat_map(|wire| &wire.received);
            frames.filter(|frame| *frame == "42[\"typing\",1]").count() >= 4
        });
        drop(repeating);
        scene.close(threads);
        scene.is_in_order();
    });
}

#[test]
fn a_session_goes_from_its_thread_to_a_driver_and_back() {
    check(Time::Moves, Setup::default(), |scene| {
        let asked = scene.asks(7, false);
        scene.server.send_event(1);
        let mut threads = scene.drive(1);
        scene.server.send_event(2);
        if below(2) == 0 {
            scene.session.drive_itself().unwrap();
            scene.server.send_event(3);
            if below(2) == 0 {
                threads.extend(scene.drive(2));
            }
        }
        threads.push(scene.consumer());
        scene.server.send_event(100);
        scene.seen.until(|log| log.events.contains(&100));
        asked.join().unwrap();
        threads.push(scene.asks(8, true));
        scene.close(threads);
    });
}
