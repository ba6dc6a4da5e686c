//! The sandbox as a program.

#![forbid(unsafe_code)]

use std::io::ErrorKind;
use std::process::ExitCode;

use crustocean_sandbox::Sandbox;
use serde_json::Value;

const HELP: &str = "\
A local Crustocean: the documented REST API and real-time events, in memory.

Usage: crustocean-sandbox [--port <port>] [--demo] [--rate-limits] [--quiet]

  --port <port>  the port on 127.0.0.1 (default 7777; 0 for any free one)
  --demo         with a user and a verified agent; prints the settings for a client. What is typed then,
                 the user says in the Lobby
  --rate-limits  with the documented rate limits
  --quiet        no line for each request and event
  --help         this text

Point a client at it with CRUSTOCEAN_API_URL. Ctrl-C ends it, and all its data with it.";

const DEFAULT_PORT: u16 = 7777;

struct Args {
    port: u16,
    log: bool,
    demo: bool,
    rate_limits: bool,
}

/// `None` asks for the help text.
fn args(mut given: impl Iterator<Item = String>) -> Result<Option<Args>, String> {
    let mut args = Args { port: DEFAULT_PORT, log: true, demo: false, rate_limits: false };
    while let Some(arg) = given.next() {
        let port = match arg.as_str() {
            "--help" | "-h" => return Ok(None),
            "--quiet" | "-q" => {
                args.log = false;
                continue;
            }
            "--demo" => {
                args.demo = true;
                continue;
            }
            "--rate-limits" => {
                args.rate_limits = true;
                continue;
            }
            "--port" | "-p" => given.next().ok_or("--port needs a number")?,
            other => match other.strip_prefix("--port=") {
                Some(port) => port.to_owned(),
                None => return Err(format!("unknown argument {other}; see --help")),
            },
        };
        args.port = port.parse().map_err(|_| format!("{port} is not a port: 0 to 65535"))?;
    }
    Ok(Some(args))
}

/// Makes somebody to talk to and somebody to talk as. The secrets are worth nothing once the program ends.
fn demo(sandbox: &Sandbox) -> std::io::Result<()> {
    let user = sandbox.add_user("demo")?;
    let agent = sandbox.add_agent("mybot", &user.id)?;
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
    Ok(())
}

fn main() -> ExitCode {
    let args = match args(std::env::args().skip(1)) {
        Ok(Some(args)) => args,
        Ok(None) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(message) => {
            eprintln!("error: {message}");
            return ExitCode::from(2);
        }
    };
    match Sandbox::builder().port(args.port).log(args.log).rate_limits(args.rate_limits).start() {
        Ok(sandbox) => {
            println!("{}", sandbox.url());
            if !args.demo {
                sandbox.wait();
            } else if let Err(error) = demo(&sandbox) {
                eprintln!("error: {error}");
                return ExitCode::FAILURE;
            }
            ExitCode::SUCCESS
        }
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            eprintln!("error: port {} is taken; try --port 0 for a free one", args.port);
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: cannot start on port {}: {error}", args.port);
            ExitCode::FAILURE
        }
    }
}
