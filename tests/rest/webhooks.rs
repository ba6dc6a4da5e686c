//! The receiving side of webhooks, called by the sandbox over real HTTP.

use std::sync::mpsc;
use std::time::Duration;

use crate::common::{Request, Response, SOON, ScriptedServer, TestSandbox, wait_for_message, watchdog};
use crustocean::{
    Outgoing,
    model::{MessageType, SenderType},
    webhook::{
        HookCall, HookReply, PromptReply, PromptRequest, SIGNATURE_HEADER, WebhookDelivery, WebhookEvent,
        WebhookSecret,
    },
};

fn signature(request: &Request) -> &str {
    request.header(SIGNATURE_HEADER).unwrap_or_default()
}

#[test]
fn a_command_is_decoded_and_answered() {
    let _watchdog = watchdog(SOON * 3);
    let sandbox = TestSandbox::new();
    let (room, agent) = sandbox.shop("asker");
    let server = ScriptedServer::start(|_| {});
    let (tell, told) = mpsc::channel();
    let tell = std::sync::Mutex::new(tell);
    server.on("POST", "/hook", move |request| {
        let call = HookCall::from_json(&request.body).unwrap();
        let reply = match call.positional.first() {
            Some(coin) => HookReply::new(
                Outgoing::new(format!("{coin} is at 3000 {}", call.option("in").unwrap_or("USD")))
                    .kind(MessageType::Chat)
                    .with("skill", "prices"),
            )
            .sender("ticker", "The Ticker"),
            None => HookReply::error("Which coin?").ephemeral(true),
        };
        tell.lock().unwrap().send(call).unwrap();
        Response::text(reply.status(), reply.to_json()).header("Content-Type", "application/json")
    });
    let url = format!("{}/hook", server.url());
    sandbox.client().commands(&room).create("price", url).send().unwrap();

    let events = agent.events();
    agent.rooms()[0].command("/price ETH --in EUR --loud").visible().late(Duration::ZERO).send().unwrap();
    let message = wait_for_message(&events, "ETH is at 3000 EUR");
    assert_eq!(
        (message.sender_username.as_str(), message.sender_display_name.as_str()),
        ("ticker", "The Ticker")
    );
    assert_eq!((message.kind, message.metadata.get("skill")), (MessageType::Chat, Some("prices".into())));
    let call = told.recv_timeout(SOON).unwrap();
    assert_eq!((&call.agency_id, call.command.as_str()), (&room, "price"));
    assert_eq!(
        (call.raw_args.as_str(), call.positional.as_slice()),
        ("ETH --in EUR --loud", ["ETH".to_owned()].as_slice())
    );
    assert!(call.flag("loud") && !call.flag("quiet"));
    assert_eq!((call.creator.as_deref(), call.hook_target), (Some("@alice"), None));
    assert_eq!((call.sender.username.as_str(), call.sender.kind), ("asker", SenderType::Agent));
    assert_eq!(call.sender.user_id, agent.user().id);

    agent.rooms()[0].command("/price").visible().late(Duration::ZERO).send().unwrap();
    wait_for_message(&events, "Which coin?");
    agent.close().unwrap();
}

#[test]
fn a_delivery_is_verified_and_decoded() {
    let _watchdog = watchdog(SOON * 3);
    let sandbox = TestSandbox::new();
    let (room, agent) = sandbox.shop("speaker");
    let server = ScriptedServer::start(|_| {});
    let (tell, told) = mpsc::channel();
    let tell = std::sync::Mutex::new(tell);
    server.on("POST", "/events", move |request| {
        tell.lock().unwrap().send(request.clone()).unwrap();
        Response::text(204, "")
    });
    let secret = WebhookSecret::try_from("only we know").unwrap();
    let url = format!("{}/events", server.url());
    let events = [WebhookEvent::MessageCreated, WebhookEvent::AgencyUpdated];
    sandbox.client().webhooks(&room).create(url, events).secret(secret.clone()).send().unwrap();

    let said = agent.post(Outgoing::new("hello wörld").with("skill", "x")).unwrap().first;
    let request = told.recv_timeout(SOON).unwrap();
    let delivery = WebhookDelivery::from_signed(&request.body, signature(&request), &secret).unwrap();
    assert_eq!((delivery.event.clone(), &delivery.agency_id), (WebhookEvent::MessageCreated, &room));
    assert!(delivery.timestamp.as_ref().is_some_and(|time| time.to_system_time().is_some()));
    let message = delivery.message().unwrap();
    assert_eq!((&message.id, message.content.as_str()), (&said.id, "hello wörld"));
    assert_eq!(message.metadata.get("skill"), Some("x".into()));

    // One more byte, another secret, or no signature: the request is not genuine.
    let mut longer = request.body.clone();
    longer.push(b' ');
    for (body, signature, secret) in [
        (&longer, signature(&request), &secret),
        (&request.body, signature(&request), &WebhookSecret::try_from("only they know").unwrap()),
        (&request.body, "", &secret),
    ] {
        assert!(WebhookDelivery::from_signed(body, signature, secret).unwrap_err().is_auth());
    }

    sandbox.client().agencies().update(&room).charter("We sell").send().unwrap();
    let request = told.recv_timeout(SOON).unwrap();
    let delivery = WebhookDelivery::from_signed(&request.body, signature(&request), &secret).unwrap();
    assert_eq!((delivery.event.clone(), delivery.message().is_none()), (WebhookEvent::AgencyUpdated, true));
    agent.close().unwrap();
}

#[test]
fn an_agent_answers_by_webhook() {
    let _watchdog = watchdog(SOON * 3);
    let sandbox = TestSandbox::new();
    let listener = sandbox.in_lobby("listener");
    let owner = sandbox.client();
    let created = owner.agents().create("oracle").role("Oracle").send().unwrap();
    owner.agents().verify(&created.agent.id).unwrap();
    let server = ScriptedServer::start(|_| {});
    let secret = WebhookSecret::try_from("only we know").unwrap();
    let (tell, told) = mpsc::channel();
    let tell = std::sync::Mutex::new(tell);
    server.on("POST", "/oracle", {
        let (secret, token) = (secret.clone(), created.agent_token.clone());
        move |request| {
            let prompt = PromptRequest::from_signed(&request.body, signature(request), &secret).unwrap();
            let answer = PromptReply::new(format!("{} has spoken", prompt.agent.display_name)).sign(&token);
            tell.lock().unwrap().send(prompt).unwrap();
            Response::text(200, answer.body)
                .header("Content-Type", "application/json")
                .header(SIGNATURE_HEADER, &answer.signature)
        }
    });
    let config = owner.agents().update_config(&created.agent.id).personality("dry");
    let config = config.response_webhook_url(format!("{}/oracle", server.url()));
    config.response_webhook_secret(secret.expose()).send().unwrap();

    let events = listener.events();
    sandbox.alice_says("@oracle what will be?");
    let answer = wait_for_message(&events, "oracle has spoken");
    assert_eq!(answer.sender_id, created.agent.id.as_str());
    let prompt = told.recv_timeout(SOON).unwrap();
    assert_eq!((prompt.agent.id, prompt.agent.persona.as_deref()), (created.agent.id, Some("dry")));
    assert_eq!(prompt.agent.config.personality(), Some("dry"));
    assert!(prompt.agency_charter.is_some());
    listener.close().unwrap();
}
