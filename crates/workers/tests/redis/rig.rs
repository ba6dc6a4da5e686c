//! An agent with an intake, workers and a Redis, in one process.

use std::time::Duration;

use crustocean_workers::{Answer, HandlerError, Intake, Output, Status, Stop, Task, Workers};

use crate::support::{Platform, Redis, eventually};

pub(crate) const TTL: Duration = Duration::from_secs(2);
pub(crate) const LONG: Duration = Duration::from_secs(30);

pub(crate) fn echo(task: &Task<'_>) -> Result<String, HandlerError> {
    Ok(task.message().content.replace("@larry ", "answer to "))
}

pub(crate) struct Rig {
    pub(crate) redis: Redis,
    pub(crate) platform: Platform,
    pub(crate) stop: Stop,
}

impl Rig {
    pub(crate) fn start(rooms: usize) -> Rig {
        Rig { redis: Redis::start(), platform: Platform::start(rooms), stop: Stop::new() }
    }

    pub(crate) fn intake(&self) -> Intake {
        let intake = Intake::new(&self.redis.store(), "larry").unwrap().ttl(TTL).shards(4);
        intake.connect(self.platform.connect()).rooms(self.platform.join())
    }

    pub(crate) fn workers(&self, name: &str) -> Workers {
        let workers = Workers::new(&self.redis.store(), "larry").unwrap().name(name).ttl(TTL);
        workers
            .output(Output::direct(self.platform.connect()))
            .retry(Duration::from_millis(20), Duration::from_millis(100))
    }

    pub(crate) fn status(&self) -> Status {
        Status::read(&self.redis.store(), "larry").unwrap()
    }

    /// Runs workers beside an intake.
    pub(crate) fn run(
        &self,
        workers: &[Workers],
        handler: impl Fn(&Task<'_>) -> Result<Answer, HandlerError> + Sync,
        body: impl FnOnce(),
    ) {
        let intake = self.intake();
        std::thread::scope(|scope| {
            scope.spawn(|| intake.run(&self.stop).unwrap());
            for workers in workers {
                scope.spawn(|| workers.run(&self.stop, &handler).unwrap());
            }
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                eventually("the intake runs", LONG, || {
                    let key = |room: &String| format!("crustocean:{{agent:larry}}:room:{room}");
                    self.platform.rooms.iter().all(|room| self.redis.command(&["EXISTS", &key(room)]) == "1")
                });
                body();
            }));
            self.stop.stop();
            result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        });
    }

    pub(crate) fn expect_in_order(&self, room: usize, count: usize) {
        eventually("all answers", LONG, || self.platform.answers(room).len() >= count);
        let expected: Vec<String> = (1..=count).map(|n| format!("answer to q{n}")).collect();
        assert_eq!(self.platform.answers(room), expected, "room {room}");
    }
}
