//! Slash commands for moderation. The documentation says that moderators kick and ban and that owners promote, but does
//! not name the commands.

use crate::app::App;
use crate::error::{ApiError, ApiResult};
use crate::realtime::commands::Outcome;
use crate::realtime::commands::list::MODERATION;
use crate::realtime::emit;
use crate::realtime::notify;
use crate::store::agencies::{Agency, ROLES};

fn rank(agency: &Agency, account: &str) -> usize {
    let role = agency.role_of(account).unwrap_or("member");
    ROLES.iter().position(|known| *known == role).unwrap_or(ROLES.len())
}

/// Runs one of these commands. `None` for other commands.
pub(crate) fn run(app: &App, agency: &str, caller: &str, call: (&str, &str)) -> Option<Outcome> {
    let (name, _) = MODERATION.into_iter().find(|(name, _)| *name == call.0)?;
    let outcome = |ok, content| Outcome { ok, command: name.to_owned(), content, ..Outcome::default() };
    Some(match act(app, agency, caller, name, call.1) {
        Ok(said) => outcome(true, said),
        Err(refusal) => outcome(false, refusal.message),
    })
}

fn act(app: &App, agency: &str, caller: &str, command: &str, args: &str) -> ApiResult<String> {
    let mut words = args.split_whitespace();
    let username = words.next().ok_or_else(|| ApiError::bad_request(format!("Usage: /{command} @user")))?;
    let (target, username, said, event) = {
        let mut data = app.data();
        let account = data.accounts.find(username).ok_or_else(|| ApiError::not_found("User not found"))?;
        let (target, username) = (account.id.clone(), account.username.clone());
        let lobby = data.agencies.lobby_id() == agency;
        let agency = data.agencies.get_mut(agency).filter(|_| !lobby);
        let agency = agency.ok_or_else(|| ApiError::forbidden("Not in the Lobby"))?;
        let lowest = if matches!(command, "promote" | "demote") { 0 } else { 2 };
        let mine = rank(agency, caller);
        if mine > lowest || rank(agency, &target) <= mine {
            return Err(ApiError::forbidden("You may not do this"));
        }
        let (said, event) = change(agency, &target, command, words.next())?;
        (target, username, said, event)
    };
    if matches!(command, "kick" | "ban") {
        emit::leave_room(app, &target, agency);
    }
    emit::members_changed(app, agency);
    notify::notify_member(app, agency, event, &target, Some(caller));
    Ok(format!("@{username} {said}"))
}

/// Applies the command. Returns the text about the member, and the event.
fn change(
    agency: &mut Agency,
    target: &str,
    command: &str,
    role: Option<&str>,
) -> ApiResult<(String, &'static str)> {
    let not_member = || ApiError::bad_request("Not a member of this agency");
    let member = agency.members.iter_mut().find(|member| member.account == target);
    Ok(match command {
        "kick" => {
            member.ok_or_else(not_member)?;
            agency.remove_member(target);
            ("was kicked".to_owned(), "member.kicked")
        }
        "ban" => {
            agency.remove_member(target);
            agency.banned.insert(target.to_owned());
            ("was banned".to_owned(), "member.banned")
        }
        "unban" => {
            if !agency.banned.remove(target) {
                return Err(ApiError::bad_request("Not banned"));
            }
            ("may come back".to_owned(), "member.unbanned")
        }
        "promote" => {
            let wanted = role.unwrap_or("moderator");
            let role = ["admin", "moderator"].into_iter().find(|known| *known == wanted);
            let role =
                role.ok_or_else(|| ApiError::bad_request("Usage: /promote @user [admin|moderator]"))?;
            member.ok_or_else(not_member)?.role = role;
            (format!("is {role} now"), "member.promoted")
        }
        _ => {
            member.ok_or_else(not_member)?.role = "member";
            ("is a member now".to_owned(), "member.demoted")
        }
    })
}
