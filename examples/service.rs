//! A bot as a service, under systemd or in a container: it waits for the network, ends on SIGTERM and Ctrl-C with
//! everything said, and tells by its exit code whether starting it again helps. It reminds: `@mybot tea in 60`.
//!
//! `AGENT_TOKEN=sk_… cargo run --example service [room]`; how to install it: `docs/service.md`.
//! Needs crustocean, ctrlc (termination), log.

use std::process::ExitCode;
use std::time::Duration;

use crustocean::agent::Reconnect;
use crustocean::{Agent, AgentToken, Error, ErrorKind, Message, Result, Stop};

fn main() -> ExitCode {
    if log::set_logger(&Stderr).is_ok() {
        log::set_max_level(log::LevelFilter::Info);
    }
    let stop = Stop::new();
    let switch = stop.clone();
    // SIGINT, SIGTERM and SIGHUP; Ctrl-C and the end of the session on Windows.
    if let Err(error) = ctrlc::set_handler(move || switch.stop()) {
        log::error!("no signals: {error}");
        return ExitCode::FAILURE;
    }
    match serve(&stop) {
        Err(error) if !stop.is_stopped() => {
            log::error!("{error}");
            exit_code(&error)
        }
        ended => {
            log::info!("stopped ({ended:?})");
            ExitCode::SUCCESS
        }
    }
}

fn serve(stop: &Stop) -> Result<()> {
    let agent = Agent::builder()
        .stop(stop)
        .first_connect(Reconnect::Forever) // at boot the network comes later
        .connect(AgentToken::from_env()?)?;
    agent.join(std::env::args().nth(1).unwrap_or_else(|| "lobby".to_owned()))?;
    agent.follow_invites()?;
    agent.follow_dms(Duration::from_secs(30))?;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // A thread on a timer: its sleep ends with the service.
            while !stop.wait(Duration::from_secs(3600)) {
                log::info!("still here, in {} rooms", agent.rooms().len());
            }
        });
        // Returns when the agent ends. A reminder that fails costs itself, and is logged.
        let ended = agent.mentions().in_parallel(16, |question| remind(&agent, &question));
        stop.stop(); // if it ended for another reason
        ended
    })?;
    agent.close() // waits until everything is said
}

/// The room sees a run meanwhile, and can stop it.
fn remind(agent: &Agent, question: &Message) -> Result<()> {
    let seconds = question.content.split(" in ").last().and_then(|text| text.trim().parse().ok());
    let Some(seconds) = seconds else {
        return agent.reply(question, "tell me when, in seconds: tea in 60");
    };
    let run = agent.room_of(question).start_run(question)?;
    run.status(format!("in {seconds} s"))?;
    if run.stopped().wait(Duration::from_secs(seconds)) {
        return run.error("stopped before it was time");
    }
    agent.reply(question, format!("@{} it is time", question.sender_username))?;
    run.complete("reminded")
}

/// As in sysexits.h. 77 and 78 do not pass by themselves: the unit file does not restart after them.
fn exit_code(error: &Error) -> ExitCode {
    ExitCode::from(match error.kind() {
        ErrorKind::Unauthorized | ErrorKind::NotVerified | ErrorKind::Forbidden => 77,
        ErrorKind::Config | ErrorKind::Invalid | ErrorKind::NotFound | ErrorKind::Tls => 78,
        ErrorKind::Connect | ErrorKind::Timeout | ErrorKind::RateLimited => 75,
        _ => 70,
    })
}

/// journald and Docker add the time.
struct Stderr;

impl log::Log for Stderr {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        eprintln!("{} {}: {}", record.level(), record.target(), record.args());
    }

    fn flush(&self) {}
}
