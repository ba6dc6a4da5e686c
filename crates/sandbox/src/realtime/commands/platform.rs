//! Some of the platform's slash commands, and two of the sandbox's own.

use std::time::Duration;

use crate::ids;
use crate::realtime::commands::Outcome;
use crate::realtime::commands::list::all;

/// Runs a command. `None` for the command that never answers.
pub(crate) fn run(name: &str, args: &str, members: &[String]) -> Option<Outcome> {
    let done =
        |content: String| Outcome { ok: true, command: name.to_owned(), content, ..Outcome::default() };
    let failed = |content: String| Outcome { ok: false, ..done(content) };
    Some(match name {
        "hang" => return None,
        "help" => {
            // Hermes parses lines of the form `/name — description`.
            let line = |(name, what): (&str, &str)| {
                let what = what.strip_prefix(&format!("/{name} ")).unwrap_or(what);
                format!("/{name} — {what}")
            };
            let lines: Vec<String> = all().map(line).collect();
            Outcome { ephemeral: true, ..done(lines.join("\n")) }
        }
        "echo" if args.is_empty() => failed("Usage: /echo <text>".to_owned()),
        "echo" => done(args.to_owned()),
        "roll" => roll(args).map_or_else(|| failed("Usage: /roll [count]d[sides]".to_owned()), done),
        // Hermes parses one member per line, with `[agent]` after agents.
        "who" => done(format!("Members ({}):\n{}", members.len(), members.join("\n"))),
        "slow" => match args.split_once(' ').and_then(|(ms, text)| Some((ms.parse::<u64>().ok()?, text))) {
            Some((ms, text)) => {
                let delay = Duration::from_millis(ms.min(60_000));
                Outcome { later: Some((delay, text.to_owned())), ..done("[spinner:Working]".to_owned()) }
            }
            None => failed("Usage: /slow <milliseconds> <text>".to_owned()),
        },
        _ => failed(format!("Unknown command: /{name}")),
    })
}

fn roll(args: &str) -> Option<String> {
    let (count, sides) = if args.is_empty() { ("1", "6") } else { args.split_once(['d', 'D'])? };
    let count: usize = if count.is_empty() { 1 } else { count.parse().ok()? };
    let sides: u32 = sides.parse().ok()?;
    if !(1..=100).contains(&count) || !(2..=1_000).contains(&sides) {
        return None;
    }
    let rolls: Vec<u32> = (0..count).map(|_| u32::from_be_bytes(ids::random::<4>()) % sides + 1).collect();
    let shown: Vec<String> = rolls.iter().map(u32::to_string).collect();
    Some(format!("Rolled {count}d{sides}: {} = {}", shown.join(" + "), rolls.iter().sum::<u32>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dice_stay_within_their_sides() {
        for _ in 0..50 {
            let said = roll("2d6").unwrap();
            let sum: u32 = said.rsplit(' ').next().unwrap().parse().unwrap();
            assert!((2..=12).contains(&sum), "{said}");
        }
        assert!(roll("0d6").is_none() && roll("x").is_none() && roll("1d1").is_none());
    }
}
