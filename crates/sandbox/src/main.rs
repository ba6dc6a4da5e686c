//! The sandbox as a program.

#![forbid(unsafe_code)]

use std::fmt::Display;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::process::ExitCode;

use crustocean_sandbox::{Builder, Sandbox, Script, ScriptError};
use lexopt::Arg::{Long, Short, Value as Word};
use serde_json::Value;

const HELP: &str = "\
A local Crustocean: the documented REST API and real-time events, on your own machine.

Usage: crustocean-sandbox [options]
       crustocean-sandbox run <script> --bot <name> [--url <url>] [--pace <number>]

  --port <port>            the port (default 7777; 0 for any free one)
  --demo                   with a user and a verified agent; prints the settings for a client. What is
                           typed then, the user says in the Lobby
  --data <folder>          remember accounts, tokens, rooms and messages over restarts
  --fault <faults>         misbehave from the start, such as drop-links-every=30s,latency=80ms
                           (--fault help lists them)
  --record <file>          write what is said into a script
  --max-messages <number>  how many messages a room keeps (default 10000)
  --rate-limits            with the documented rate limits
  --set <settings>         the platform's own limits, such as ping-interval=5s,session-ttl=1h. There are
                           ping-interval, ping-timeout, session-ttl, webhook-timeout, retry-delay, claim-ttl,
                           metrics-secret, truncate-content, max-waiting, metadata-as-string
  --quiet                  no line for each request and event
  --host <address>         the address to listen on (default 127.0.0.1). With any other one, everybody who
                           reaches it may do everything
  --allow-host <name>      a further name by which this server is called, such as that of its container
  --allow-webhooks-to <host>
                           a host outside this machine that webhooks may be on; * for all
  --version, --help

`run` plays what people say in a script to a bot that is connected to a sandbox, and compares its answers.
It ends with 0 if all are as expected, with 1 if not, with 2 if the script cannot be played.
  --pace <number>          how much of the pauses is kept (default 0; 1 is the talk as it was)

The page is at http://127.0.0.1:7777/_sandbox. Point a client at the sandbox with CRUSTOCEAN_API_URL.
Ctrl-C ends it, and without --data all it knows.";

const DEFAULT_PORT: u16 = 7777;

/// What the command line asks for.
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

/// What is typed, the demo's user says in the Lobby.
fn demo(sandbox: &Sandbox) {
    let Some((user, agent)) = sandbox.demo() else { return };
    println!("export CRUSTOCEAN_API_URL={}", sandbox.url());
    println!("export CRUSTOCEAN_TOKEN={}  # user demo, password {}", user.token, Sandbox::PASSWORD);
    println!("export AGENT_TOKEN={}  # agent mybot", agent.token);
    println!("# what is typed here, demo says in the Lobby: @mybot hello");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for line in std::io::stdin().lines().map_while(Result::ok) {
                let text = line.trim();
                if !text.is_empty()
                    && let Err(error) = sandbox.say(&sandbox.lobby_id(), &user.id, text, Value::Null)
                {
                    eprintln!("error: {error}");
                }
            }
        });
        sandbox.wait();
    });
}

fn fail(message: impl Display) -> ExitCode {
    eprintln!("error: {message}");
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
    println!("{}", sandbox.url());
    println!("# the page: {}/_sandbox", sandbox.url());
    if serve.open {
        eprintln!("warning: everybody who reaches this port may read and change everything in this sandbox");
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
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error @ ScriptError::Different { .. }) => {
            println!("{error}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn main() -> ExitCode {
    match command(lexopt::Parser::from_env()) {
        Ok(Command::Help) => println!("{HELP}"),
        Ok(Command::Version) => println!("crustocean-sandbox {}", env!("CARGO_PKG_VERSION")),
        Ok(Command::FaultHelp) => println!("{}", Sandbox::FAULTS),
        Ok(Command::Serve(wanted)) => return serve(*wanted),
        Ok(Command::Run { script, bot, url, pace }) => return run(&script, &bot, &url, pace),
        Err(message) => {
            eprintln!("error: {message}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
