//! Properties of the types that are read from the API: both spellings say the same, what is written is read again as
//! the same, and nothing a server adds is an error.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // Helpers of tests, too.

use std::fmt::Debug;

use crustocean::{
    Agency, AgencyListing, AgentInfo, AgentListing, Balances, Capabilities, ClaimableAgent, Conversation,
    CustomCommand, ExploreMetadata, Hook, HookSource, Invite, InvokePermission, Member, Message,
    MessageEdited, MessageType, Payment, PendingClaim, PersonalAccessTokenInfo, PlatformCommand,
    RegisteredWallet, Role, RunInfo, SenderType, Skill, Skills, Subscription, TranscriptEntry, User,
    UserListing, WalletAddress, WalletInfo, WebhookEvent,
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

/// Text as chat has it: any character, quotes and line breaks among them.
fn text() -> impl Strategy<Value = String> {
    proptest::collection::vec(any::<char>(), 1..12).prop_map(|chars| chars.into_iter().collect())
}

/// Where a value is one of several kinds.
fn value_of(kind: char) -> BoxedStrategy<Value> {
    match kind {
        's' => text().prop_map(Value::from).boxed(),
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

/// What is there is read, in both spellings alike, with keys nobody knows and `null` for what is absent.
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

/// And what is written is read as the same again.
fn round_trip<T: DeserializeOwned + Serialize + Debug>(object: &Map<String, Value>, optional: &str) {
    let first: T = reads_alike(object, optional);
    let written = serde_json::to_string(&first).unwrap();
    let second: T = serde_json::from_str(&written).unwrap_or_else(|error| panic!("{written}: {error}"));
    assert_eq!(format!("{first:?}"), format!("{second:?}"));
    assert_eq!(serde_json::to_string(&second).unwrap(), written);
    // Nothing that was sent is lost on the way: every value is in what is written, too.
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
    pending_claims: PendingClaim = "", "maskedEmail:s";
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    /// It carries a secret, so there is no writer.
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
    fn words_nobody_knows_survive(word in text()) {
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
    }
}
