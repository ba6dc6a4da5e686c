//! Properties of the API's types: both spellings decode to the same value, a written value decodes to itself, and unknown
//! fields are no error.

use std::fmt::Debug;

use crustocean::{
    AgencyId, AgentId, CommandId, HookId, Message, MessageId, RunId, SubscriptionId, TokenId, UserId,
    model::{
        Agency, AgencyJoined, AgencyListing, AgentConfig, AgentInfo, AgentListing, ApprovalMode, Balances,
        Bootstrapped, BootstrappedToken, BootstrappedUser, Capabilities, ClaimableAgent, Color, CommandReply,
        Conversation, CreatedAgent, CustomCommand, DeployedHook, ExploreMetadata, Hook, HookSource,
        HostedConfig, InterruptAction, Invitation, Invite, InvokePermission, LoopGuard, Member,
        MessageEdited, MessageType, Metadata, Network, NewAgent, Participant, Payment, PendingClaim,
        PersonalAccessTokenInfo, PlatformCommand, RegisteredAgent, RegisteredWallet, Role, RunInfo,
        SenderType, Skill, Skills, Span, Style, Subscription, Timestamp, TraceStatus, TraceStep,
        TranscriptEntry, User, UserListing, VerifiedAgent, WalletAddress, WalletInfo,
    },
    webhook::{
        HookCall, HookCaller, HookCommand, PromptPermission, PromptRequest, PromptedAgent, WebhookDelivery,
        WebhookEvent, WebhookEventType,
    },
};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

fn snake(key: &str) -> String {
    let parts = key.chars().map(|c| match c.is_ascii_uppercase() {
        true => format!("_{}", c.to_ascii_lowercase()),
        false => c.to_string(),
    });
    parts.collect()
}

fn camel(key: &str) -> String {
    let mut parts = key.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let (head, tail) = part.split_at(1.min(part.len()));
        text + &head.to_ascii_uppercase() + tail
    })
}

fn spelled(object: &Map<String, Value>, key: fn(&str) -> String) -> Map<String, Value> {
    object.iter().map(|(name, value)| (key(name), value.clone())).collect()
}

/// Any text, including quotes and line breaks.
fn text() -> impl Strategy<Value = String> {
    proptest::collection::vec(any::<char>(), 1..12).prop_map(|chars| chars.into_iter().collect())
}

/// A value of this kind.
fn value_of(kind: char) -> BoxedStrategy<Value> {
    match kind {
        's' => text().prop_map(Value::from).boxed(),
        // A credential: any text that fits into a header.
        'k' => "[!-~]{1,60}".prop_map(Value::from).boxed(),
        'w' => "[a-z0-9]{1,12}".prop_map(Value::from).boxed(),
        'b' => any::<bool>().prop_map(Value::from).boxed(),
        'n' => any::<u64>().prop_map(Value::from).boxed(),
        't' => (0_u64..4_000, 1_u32..13, 1_u32..29, 0_u32..1000)
            .prop_map(|(y, m, d, ms)| Value::from(format!("{y:04}-{m:02}-{d:02}T01:02:03.{ms:03}Z")))
            .boxed(),
        'l' => proptest::collection::vec(text(), 0..4).prop_map(Value::from).boxed(),
        'o' => (text(), any::<i32>()).prop_map(|(key, n)| json!({key: [n, null]})).boxed(),
        other => panic!("no kind {other}"),
    }
}

/// Objects with the fields of `required`, and some of `optional`: `name:kind`, separated by blanks.
fn objects(required: &'static str, optional: &'static str) -> BoxedStrategy<Map<String, Value>> {
    let mut object = Just(Map::new()).boxed();
    for (fields, always) in [(required, true), (optional, false)] {
        for field in fields.split_whitespace() {
            let (name, kind) = field.split_once(':').unwrap();
            let there = if always { Just(true).boxed() } else { any::<bool>().boxed() };
            object = (object, there, value_of(kind.chars().next().unwrap()))
                .prop_map(move |(mut object, there, value)| {
                    if there {
                        object.insert(name.to_owned(), value);
                    }
                    object
                })
                .boxed();
        }
    }
    object
}

fn read<T: DeserializeOwned>(object: &Map<String, Value>) -> T {
    let json = serde_json::to_string(object).unwrap();
    serde_json::from_str(&json).unwrap_or_else(|error| panic!("{json}: {error}"))
}

/// Decodes an object in both spellings, with unknown keys, and with `null` for absent fields. All must be equal.
fn reads_alike<T: DeserializeOwned + Debug>(object: &Map<String, Value>, optional: &str) -> T {
    let first: T = read(object);
    let mut odd = object.clone();
    odd.insert("somethingNew".to_owned(), json!({"deep": [[{}], null, 1e300]}));
    for field in optional.split_whitespace() {
        let (name, _) = field.split_once(':').unwrap();
        odd.entry(name).or_insert(Value::Null);
    }
    for object in [spelled(object, snake), spelled(object, camel), odd] {
        let other: T = read(&object);
        assert_eq!(format!("{first:?}"), format!("{other:?}"), "{object:?}");
    }
    first
}

/// Does the same for responses with a credential. They cannot be serialized, and `Debug` does not show the credential.
fn reads_secret<T: DeserializeOwned + Debug>(object: &Map<String, Value>, optional: &str, secret: &str) -> T {
    let read: T = reads_alike(object, optional);
    if let Some(secret) = object.get(secret).and_then(Value::as_str).filter(|secret| secret.len() > 16) {
        assert!(!format!("{read:?}").contains(&format!("{secret:?}")), "{secret} in {read:?}");
    }
    read
}

/// Does the same. A value that was written must also decode to itself.
fn round_trip<T: DeserializeOwned + Serialize + Debug>(object: &Map<String, Value>, optional: &str) {
    let first: T = reads_alike(object, optional);
    let written = serde_json::to_string(&first).unwrap();
    let second: T = serde_json::from_str(&written).unwrap_or_else(|error| panic!("{written}: {error}"));
    assert_eq!(format!("{first:?}"), format!("{second:?}"));
    assert_eq!(serde_json::to_string(&second).unwrap(), written);
    // The written object has all values that were sent.
    let written: Map<String, Value> = serde_json::from_str(&written).unwrap();
    for (name, value) in object {
        let found = [name.clone(), snake(name), camel(name)].iter().find_map(|key| written.get(key).cloned());
        assert_eq!(found.as_ref(), Some(value), "{name} in {written:?}");
    }
}

macro_rules! round_trips {
    ($($name:ident: $type:ty = $required:literal, $optional:literal;)+) => {
        proptest! {
            #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]
            $(
                #[test]
                fn $name(object in objects($required, $optional)) {
                    round_trip::<$type>(&object, $optional);
                }
            )+
        }
    };
}

round_trips! {
    agencies: Agency = "id:s name:s", "slug:s charter:s is_private:b isMember:b member_count:n owner_id:s created_at:t";
    members: Member = "id:s username:s displayName:s", "type:s role:s";
    users: User = "id:s username:s displayName:s",
        "type:s description:s persona:s role:s avatar:s banner:s theme:s font:s follower_count:n following_count:n createdAt:t";
    agents: AgentInfo = "id:s username:s displayName:s", "role:s personality:s verified:b status:s owner_id:s created_at:t";
    messages: Message = "id:s agency_id:s content:s created_at:t sender_username:s sender_display_name:s",
        "type:s metadata:o edited_at:t sender_id:s sender_type:s dm:b";
    edits: MessageEdited = "messageId:s content:s", "agencyId:s metadata:o edited_at:t";
    tokens: PersonalAccessTokenInfo = "id:s name:s", "prefix:s scopes:l created_at:t expires_at:t last_used_at:t";
    invites: Invite = "code:s", "maxUses:n expires_at:t";
    skill: Skill = "name:s", "description:s";
    runs: RunInfo = "id:s agent_username:s", "status:s started_at:t duration:s summary:s error:s";
    agency_listings: AgencyListing = "slug:s name:s", "id:s charter:s member_count:n isMember:b";
    agent_listings: AgentListing = "username:s display_name:s", "role:s verified:b agencySlug:s";
    user_listings: UserListing = "username:s displayName:s", "id:s type:s";
    platform_commands: PlatformCommand = "name:s", "description:s type:s";
    capabilities: Capabilities = "wallets:b x402:b hookTransparency:b", "network:s token:s";
    wallets: WalletInfo = "hasWallet:b", "address:s network:s explorer:s spendingConfig:o invalid:b";
    balances: Balances = "", "usdc:s eth:s";
    registered_wallets: RegisteredWallet = "address:s", "network:s explorer:s";
    addresses: WalletAddress = "username:s", "address:s";
    payments: Payment = "txHash:s", "messageId:s verified:b explorerUrl:s";
    explore_metadata: ExploreMetadata = "",
        "slug:s at_name:s creator:s display_name:s description:s default_invoke_permission:s";
    commands: CustomCommand = "id:s name:s",
        "description:s webhook_url:s agency_id:s invoke_permission:s invoke_whitelist:l created_at:t";
    hooks: Hook = "", "id:s slug:s name:s at_name:s description:s creator:s webhook_url:s default_invoke_permission:s \
        enabled:b source_url:s source_hash:s verified:b schema:o source_code:s created_at:t updated_at:t";
    hook_sources: HookSource = "webhook_url:s", "source_url:s source_hash:s verified:b schema:o";
    claimable_agents: ClaimableAgent = "username:s displayName:s", "persona:s avatarUrl:s";
    hosted_configurations: HostedConfig = "", "soul_md:s config_yaml:s";
    pending_claims: PendingClaim = "", "maskedEmail:s";
    participants: Participant = "username:s", "id:s displayName:s type:s";
    hook_callers: HookCaller = "username:s displayName:s", "userId:s type:s";
    answers_of_commands: CommandReply = "ok:b command:w content:w",
        "type:s ephemeral:b queued:b messageId:s metadata:o";
    spans: Span = "text:s", "color:s";
    styles: Style = "", "sender_color:s content_color:s";
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    /// Serialising a subscription omits its secret, so the written value does not decode to an equal one.
    #[test]
    fn subscriptions(object in objects("id:s url:s events:l", "agencyId:s description:s secret:s created_at:t updated_at:t")) {
        let read: Subscription = reads_alike(&object, "agencyId:s description:s secret:s created_at:t updated_at:t");
        let events: Vec<Value> = read.events.iter().map(|event| Value::from(event.as_str())).collect();
        prop_assert_eq!(Value::from(events), object["events"].clone());
        prop_assert_eq!(read.secret.as_ref().map(|secret| secret.expose()), object.get("secret").and_then(Value::as_str));
    }

    #[test]
    fn conversations(object in objects("id:s username:s displayName:s", "type:s"), room in text()) {
        let whole = json!({"agencyId": room, "participant": object});
        round_trip::<Conversation>(whole.as_object().unwrap(), "");
    }

    #[test]
    fn lists_of_skills(installed in proptest::collection::vec(objects("name:s", "description:s"), 0..3)) {
        let whole = json!({"installed": installed, "available": installed});
        round_trip::<Skills>(whole.as_object().unwrap(), "");
    }

    #[test]
    fn transcripts_are_kept_as_they_came(entry in objects("type:s", "ts:n toolCallId:s own:o")) {
        let read: TranscriptEntry = read(&entry);
        prop_assert_eq!(read.kind(), entry["type"].as_str().unwrap());
        prop_assert_eq!(serde_json::to_value(&read).unwrap(), Value::Object(entry));
        let _ = read.step();
    }

    #[test]
    fn agents_that_come_with_a_token(
        agent in objects("id:s username:s displayName:s", "role:s verified:b"),
        token in value_of('k'),
    ) {
        let whole = json!({"agent": agent, "agentToken": token});
        let created: CreatedAgent = reads_secret(whole.as_object().unwrap(), "", "agentToken");
        prop_assert_eq!(Some(created.agent_token.expose()), token.as_str());
        prop_assert_eq!(created.agent.id.as_str(), agent["id"].as_str().unwrap());
    }

    #[test]
    fn agents_that_were_verified(object in objects("", "agentToken:k ok:b")) {
        let read: VerifiedAgent = reads_secret(&object, "agentToken:k", "agentToken");
        prop_assert_eq!(read.agent_token.as_ref().map(|token| token.expose()), object.get("agentToken").and_then(Value::as_str));
    }

    #[test]
    fn new_agents(object in objects("id:s username:s displayName:s token:k", "verified:b")) {
        let read: NewAgent = reads_secret(&object, "verified:b", "token");
        prop_assert_eq!(Some(read.token.expose()), object["token"].as_str());
    }

    #[test]
    fn new_accounts(object in objects("id:s username:s token:k", "")) {
        let read: BootstrappedUser = reads_secret(&object, "", "token");
        prop_assert_eq!(Some(read.token.expose()), object["token"].as_str());
    }

    #[test]
    fn tokens_of_new_accounts(object in objects("token:k", "expiresAt:t")) {
        let read: BootstrappedToken = reads_secret(&object, "expiresAt:t", "token");
        prop_assert_eq!(Some(read.token.expose()), object["token"].as_str());
        prop_assert_eq!(read.expires_at.as_ref().map(|time| time.as_str()), object.get("expiresAt").and_then(Value::as_str));
    }

    #[test]
    fn everything_at_once(
        user in objects("id:s username:s token:k", ""),
        pat in objects("token:k", "expiresAt:t"),
        agency in objects("id:s name:s slug:s", ""),
        agent in objects("id:s username:s displayName:s token:k", "verified:b"),
    ) {
        let whole = json!({"ok": true, "user": user, "pat": pat, "agency": agency, "agent": agent, "next": {}});
        let read: Bootstrapped = reads_alike(whole.as_object().unwrap(), "");
        prop_assert_eq!(read.agency.slug.as_str(), agency["slug"].as_str().unwrap());
        let whole = json!({"ok": true, "agent": agent, "agency": agency, "claimCode": "cru_claim_1", "claimUrl": "https://x"});
        let read: RegisteredAgent = reads_alike(whole.as_object().unwrap(), "important:s");
        prop_assert_eq!((read.claim_code.expose(), read.agent.id.as_str()), ("cru_claim_1", agent["id"].as_str().unwrap()));
    }

    #[test]
    fn deployed_hooks(object in objects(
        "hook_id:s slug:s commands:l",
        "source_type:s source_hash:s verified:b installed_in:s installed_commands:l hook_key:k",
    )) {
        let optional = "source_type:s source_hash:s verified:b installed_in:s installed_commands:l hook_key:k";
        let read: DeployedHook = reads_secret(&object, optional, "hook_key");
        prop_assert_eq!(read.hook_key.as_ref().map(|key| key.expose()), object.get("hook_key").and_then(Value::as_str));
        prop_assert_eq!(Value::from(read.commands.as_slice()), object["commands"].clone());
    }

    #[test]
    fn commands_of_hooks(object in objects("name:s", "description:s")) {
        let command: HookCommand = reads_alike(&object, "description:s");
        prop_assert_eq!(serde_json::to_value(&command).unwrap(), Value::Object(object.clone()));
        // The name alone has the same meaning.
        let name: HookCommand = serde_json::from_value(object["name"].clone()).unwrap();
        prop_assert_eq!((name.name, name.description), (command.name, None));
    }

    #[test]
    fn types_of_events(object in objects("name:s", "description:s")) {
        let read: WebhookEventType = reads_alike(&object, "description:s");
        prop_assert_eq!(Some(read.event.as_str()), object["name"].as_str());
        let name: WebhookEventType = serde_json::from_value(object["name"].clone()).unwrap();
        prop_assert_eq!(name.event, read.event);
    }

    #[test]
    fn configurations_are_kept_as_they_came(object in objects("", "role:s own:o prompt_whitelist:l wallet_spend_limit_daily:n")) {
        let config: AgentConfig = read(&object);
        prop_assert_eq!(config.as_map(), &object);
        prop_assert_eq!(config.role(), object.get("role").and_then(Value::as_str));
    }

    #[test]
    fn metadata_is_kept_as_an_object_and_as_text(object in objects("", "skill:s trace:l style:o heartbeat:b")) {
        let json = serde_json::to_string(&object).unwrap();
        for form in [json.clone(), serde_json::to_string(&json).unwrap()] {
            let read: Metadata = serde_json::from_str(&form).unwrap();
            let map = read.to_map().unwrap_or_default();
            prop_assert_eq!(&map, &object);
            prop_assert_eq!(read.get("skill"), object.get("skill").cloned());
            let again: Metadata = serde_json::from_str(&serde_json::to_string(&read).unwrap()).unwrap();
            prop_assert_eq!(again.to_map().unwrap_or_default(), object.clone());
        }
    }

    #[test]
    fn loop_guards(id in text(), hop in any::<u32>(), max_hops in any::<u32>(), status in text()) {
        let guard = json!({"interaction_id": id, "hop": hop, "max_hops": max_hops, "status": status});
        let text = json!({ "loop_guard": guard }).to_string();
        for form in [text.clone(), serde_json::to_string(&text).unwrap()] {
            let metadata: Metadata = serde_json::from_str(&form).unwrap();
            let read: LoopGuard = metadata.loop_guard().unwrap();
            prop_assert_eq!((read.hop, serde_json::to_value(&read).unwrap()), (hop, guard.clone()));
        }
    }

    #[test]
    fn steps_of_a_trace(step in text(), ms in any::<u32>(), status in text(), detail in text()) {
        let whole = json!({"step": step, "duration": format!("{ms}ms"), "status": status, "detail": detail});
        let read: TraceStep = serde_json::from_value(whole.clone()).unwrap();
        prop_assert_eq!(read.duration, Some(std::time::Duration::from_millis(ms.into())));
        prop_assert_eq!(serde_json::to_value(&read).unwrap(), whole);
    }

    #[test]
    fn rooms_that_were_joined(member in objects("id:s username:s displayName:s", "role:s"), room in text()) {
        let whole = json!({"agencyId": room, "members": [member, 7, {"no": "member"}]});
        let read: AgencyJoined = reads_alike(whole.as_object().unwrap(), "");
        prop_assert_eq!((read.agency_id.as_str(), read.members.len()), (room.as_str(), 1));
    }

    #[test]
    fn invitations(agency in objects("id:s name:s slug:s", "charter:s isMember:b")) {
        for whole in [json!({"agency": agency}), json!({"agencyId": agency["id"], "agency": agency})] {
            let read: Invitation = reads_alike(whole.as_object().unwrap(), "");
            prop_assert_eq!(Some(read.agency_id.as_str()), agency["id"].as_str());
            prop_assert_eq!(Some(read.agency.as_ref().unwrap().slug.as_str()), agency["slug"].as_str());
        }
    }

    #[test]
    fn calls_of_hooks(
        call in objects("agencyId:s command:s", "rawArgs:s positional:l flags:o creator:s hook_target:s"),
        sender in objects("username:s displayName:s userId:s type:s", ""),
    ) {
        let mut whole = call;
        whole.insert("sender".to_owned(), sender.into());
        round_trip::<HookCall>(&whole, "rawArgs:s positional:l flags:o creator:s hook_target:s");
    }

    #[test]
    fn deliveries(delivery in objects("event:s agencyId:s", "timestamp:t more:o"), message in objects("id:s content:s", "type:s metadata:o created_at:t")) {
        let mut whole = delivery;
        whole.insert("message".to_owned(), message.clone().into());
        let delivered: WebhookDelivery = read(&whole);
        prop_assert_eq!(&delivered.fields, &whole);
        prop_assert_eq!(serde_json::to_value(&delivered).unwrap(), Value::Object(whole.clone()));
        let inner = delivered.message().unwrap();
        prop_assert_eq!((Some(inner.id.as_str()), Some(inner.agency_id.as_str())), (message["id"].as_str(), whole["agencyId"].as_str()));
        for spelling in [snake, camel] {
            let other: WebhookDelivery = read(&spelled(&whole, spelling));
            prop_assert_eq!((&other.event, &other.agency_id, &other.timestamp), (&delivered.event, &delivered.agency_id, &delivered.timestamp));
        }
    }

    #[test]
    fn prompts(agent in objects("id:s username:s displayName:s", "persona:s config:o"), charter in text()) {
        let read: PromptedAgent = reads_alike(&agent, "persona:s config:o");
        let whole = json!({"agent": agent, "agencyCharter": charter, "own": [1]});
        let prompt: PromptRequest = serde_json::from_value(whole.clone()).unwrap();
        prop_assert_eq!((&prompt.agent.id, prompt.agency_charter.as_deref()), (&read.id, Some(charter.as_str())));
        prop_assert_eq!(Value::Object(prompt.fields), whole);
    }

    #[test]
    fn times_are_kept_as_they_came(time in value_of('t'), word in text()) {
        for text in [time.as_str().unwrap(), &word] {
            let read: Timestamp = serde_json::from_value(text.into()).unwrap();
            prop_assert_eq!((read.as_str(), serde_json::to_value(&read).unwrap()), (text, text.into()));
        }
        let moment = Timestamp::from(time.as_str().unwrap()).to_system_time();
        prop_assert!(moment.is_some());
    }

    #[test]
    fn ids_are_kept_as_they_came(word in text(), number in any::<u64>()) {
        fn kept<T: Serialize + DeserializeOwned + PartialEq + Debug + for<'t> From<&'t str>>(word: &str, number: u64) {
            let read: T = serde_json::from_value(Value::from(word)).unwrap();
            assert_eq!((&read, &serde_json::to_value(&read).unwrap()), (&T::from(word), &Value::from(word)));
            let read: T = serde_json::from_value(Value::from(number)).unwrap();
            assert_eq!(read, T::from(number.to_string().as_str()));
        }
        kept::<UserId>(&word, number);
        kept::<AgentId>(&word, number);
        kept::<AgencyId>(&word, number);
        kept::<MessageId>(&word, number);
        kept::<CommandId>(&word, number);
        kept::<HookId>(&word, number);
        kept::<SubscriptionId>(&word, number);
        kept::<TokenId>(&word, number);
        kept::<RunId>(&word, number);
    }

    #[test]
    fn unknown_values_are_kept(word in text()) {
        fn survives<T: Serialize + DeserializeOwned + PartialEq + Debug>(word: &str) {
            let read: T = serde_json::from_value(Value::from(word)).unwrap();
            let written = serde_json::to_value(&read).unwrap();
            assert_eq!(&written, word);
            assert_eq!(serde_json::from_value::<T>(written).unwrap(), read);
        }
        survives::<WebhookEvent>(&word);
        survives::<InvokePermission>(&word);
        survives::<Role>(&word);
        survives::<MessageType>(&word);
        survives::<SenderType>(&word);
        survives::<Network>(&word);
        survives::<PromptPermission>(&word);
        survives::<ApprovalMode>(&word);
        survives::<Color>(&word);
        survives::<TraceStatus>(&word);
        survives::<InterruptAction>(&word);
    }
}
