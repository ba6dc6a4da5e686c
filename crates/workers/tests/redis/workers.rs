//! Every question is answered once and in order.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crustocean_workers::{Answer, DeadLetters, HandlerError, Output, Status, Stop, Task, Workers};

use crate::rig::{LONG, Rig, echo};
use crate::support::{Redis, eventually};

#[test]
fn questions_are_answered_once_and_in_order_by_several_workers() {
    let rig = Rig::start(6);
    let workers = [rig.workers("one"), rig.workers("two"), rig.workers("three")];
    rig.run(
        &workers,
        |task| Ok(echo(task)?.into()),
        || {
            for n in 1..=10 {
                (0..6).for_each(|room| drop(rig.platform.ask(room, &format!("q{n}"))));
            }
            (0..6).for_each(|room| rig.expect_in_order(room, 10));
            eventually("the shards are spread", LONG, || {
                let status = rig.status();
                let owners = status.shards.iter().filter_map(|shard| shard.owner.as_ref());
                let owners: Vec<_> = owners.map(|owner| owner.name.as_str()).collect();
                owners.len() == 4 && ["one", "two", "three"].iter().all(|name| owners.contains(name))
            });
            eventually("nothing is left", LONG, || {
                rig.status().shards.iter().all(|shard| shard.lag + shard.pending == 0)
            });
            let status = rig.status();
            let text = format!("{status}\n{}", status.to_prometheus());
            for part in
                ["holder   ", "one, three, two", "crustocean_workers_lag{agent=\"larry\",shard=\"3\"} 0"]
            {
                assert!(text.contains(part), "{part} in {text}");
            }
        },
    );
}

#[test]
fn a_worker_without_a_connection_answers_through_the_holder() {
    let rig = Rig::start(2);
    let workers =
        [rig.workers("one").output(Output::ThroughHolder), rig.workers("two").output(Output::ThroughHolder)];
    rig.run(
        &workers,
        |task| Ok(Answer::from(echo(task)?).with("mood", "good")),
        || {
            for n in 1..=10 {
                (0..2).for_each(|room| drop(rig.platform.ask(room, &format!("q{n}"))));
            }
            (0..2).for_each(|room| rig.expect_in_order(room, 10));
            eventually("nothing is left", LONG, || rig.status().answers == 0);
        },
    );
    let sent = rig.platform.sandbox.events();
    let sent: Vec<_> = sent.iter().filter(|(name, _)| name == "send-message").collect();
    assert!(
        sent.iter().all(
            |(_, said)| said["metadata"]["in_reply_to"].is_string() && said["metadata"]["mood"] == "good"
        )
    );
}

#[test]
fn a_failed_question_is_retried_in_order_without_blocking_other_rooms() {
    let rig = Rig::start(8);
    let (failures, deliveries) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let handler = |task: &Task<'_>| {
        if task.message().content.contains("q1")
            && task.message().agency_id == *rig.platform.rooms[0].as_str()
        {
            deliveries.lock().unwrap().push(task.delivery());
            match failures.fetch_add(1, Ordering::SeqCst) {
                0 => return Err("not today".into()),
                1 => panic!("at all"),
                _ => {}
            }
        }
        Ok(echo(task)?.into())
    };
    rig.run(&[rig.workers("one")], handler, || {
        for n in 1..=5 {
            (0..8).for_each(|room| drop(rig.platform.ask(room, &format!("q{n}"))));
        }
        (0..8).for_each(|room| rig.expect_in_order(room, 5));
    });
    assert_eq!(*deliveries.lock().unwrap(), [1, 2, 3]);
}

#[test]
fn a_question_that_always_fails_becomes_a_dead_letter_that_can_be_replayed() {
    let rig = Rig::start(1);
    let broken = std::sync::atomic::AtomicBool::new(true);
    let handler = |task: &Task<'_>| {
        if task.message().content.contains("q2") && broken.load(Ordering::SeqCst) {
            return Err("the model is out of order".into());
        }
        Ok(echo(task)?.into())
    };
    rig.run(&[rig.workers("one").deliveries(3)], handler, || {
        (1..=3).for_each(|n| drop(rig.platform.ask(0, &format!("q{n}"))));
        eventually("two answers", LONG, || rig.platform.answers(0) == ["answer to q1", "answer to q3"]);
        let dead = DeadLetters::new(&rig.redis.store(), "larry").unwrap();
        let letters = dead.list(10).unwrap();
        assert_eq!((letters.len(), letters[0].deliveries), (1, 3));
        assert_eq!(letters[0].reason, "the model is out of order");
        assert_eq!(letters[0].question.as_ref().unwrap().content, "@larry q2");
        assert_eq!(rig.status().dead, 1);
        broken.store(false, Ordering::SeqCst);
        assert!(dead.replay(&letters[0].id).unwrap() && !dead.replay(&letters[0].id).unwrap());
        eventually("the third", LONG, || rig.platform.answers(0).last().unwrap() == "answer to q2");
        assert_eq!(rig.status().dead, 0);
    });
}

#[test]
fn a_redelivered_question_with_an_answer_in_the_room_is_not_answered_again() {
    let rig = Rig::start(1);
    let handled = AtomicUsize::new(0);
    // Posts the answer itself, then fails, like a process that dies between the answer and its acknowledgement.
    let handler = |task: &Task<'_>| {
        handled.fetch_add(1, Ordering::SeqCst);
        let text = echo(task)?;
        task.room().unwrap().post(task.in_reply(text))?;
        Err("died".into())
    };
    rig.run(&[rig.workers("one")], handler, || {
        (1..=3).for_each(|n| drop(rig.platform.ask(0, &format!("q{n}"))));
        rig.expect_in_order(0, 3);
        eventually("all questions are done", LONG, || {
            rig.status().shards.iter().all(|shard| shard.lag + shard.pending == 0)
        });
        rig.expect_in_order(0, 3);
    });
    assert_eq!(handled.load(Ordering::SeqCst), 3);
}

/// Redis loses all data while no intake runs, and with it questions that were waiting.
#[test]
fn questions_that_redis_lost_while_no_intake_ran_are_read_again() {
    let mut rig = Rig::start(2);
    let handler = |task: &Task<'_>| Ok::<_, HandlerError>(echo(task)?.into());
    rig.platform.ask(0, "from before the first start");
    rig.run(&[rig.workers("one")], handler, || {
        for n in 1..=5 {
            (0..2).for_each(|room| drop(rig.platform.ask(room, &format!("q{n}"))));
        }
        (0..2).for_each(|room| rig.expect_in_order(room, 5));
    });
    rig.stop = Stop::new();
    rig.run(&[], handler, || {
        (0..2).for_each(|room| drop(rig.platform.ask(room, "q6")));
        eventually("the questions are stored", LONG, || {
            rig.status().shards.iter().map(|shard| shard.lag).sum::<usize>() == 2
        });
    });
    rig.redis.kill();
    (0..2).for_each(|room| drop(rig.platform.ask(room, "q7")));
    rig.redis.resume();
    rig.stop = Stop::new();
    rig.run(&[rig.workers("two")], handler, || {
        (0..2).for_each(|room| drop(rig.platform.ask(room, "q8")));
        (0..2).for_each(|room| rig.expect_in_order(room, 8));
        eventually("nothing is left", LONG, || {
            rig.status().shards.iter().all(|shard| shard.lag + shard.pending == 0)
        });
        (0..2).for_each(|room| rig.expect_in_order(room, 8));
    });
}

#[test]
fn a_stopped_worker_finishes_its_questions_and_another_one_takes_over() {
    let rig = Rig::start(3);
    let (first, second) = (rig.workers("one"), rig.workers("two"));
    let stop_first = Stop::new();
    let handler = |task: &Task<'_>| {
        std::thread::sleep(Duration::from_millis(20));
        Ok::<_, HandlerError>(echo(task)?.into())
    };
    std::thread::scope(|scope| {
        let first = scope.spawn(|| first.run(&stop_first, handler).unwrap());
        rig.run(&[second], handler, || {
            for n in 1..=20 {
                (0..3).for_each(|room| drop(rig.platform.ask(room, &format!("q{n}"))));
            }
            eventually("some are answered", LONG, || rig.platform.answers(0).len() > 2);
            stop_first.stop();
            first.join().unwrap();
            (0..3).for_each(|room| rig.expect_in_order(room, 20));
        });
    });
}

/// Compares three workers with one, with handlers of 50 ms. Without a platform, so that only the workers are measured.
#[test]
fn three_workers_do_three_times_as_much() {
    let took = |count: usize| {
        let redis = Redis::start();
        let store = redis.store();
        redis.command(&["SET", "crustocean:{agent:larry}:shards", "12"]);
        let (stop, done) = (Stop::new(), AtomicUsize::new(0));
        let workers: Vec<_> = (0..count)
            .map(|n| {
                let workers =
                    Workers::new(&store, "larry").unwrap().name(format!("w{n}")).ttl(Duration::from_secs(2));
                workers.output(Output::ThroughHolder).concurrency(2)
            })
            .collect();
        let handler = |_: &Task<'_>| {
            std::thread::sleep(Duration::from_millis(50));
            done.fetch_add(1, Ordering::SeqCst);
            Ok::<_, HandlerError>(Answer::nothing())
        };
        std::thread::scope(|scope| {
            workers.iter().for_each(|workers| drop(scope.spawn(|| workers.run(&stop, handler).unwrap())));
            eventually("the shards are spread", LONG, || {
                let shards = Status::read(&store, "larry").unwrap().shards;
                let owned = |name: &str| {
                    shards
                        .iter()
                        .filter(|shard| shard.owner.as_ref().is_some_and(|owner| owner.name == name))
                        .count()
                };
                (0..count).all(|n| owned(&format!("w{n}")) == 12 / count)
            });
            let message =
                r#"{"id":"m","agency_id":"a","content":"@larry","created_at":"2026-01-01T00:00:00Z"}"#;
            // All questions at once.
            let fill = "for n = 1, 20 do for _, key in ipairs(KEYS) do \
                        redis.call('XADD', key, '*', 'room', n, 'id', 'm', 'message', ARGV[1]) end end";
            let streams: Vec<String> =
                (0..12).map(|n| format!("crustocean:{{agent:larry}}:in:{n}")).collect();
            let mut eval = vec!["EVAL", fill, "12"];
            eval.extend(streams.iter().map(String::as_str));
            eval.push(message);
            let started = Instant::now();
            redis.command(&eval);
            eventually("all are handled", LONG, || done.load(Ordering::SeqCst) == 240);
            let took = started.elapsed();
            stop.stop();
            took
        })
    };
    // One good measurement is enough, because the machine may be busy during the others.
    let mut best: f64 = 0.0;
    for _ in 0..3 {
        let (one, three) = (took(1), took(3));
        let gain = one.as_secs_f64() / three.as_secs_f64();
        println!("one worker {one:?}, three {three:?}: {gain:.2}x");
        best = best.max(gain);
        if best >= 2.8 {
            return;
        }
    }
    panic!("{best:.2}x");
}
