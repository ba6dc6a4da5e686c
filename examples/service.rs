//! A bot as a service, under systemd or in a container. It waits for the network, sends everything before it ends on SIGTERM
//! or Ctrl-C, and its exit code says whether a restart helps. It sends reminders: `@mybot tea in 60`.
//!
//! `AGENT_TOKEN=sk_… cargo run --example service [room]`. `docs/service.md` says how to install it.
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
        .first_connect(Reconnect::Forever) // at boot the network may come later
        .connect(AgentToken::from_env()?)?;
    agent.join(std::env::args().nth(1).unwrap_or_else(|| "lobby".to_owned()))?;
    agent.follow_invites()?;
    agent.follow_dms(Duration::from_secs(30))?;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // A thread with a timer, whose sleep ends with the service.
            while !stop.wait(Duration::from_secs(3600)) {
                log::info!("still here, in {} rooms", agent.rooms().len());
            }
        });
        // Returns when the agent ends. A failed reminder is logged.
        let ended = agent.mentions().in_parallel(16, |question| remind(&agent, &question));
        stop.stop(); // if it ended for another reason
        ended
    })?;
    agent.close() // waits until everything is sent
}

/// Waits, and sends the reminder. Meanwhile the room sees a run, and can stop it.
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

/// Exit codes of sysexits.h. The unit file does not restart after 77 and 78, because a restart does not help.
fn exit_code(error: &Error) -> ExitCode {
    ExitCode::from(match error.kind() {
        ErrorKind::Unauthorized | ErrorKind::NotVerified | ErrorKind::Forbidden => 77,
        ErrorKind::Config | ErrorKind::Invalid | ErrorKind::NotFound | ErrorKind::Tls => 78,
        ErrorKind::Connect | ErrorKind::Timeout | ErrorKind::RateLimited => 75,
        _ => 70,
    })
}

/// A logger without times, because journald and Docker add them.
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
