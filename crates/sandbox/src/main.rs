//! The sandbox as a program.

#![forbid(unsafe_code)]

mod output;

use std::fmt::Display;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::process::ExitCode;

use crustocean_sandbox::{Builder, Sandbox, Script, ScriptError};
use lexopt::Arg::{Long, Short, Value as Word};
use serde_json::Value;

const HELP: &str = "\
A local Crustocean server with the documented REST API and real-time events.

Usage: crustocean-sandbox [options]
       crustocean-sandbox run <script> --bot <name> [--url <url>] [--pace <number>]

  --port <port>            the port (default 7777; 0 for any free one)
  --demo                   create a user and a verified agent, and print the settings for a client. Each line
                           that you type is posted to the Lobby as this user
  --data <folder>          keep accounts, tokens, rooms and messages across restarts
  --fault <faults>         faults from the start on, such as drop-links-every=30s,latency=80ms
                           (--fault help lists them)
  --record <file>          record messages into a script
  --max-messages <number>  how many messages a room keeps (default 10000)
  --rate-limits            apply the documented rate limits
  --set <settings>         limits of the server, such as ping-interval=5s,session-ttl=1h. Names:
                           ping-interval, ping-timeout, session-ttl, webhook-timeout, retry-delay, claim-ttl,
                           metrics-secret, truncate-content, max-waiting, metadata-as-string
  --quiet                  do not print a line for each request and event
  --host <address>         the address to listen on (default 127.0.0.1). With another address, everyone who
                           can reach it has full control
  --allow-host <name>      another host name of this server, such as that of its container
  --allow-webhooks-to <host>
                           a host outside this machine to which webhooks may go; * for all
  --version, --help

`run` sends the people's lines of a script to a bot that is connected to a sandbox, and compares the answers.
The exit code is 0 if all answers are as expected, 1 if not, 2 if the script cannot be run.
  --pace <number>          factor for the pauses between lines (default 0; 1 keeps the recorded pauses)

The page is at http://127.0.0.1:7777/_sandbox. Point a client at the sandbox with CRUSTOCEAN_API_URL.
Ctrl-C ends the sandbox. Without --data all its data is lost.";

const DEFAULT_PORT: u16 = 7777;

/// The command line, parsed.
enum Command {
    Help,
    Version,
    FaultHelp,
    Serve(Box<Serve>),
    Run { script: String, bot: String, url: String, pace: f64 },
}

struct Serve {
    builder: Builder,
    port: u16,
    demo: bool,
    record: Option<String>,
    fault: Vec<String>,
    open: bool,
}

fn parse<T: std::str::FromStr<Err: Display>>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|error| format!("--{name}: {value:?}: {error}"))
}

fn command(mut args: lexopt::Parser) -> Result<Command, String> {
    let text = |args: &mut lexopt::Parser| -> Result<String, String> {
        let value = args.value().map_err(|error| error.to_string())?;
        value.into_string().map_err(|value| format!("{} is not UTF-8", value.to_string_lossy()))
    };
    let mut serve = Serve {
        builder: Sandbox::builder().log(true),
        port: DEFAULT_PORT,
        demo: false,
        record: None,
        fault: Vec::new(),
        open: false,
    };
    let (mut words, mut bot, mut url, mut pace) = (Vec::new(), None, None, 0.0);
    while let Some(arg) = args.next().map_err(|error| error.to_string())? {
        let builder = serve.builder.clone();
        match arg {
            Short('h') | Long("help") => return Ok(Command::Help),
            Short('V') | Long("version") => return Ok(Command::Version),
            Short('q') | Long("quiet") => serve.builder = builder.log(false),
            Long("demo") => {
                serve.demo = true;
                serve.builder = builder.demo(true);
            }
            Long("set") => {
                let settings = text(&mut args)?;
                serve.builder = builder.set(&settings).map_err(|error| format!("--set: {error}"))?;
            }
            Long("rate-limits") => serve.builder = builder.rate_limits(true),
            Short('p') | Long("port") => {
                let port = text(&mut args)?;
                serve.port = port.parse().map_err(|_| format!("{port} is not a port: 0 to 65535"))?;
            }
            Long("data") => serve.builder = builder.data(text(&mut args)?),
            Long("record") => serve.record = Some(text(&mut args)?),
            Long("max-messages") => {
                serve.builder = builder.max_messages(parse("max-messages", &text(&mut args)?)?);
            }
            Long("fault") => match text(&mut args)? {
                help if help == "help" => return Ok(Command::FaultHelp),
                faults => serve.fault.push(faults),
            },
            Long("host") => {
                let address: IpAddr = parse("host", &text(&mut args)?)?;
                serve.open = !address.is_loopback();
                serve.builder = builder.host(address);
            }
            Long("allow-host") => serve.builder = builder.allow_host(text(&mut args)?),
            Long("allow-webhooks-to") => serve.builder = builder.allow_webhooks_to(text(&mut args)?),
            Long("bot") => bot = Some(text(&mut args)?),
            Long("url") => url = Some(text(&mut args)?),
            Long("pace") => pace = parse("pace", &text(&mut args)?)?,
            Word(word) => words.push(word.to_string_lossy().into_owned()),
            other => return Err(format!("{}; see --help", other.unexpected())),
        }
    }
    match words.as_slice() {
        [] if bot.is_some() || url.is_some() => Err("--bot and --url belong to `run <script>`".to_owned()),
        [] => Ok(Command::Serve(Box::new(serve))),
        [run, script] if run == "run" => Ok(Command::Run {
            script: script.clone(),
            bot: bot.ok_or("run needs --bot <name>: whose answers are compared")?,
            url: url.unwrap_or_else(|| format!("http://127.0.0.1:{}", serve.port)),
            pace,
        }),
        [run, ..] if run == "run" => Err("run needs one script: run talk.jsonl --bot mybot".to_owned()),
        [other, ..] => Err(format!("unexpected argument {other:?}; see --help")),
    }
}

/// Posts each line of standard input to the Lobby, as the demo's user.
fn demo(sandbox: &Sandbox) {
    let Some((user, agent)) = sandbox.demo() else { return };
    output::line(format_args!("export CRUSTOCEAN_API_URL={}", sandbox.url()));
    output::line(format_args!(
        "export CRUSTOCEAN_TOKEN={}  # user demo, password {}",
        user.token,
        Sandbox::PASSWORD
    ));
    output::line(format_args!("export AGENT_TOKEN={}  # agent mybot", agent.token));
    output::line("# each line that you type is posted to the Lobby as demo: @mybot hello");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for line in std::io::stdin().lines().map_while(Result::ok) {
                let text = line.trim();
                if !text.is_empty()
                    && let Err(error) = sandbox.say(&sandbox.lobby_id(), &user.id, text, Value::Null)
                {
                    output::error_line(format_args!("error: {error}"));
                }
            }
        });
        sandbox.wait();
    });
}

fn fail(message: impl Display) -> ExitCode {
    output::error_line(format_args!("error: {message}"));
    ExitCode::FAILURE
}

fn serve(serve: Serve) -> ExitCode {
    let port = serve.port;
    let sandbox = match serve.builder.port(port).start() {
        Ok(sandbox) => sandbox,
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            return fail(format!("port {port} is taken; try --port 0 for a free one"));
        }
        Err(error) => return fail(format!("cannot start on port {port}: {error}")),
    };
    for faults in &serve.fault {
        if let Err(error) = sandbox.fault(faults) {
            return fail(error);
        }
    }
    let _recording = match serve.record.map(|file| sandbox.record(file)).transpose() {
        Ok(recording) => recording,
        Err(error) => return fail(error),
    };
    output::line(sandbox.url());
    output::line(format_args!("# the page: {}/_sandbox", sandbox.url()));
    if serve.open {
        output::error_line(
            "warning: everybody who reaches this port may read and change everything in this sandbox",
        );
    }
    if serve.demo {
        demo(&sandbox);
    } else {
        sandbox.wait();
    }
    ExitCode::SUCCESS
}

fn run(script: &str, bot: &str, url: &str, pace: f64) -> ExitCode {
    match Script::load(script).and_then(|script| script.pace(pace).run_at(url, bot)) {
        Ok(report) => {
            output::line(report);
            ExitCode::SUCCESS
        }
        Err(error @ ScriptError::Different { .. }) => {
            output::line(error);
            ExitCode::FAILURE
        }
        Err(error) => {
            output::error_line(format_args!("error: {error}"));
            ExitCode::from(2)
        }
    }
}

fn main() -> ExitCode {
    match command(lexopt::Parser::from_env()) {
        Ok(Command::Help) => output::line(HELP),
        Ok(Command::Version) => {
            output::line(format_args!("crustocean-sandbox {}", env!("CARGO_PKG_VERSION")))
        }
        Ok(Command::FaultHelp) => output::line(Sandbox::FAULTS),
        Ok(Command::Serve(wanted)) => return serve(*wanted),
        Ok(Command::Run { script, bot, url, pace }) => return run(&script, &bot, &url, pace),
        Err(message) => {
            output::error_line(format_args!("error: {message}"));
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
