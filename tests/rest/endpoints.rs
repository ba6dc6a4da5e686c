//! Compares the table of endpoints in the documentation with the API's reference and with the code.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::common::{Response, ScriptedServer, watchdog};
use crustocean::{
    Agent, Client, Error, HookKey, PersonalAccessToken, SessionToken,
    rest::{ClaimCode, HookClient, MetricsKey},
    webhook::WebhookEvent,
};
use serde_json::json;

const TABLE: &str = include_str!("../../src/rest/endpoints.md");

/// The index of the API's reference, row by row.
const REFERENCE: &[&str] = &[
    "POST /api/auth/register",
    "POST /api/auth/login",
    "POST /api/auth/agent",
    "GET /api/auth/me",
    "PATCH /api/auth/me",
    "POST /api/auth/logout",
    "POST /api/auth/change-password",
    "DELETE /api/auth/account",
    "POST /api/auth/tokens",
    "GET /api/auth/tokens",
    "DELETE /api/auth/tokens/{id}",
    "POST /api/bootstrap",
    "POST /api/agents/register",
    "GET /api/agents/claim/{code}",
    "POST /api/agents/claim",
    "GET /api/agents/claim/verify/{token}",
    "POST /api/agents",
    "GET /api/agents",
    "POST /api/agents/{id}/verify",
    "GET /api/agents/{id}/config",
    "PATCH /api/agents/{id}/config",
    "POST /api/agents/{id}/transfer",
    "DELETE /api/agents/{id}",
    "GET CRUSTOCEAN_CONFIG_URL",
    "GET /api/agencies",
    "POST /api/agencies",
    "PATCH /api/agencies/{id}",
    "DELETE /api/agencies/{id}",
    "GET /api/agencies/lookup/{slug}",
    "POST /api/agencies/{id}/join",
    "POST /api/agencies/{id}/leave",
    "GET /api/agencies/{id}/members",
    "GET /api/agencies/{id}/messages",
    "POST /api/agencies/{id}/invites",
    "POST /api/agencies/invite/redeem",
    "POST /api/agencies/{id}/agents",
    "GET /api/agencies/{id}/skills",
    "POST /api/agencies/{id}/skills",
    "GET /api/agencies/{id}/runs",
    "GET /api/runs/{runId}",
    "GET /api/dm",
    "POST /api/dm/{userId}",
    "GET /api/dm/{agencyId}/messages",
    "DELETE /api/dm/{agencyId}",
    "POST /api/dm/{agencyId}/purge",
    "GET /api/users/{username}",
    "POST /api/users/{username}/follow",
    "DELETE /api/users/{username}/follow",
    "GET /api/explore/agencies",
    "GET /api/explore/agents",
    "GET /api/explore/users",
    "GET /api/explore/webhooks",
    "GET /api/explore/wallet/{username}",
    "GET /api/explore/capabilities",
    "GET /api/commands",
    "GET /api/custom-commands/{agencyId}/commands",
    "POST /api/custom-commands/{agencyId}/commands",
    "PATCH /api/custom-commands/{agencyId}/commands/{commandId}",
    "DELETE /api/custom-commands/{agencyId}/commands/{commandId}",
    "POST /api/custom-commands/{agencyId}/commands/{commandId}/hook-key",
    "DELETE /api/custom-commands/{agencyId}/commands/{commandId}/hook-key",
    "GET /api/hooks/agencies",
    "GET /api/hooks/agencies/{id}/members",
    "POST /api/hooks/messages",
    "PATCH /api/hooks/messages/{id}",
    "GET /api/hooks/by-slug/{slug}",
    "GET /api/hooks/by-id/{hookId}",
    "PATCH /api/hooks/by-id/{hookId}",
    "POST /api/hooks/by-id/{hookId}/rotate-key",
    "DELETE /api/hooks/by-id/{hookId}/revoke-key",
    "GET /api/hooks/source",
    "PATCH /api/hooks/source",
    "PATCH /api/hooks/metadata",
    "POST /api/hooks/deploy",
    "GET /api/webhook-subscriptions/meta/events",
    "GET /api/webhook-subscriptions/{agencyId}",
    "POST /api/webhook-subscriptions/{agencyId}",
    "PATCH /api/webhook-subscriptions/{agencyId}/{subscriptionId}",
    "DELETE /api/webhook-subscriptions/{agencyId}/{subscriptionId}",
    "GET /api/wallet",
    "POST /api/wallet/register",
    "DELETE /api/wallet/register",
    "POST /api/wallet/payment",
    "GET /metrics",
    "GET JSON metrics snapshot",
];

/// The kind of client that has the method.
struct Clients {
    url: String,
    client: Client,
    hook: HookClient,
}

/// Errors are ignored: the server answers `{}` to everything.
type Call = Box<dyn FnOnce(&Clients) -> Option<Error>>;

fn address() -> String {
    format!("0x{}", "a".repeat(40))
}

fn hash() -> String {
    format!("0x{}", "1".repeat(64))
}

fn code() -> ClaimCode {
    "cru_claim_code".parse().unwrap()
}

/// A method as the table writes it, and a call of it. Ids are the placeholders of the reference.
fn calls() -> Vec<(&'static str, Call)> {
    macro_rules! call {
        ($text:literal, |$clients:ident| $call:expr) => {
            ($text, Box::new(|$clients: &Clients| $call.err()) as Call)
        };
    }
    vec![
        call!("Client::register(username, password)", |on| {
            Client::builder().api_url(&on.url).register("alice", "correct horse")
        }),
        call!("Client::login(username, password)", |on| {
            Client::builder().api_url(&on.url).login("alice", "correct horse")
        }),
        call!("Agent::connect(token)", |on| {
            Agent::builder().api_url(&on.url).connect("sk_1".parse().unwrap())
        }),
        call!("client.account().me()", |on| on.client.account().me()),
        call!("client.account().update()", |on| on.client.account().update().theme("dark").send()),
        call!("client.account().logout()", |on| on.client.account().logout()),
        call!("client.account().change_password(current, new)", |on| {
            on.client.account().change_password("correct horse", "battery staple")
        }),
        call!("client.account().delete_for_good()", |on| on.client.account().delete_for_good()),
        call!("client.tokens().create(name)", |on| on.client.tokens().create("ci").send()),
        call!("client.tokens().list()", |on| on.client.tokens().list()),
        call!("client.tokens().revoke(id)", |on| on.client.tokens().revoke(&"{id}".into())),
        call!("client.onboarding().bootstrap(username, password, agent_name)", |on| {
            on.client.onboarding().bootstrap("alice", "correct horse", "mybot").send()
        }),
        call!("client.onboarding().register_agent(name)", |on| {
            on.client.onboarding().register_agent("mybot").send()
        }),
        call!("client.onboarding().claim_lookup(code)", |on| on.client.onboarding().claim_lookup(&code())),
        call!("client.onboarding().claim(code, email)", |on| {
            on.client.onboarding().claim(&code(), "alice@example.com")
        }),
        call!("client.agents().create(name)", |on| on.client.agents().create("mybot").send()),
        call!("client.agents().list()", |on| on.client.agents().list()),
        call!("client.agents().verify(id)", |on| on.client.agents().verify(&"{id}".into())),
        call!("client.agents().config(id)", |on| on.client.agents().config(&"{id}".into())),
        call!("client.agents().config_in(id, agency)", |on| {
            on.client.agents().config_in(&"{id}".into(), &"ag-1".into())
        }),
        call!("client.agents().update_config(id)", |on| {
            on.client.agents().update_config(&"{id}".into()).role("x").send()
        }),
        call!("client.agents().transfer(id, to)", |on| on.client.agents().transfer(&"{id}".into(), "bob")),
        call!("client.agents().delete(id)", |on| on.client.agents().delete(&"{id}".into())),
        call!("Client::builder().hosted_config(url, token)", |on| {
            let url = format!("{}/CRUSTOCEAN_CONFIG_URL", on.url);
            Client::builder().hosted_config(&url, &"sk_1".parse().unwrap())
        }),
        call!("client.agencies().list()", |on| on.client.agencies().list()),
        call!("client.agencies().create(name)", |on| on.client.agencies().create("My Team").send()),
        call!("client.agencies().update(id)", |on| {
            on.client.agencies().update(&"{id}".into()).charter("x").send()
        }),
        call!("client.agencies().delete(id)", |on| on.client.agencies().delete(&"{id}".into())),
        call!("client.agencies().lookup(slug)", |on| on.client.agencies().lookup("{slug}")),
        call!("client.agencies().join(id)", |on| on.client.agencies().join(&"{id}".into())),
        call!("client.agencies().join_with_password(id, password)", |on| {
            on.client.agencies().join_with_password(&"{id}".into(), "sesame")
        }),
        call!("client.agencies().leave(id)", |on| on.client.agencies().leave(&"{id}".into())),
        call!("client.agencies().members(id)", |on| on.client.agencies().members(&"{id}".into())),
        call!("client.agencies().messages(id)", |on| on.client.agencies().messages(&"{id}".into()).send()),
        call!("client.agencies().invite(id)", |on| on.client.agencies().invite(&"{id}".into()).send()),
        call!("client.agencies().redeem_invite(code)", |on| on.client.agencies().redeem_invite("abc")),
        call!("client.agencies().add_agent(id, agent)", |on| {
            on.client.agencies().add_agent(&"{id}".into(), "mybot")
        }),
        call!("client.agencies().skills(id)", |on| on.client.agencies().skills(&"{id}".into())),
        call!("client.agencies().install_skill(id, name)", |on| {
            on.client.agencies().install_skill(&"{id}".into(), "dice")
        }),
        call!("client.runs().in_agency(id)", |on| on.client.runs().in_agency(&"{id}".into()).send()),
        call!("client.runs().get(id)", |on| on.client.runs().get(&"{runId}".into())),
        call!("client.dms().list()", |on| on.client.dms().list()),
        call!("client.dms().open(user)", |on| on.client.dms().open(&"{userId}".into())),
        call!("client.dms().messages(id)", |on| on.client.dms().messages(&"{agencyId}".into()).send()),
        call!("client.dms().hide(id)", |on| on.client.dms().hide(&"{agencyId}".into())),
        call!("client.dms().purge_for_good(id)", |on| on.client.dms().purge_for_good(&"{agencyId}".into())),
        call!("client.users().profile(username)", |on| on.client.users().profile("{username}")),
        call!("client.users().follow(username)", |on| on.client.users().follow("{username}")),
        call!("client.users().unfollow(username)", |on| on.client.users().unfollow("{username}")),
        call!("client.explore().agencies()", |on| on.client.explore().agencies().send()),
        call!("client.explore().agents()", |on| on.client.explore().agents().send()),
        call!("client.explore().users()", |on| on.client.explore().users().send()),
        call!("client.explore().webhooks()", |on| on.client.explore().webhooks().send()),
        call!("client.explore().wallet(username)", |on| on.client.explore().wallet("@{username}")),
        call!("client.explore().capabilities()", |on| on.client.explore().capabilities()),
        call!("client.explore().commands()", |on| on.client.explore().commands()),
        call!("client.commands(agency).list()", |on| on.client.commands(&"{agencyId}".into()).list()),
        call!("client.commands(agency).create(name, webhook_url)", |on| {
            on.client.commands(&"{agencyId}".into()).create("roll", "https://example.com").send()
        }),
        call!("client.commands(agency).update(id)", |on| {
            on.client.commands(&"{agencyId}".into()).update(&"{commandId}".into()).name("roll").send()
        }),
        call!("client.commands(agency).delete(id)", |on| {
            on.client.commands(&"{agencyId}".into()).delete(&"{commandId}".into())
        }),
        call!("client.commands(agency).hook_key(id)", |on| {
            on.client.commands(&"{agencyId}".into()).hook_key(&"{commandId}".into())
        }),
        call!("client.commands(agency).revoke_hook_key(id)", |on| {
            on.client.commands(&"{agencyId}".into()).revoke_hook_key(&"{commandId}".into())
        }),
        call!("hook.agencies()", |on| on.hook.agencies()),
        call!("hook.members(agency)", |on| on.hook.members(&"{id}".into())),
        call!("hook.post(agency, content)", |on| on.hook.post(&"ag-1".into(), "hi")),
        call!("hook.edit(message, content)", |on| on.hook.edit(&"{id}".into(), "hi")),
        call!("client.hooks().by_slug(slug)", |on| on.client.hooks().by_slug("{slug}")),
        call!("client.hooks().by_id(id)", |on| on.client.hooks().by_id(&"{hookId}".into())),
        call!("client.hooks().update(id)", |on| {
            on.client.hooks().update(&"{hookId}".into()).enabled(false).send()
        }),
        call!("client.hooks().rotate_key(id)", |on| on.client.hooks().rotate_key(&"{hookId}".into())),
        call!("client.hooks().revoke_key_for_good(id)", |on| {
            on.client.hooks().revoke_key_for_good(&"{hookId}".into())
        }),
        call!("client.hooks().source(webhook_url)", |on| on.client.hooks().source("https://example.com")),
        call!("client.hooks().update_source(webhook_url)", |on| {
            on.client.hooks().update_source("https://example.com").source_hash("00").send()
        }),
        call!("client.hooks().update_metadata(fields)", |on| {
            on.client.hooks().update_metadata(&serde_json::Map::new())
        }),
        call!("client.hooks().deploy(slug, code)", |on| {
            on.client.hooks().deploy("dice", "function handler() {}").command("roll", "Rolls").send()
        }),
        call!("client.webhook_event_types()", |on| on.client.webhook_event_types()),
        call!("client.webhooks(agency).list()", |on| on.client.webhooks(&"{agencyId}".into()).list()),
        call!("client.webhooks(agency).create(url, events)", |on| {
            on.client.webhooks(&"{agencyId}".into()).create("https://x", [WebhookEvent::MemberLeft]).send()
        }),
        call!("client.webhooks(agency).update(id)", |on| {
            on.client.webhooks(&"{agencyId}".into()).update(&"{subscriptionId}".into()).enabled(false).send()
        }),
        call!("client.webhooks(agency).delete(id)", |on| {
            on.client.webhooks(&"{agencyId}".into()).delete(&"{subscriptionId}".into())
        }),
        call!("client.wallet().info()", |on| on.client.wallet().info()),
        call!("client.wallet().register(address)", |on| on.client.wallet().register(&address())),
        call!("client.wallet().unregister()", |on| on.client.wallet().unregister()),
        call!("client.wallet().report_payment(tx_hash, agency, to, amount)", |on| {
            on.client.wallet().report_payment(hash(), &"ag-1".into(), "@bob", "5").send()
        }),
        call!("client.metrics(key)", |on| {
            on.client.metrics(Some(&"m3trics".parse::<MetricsKey>().unwrap()))
        }),
    ]
}

/// The endpoint and the methods of every row. A row without methods gives the reason instead.
fn table() -> Vec<(String, Vec<String>)> {
    let rows =
        TABLE.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |")?.split_once("` | "));
    rows.map(|(endpoint, methods)| {
        let methods = if methods.starts_with("none: ") {
            Vec::new()
        } else {
            methods.split("), [").map(linked).collect()
        };
        (endpoint.to_owned(), methods)
    })
    .collect()
}

/// The method in a link to its documentation. The link must lead there.
fn linked(link: &str) -> String {
    let (method, target) = link.trim_start_matches('[').split_once("`](").unwrap();
    let method = method.trim_matches('`');
    let name = target.trim_end_matches(')').rsplit("::").next().unwrap();
    let called = method.rsplit_once('(').unwrap().0.rsplit(['.', ':']).next().unwrap();
    assert_eq!(name, called, "{link}");
    method.to_owned()
}

#[test]
fn the_table_has_every_endpoint_of_the_reference() {
    let rows: Vec<String> = table().into_iter().map(|(endpoint, _)| endpoint).collect();
    assert_eq!(rows, REFERENCE);
    assert_eq!(rows.iter().collect::<BTreeSet<_>>().len(), rows.len(), "no row twice");
    let without: Vec<String> =
        table().into_iter().filter(|(_, methods)| methods.is_empty()).map(|(endpoint, _)| endpoint).collect();
    // The crate has no call for these: one is a link for a browser, and the other is not documented.
    assert_eq!(without, ["GET /api/agents/claim/verify/{token}", "GET JSON metrics snapshot"]);
}

#[test]
fn every_method_calls_the_endpoint_of_its_row() {
    let _watchdog = watchdog(Duration::from_secs(180));
    let server = ScriptedServer::start(|_| {});
    server.on_all(|_| Response::json(200, json!({})));
    let token: PersonalAccessToken = format!("cru_{}", "0".repeat(48)).parse().unwrap();
    let key: HookKey = "h00k".parse().unwrap();
    let clients = Clients {
        url: server.url(),
        client: Client::builder().api_url(server.url()).build(token).unwrap(),
        hook: HookClient::builder().api_url(server.url()).build(key).unwrap(),
    };

    // An agent also opens its socket.
    let api = || -> Vec<_> {
        server.requests().into_iter().filter(|request| !request.path.starts_with("/socket.io")).collect()
    };
    let mut called = Vec::new();
    for (method, call) in calls() {
        let before = api().len();
        let error = call(&clients);
        let requests = api();
        assert_eq!(requests.len(), before + 1, "{method} makes one request: {error:?}");
        let path = requests[before].path.replace("%7B", "{").replace("%7D", "}");
        let path = path.replace("cru_claim_code", "{code}").replace("/CRUSTOCEAN_", "CRUSTOCEAN_");
        called.push((format!("{} {path}", requests[before].method), method.to_owned()));
    }

    let in_table: BTreeSet<(String, String)> = table()
        .into_iter()
        .flat_map(|(endpoint, methods)| methods.into_iter().map(move |method| (endpoint.clone(), method)))
        .collect();
    let called: BTreeSet<(String, String)> = called.into_iter().collect();
    for row in &in_table {
        assert!(called.contains(row), "the table says {row:?}, the code does not");
    }
    for row in &called {
        assert!(in_table.contains(row), "the code does {row:?}, the table does not say so");
    }
}

#[test]
fn each_credential_goes_into_its_own_header() {
    let _watchdog = watchdog(Duration::from_secs(180));
    let server = ScriptedServer::start(|_| {});
    server.on_all(|_| Response::json(200, json!([])));
    let session: SessionToken = "5e5510n".parse().unwrap();
    let client = Client::builder().api_url(server.url()).build(session).unwrap();
    let hook = HookClient::builder().api_url(server.url()).build("h00k".parse().unwrap()).unwrap();
    client.agencies().list().unwrap();
    hook.agencies().unwrap();
    client.metrics(Some(&"m3trics".parse().unwrap())).unwrap();
    client.metrics(None).unwrap();
    Client::builder().api_url(server.url()).anonymous().unwrap().explore().agents().send().unwrap();
    let credentials: Vec<[Option<String>; 3]> = server
        .requests()
        .iter()
        .map(|request| {
            ["authorization", "x-crustocean-hook-key", "x-metrics-key"]
                .map(|name| request.header(name).map(str::to_owned))
        })
        .collect();
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        credentials,
        [
            [text("Bearer 5e5510n"), None, None],
            [None, text("h00k"), None],
            [None, None, text("m3trics")],
            [None, None, None],
            [None, None, None],
        ]
    );
    assert_eq!(format!("{hook:?}"), "HookClient { .. }");
}
