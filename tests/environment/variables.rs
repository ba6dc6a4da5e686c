//! Environment variables. Each case runs in a process of its own, because variables belong to a whole process.

use std::process::Command;
use std::time::Duration;

use crate::common::{TestSandbox, watchdog};
use crustocean::rest::HookClient;
use crustocean::{Agent, AgentToken, Client, Error, ErrorKind, PersonalAccessToken};

const CASE: &str = "CRUSTOCEAN_TEST_CASE";

/// Runs `case` of this test program with only these of our variables.
fn run(case: &str, variables: &[(&str, &str)]) {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "variables::in_the_child", "--nocapture"]).env(CASE, case);
    for name in ["CRUSTOCEAN_TOKEN", "AGENT_TOKEN", "CRUSTOCEAN_AGENT_TOKEN", "CRUSTOCEAN_API_URL"] {
        child.env_remove(name);
    }
    let output = child.envs(variables.iter().copied()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains(&format!("done: {case}")), "{case}: {said}");
}

fn refused(error: &Error, kind: ErrorKind, part: &str) {
    assert!(error.kind() == kind && error.to_string().contains(part), "{error:?}");
    assert!(!format!("{error:?}").contains("hush"), "{error:?}");
}

/// Does nothing unless the test below starts it.
#[test]
fn in_the_child() {
    let Ok(case) = std::env::var(CASE) else { return };
    match case.as_str() {
        "agent" => {
            let agent = Agent::from_env().unwrap();
            assert_eq!(agent.join("lobby").unwrap().id(), agent.rooms()[0].id());
        }
        "connect and join" => {
            let agent = Agent::connect_and_join(AgentToken::from_env().unwrap(), "lobby").unwrap();
            agent.post("hello").unwrap();
        }
        "client" => assert_eq!(Client::from_env().unwrap().account().me().unwrap().username, "alice"),
        "nothing" => {
            let names = "AGENT_TOKEN or CRUSTOCEAN_AGENT_TOKEN";
            refused(&Agent::from_env().unwrap_err(), ErrorKind::Config, names);
            refused(&Client::from_env().unwrap_err(), ErrorKind::Config, "CRUSTOCEAN_TOKEN");
        }
        "mixed up" => {
            let agent = AgentToken::from_env().unwrap_err();
            refused(&agent, ErrorKind::Invalid, "AGENT_TOKEN: this is a personal access token");
            let user = PersonalAccessToken::from_env().unwrap_err();
            refused(&user, ErrorKind::Invalid, "begins with \"cru_\"");
        }
        "not set by a program" => {
            refused(&AgentToken::from_env().unwrap_err(), ErrorKind::Invalid, "AGENT_TOKEN: the agent token");
            let user = PersonalAccessToken::from_env().unwrap_err();
            refused(&user, ErrorKind::Invalid, "CRUSTOCEAN_TOKEN: the personal access token");
        }
        "website" => {
            refused(&Client::anonymous().unwrap_err(), ErrorKind::Config, "https://api.crustocean.chat");
        }
        "empty URL" => {
            for error in [
                Client::anonymous().unwrap_err(),
                Client::from_env().unwrap_err(),
                Agent::from_env().unwrap_err(),
                HookClient::new("hk_hush".parse().unwrap()).unwrap_err(),
            ] {
                refused(&error, ErrorKind::Config, "CRUSTOCEAN_API_URL is empty: unset it");
            }
            // The builder's URL is used instead.
            Client::builder().api_url("http://127.0.0.1:1").anonymous().unwrap();
        }
        other => panic!("no case {other}"),
    }
    println!("done: {case}");
}

#[test]
fn tokens_and_the_url_come_from_the_environment() {
    let _watchdog = watchdog(Duration::from_secs(180));
    let sandbox = TestSandbox::new();
    let url = ("CRUSTOCEAN_API_URL", sandbox.url());
    let agent = sandbox.agent_token("larry");
    run("agent", &[url, ("AGENT_TOKEN", agent.expose())]);
    // The first of the two counts. An empty one counts as not set.
    run("agent", &[url, ("AGENT_TOKEN", agent.expose()), ("CRUSTOCEAN_AGENT_TOKEN", "sk_nobody")]);
    run("connect and join", &[url, ("AGENT_TOKEN", " "), ("CRUSTOCEAN_AGENT_TOKEN", agent.expose())]);
    run("client", &[url, ("CRUSTOCEAN_TOKEN", &sandbox.alice.token)]);
    run("nothing", &[url]);
    run("mixed up", &[url, ("AGENT_TOKEN", "cru_hush"), ("CRUSTOCEAN_TOKEN", "sk_hush")]);
    for word in ["null", "undefined", "\"sk_hush\""] {
        run("not set by a program", &[url, ("AGENT_TOKEN", word), ("CRUSTOCEAN_TOKEN", word)]);
    }
    for empty in ["", " ", "\t\n"] {
        let tokens = [("AGENT_TOKEN", "sk_hush"), ("CRUSTOCEAN_TOKEN", &*sandbox.alice.token)];
        run("empty URL", &[("CRUSTOCEAN_API_URL", empty), tokens[0], tokens[1]]);
    }
    run("website", &[("CRUSTOCEAN_API_URL", "https://crustocean.chat")]);
}
