use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::*;
use crate::model::{List, Metadata, SenderType, Timestamp, UserId};

/// A struct with one field of each kind.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(remote = "Self")]
struct Sample {
    id: UserId,
    #[serde(rename(deserialize = "name|title"), default)]
    name: String,
    text: String,
    #[serde(default)]
    on: bool,
    count: Option<u64>,
    created_at: Option<Timestamp>,
    #[serde(default)]
    kind: SenderType,
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    list: List<String>,
    tree: Option<Value>,
    #[serde(default, deserialize_with = "map")]
    flags: Map<String, Value>,
}

lenient!(fast Sample);

fn member() -> impl Strategy<Value = (&'static str, String)> {
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let keys = [
        "id",
        "name",
        "Name",
        "title",
        "text",
        "on",
        "count",
        "created_at",
        "createdAt",
        "kind",
        "metadata",
        "list",
        "tree",
        "flags",
        "other",
        "\\ud83d",
    ];
    let values = [
        "null",
        "true",
        "1",
        "-2.5",
        "\"\"",
        "\"x\"",
        "\"7\"",
        "\"a\\nb\"",
        "\"\\ud83d\"",
        "[]",
        "[\"a\",null,{}]",
        "{\"a\":1}",
        "\"{\\\"a\\\":1}\"",
        "\"[1]\"",
        deep.as_str(),
    ];
    let values = values.map(str::to_owned);
    (0..keys.len(), 0..values.len()).prop_map(move |(key, value)| (keys[key], values[value].clone()))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 4000, ..ProptestConfig::default() })]

    /// Both ways return the same value, for any order of members and any odd values.
    #[test]
    fn both_ways_read_alike(members in proptest::collection::vec(member(), 0..8), usual in any::<bool>()) {
        let usual = if usual { "\"id\":\"u\",\"text\":\"t\"" } else { "\"other\":1" };
        let members = members.iter().map(|(key, value)| format!("\"{key}\":{value}"));
        let json = format!("{{{}}}", std::iter::once(usual.to_owned()).chain(members).collect::<Vec<_>>().join(","));
        let shown = |read: Result<Sample, ReadError>| read.map(|read| format!("{read:?}")).map_err(|error| error.to_string());
        let leniently = object(&json, |object| Sample::deserialize(object));
        prop_assert_eq!(shown(Sample::read_json(&json)), shown(leniently), "{}", json);
    }

    /// The order of the members has no effect, and a tree gives the same result as its text.
    #[test]
    fn all_ways_read_alike(
        members in proptest::collection::btree_map(0..9, member(), 0..8),
        usual in any::<bool>(),
    ) {
        let mut members: Vec<_> = members.into_values().collect();
        if usual {
            members.extend([("id", "\"u\"".to_owned()), ("text", "\"t\"".to_owned())]);
        }
        members.sort();
        members.dedup_by_key(|(key, _)| *key);
        let object = |members: &[(&str, String)]| {
            let members = members.iter().map(|(key, value)| format!("\"{key}\":{value}"));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        };
        let json = object(&members);
        members.reverse();
        let shown = |read: Result<Sample, String>| read.map(|read| format!("{read:?}"));
        let read = |json: &str| shown(Sample::read_json(json).map_err(|error| error.to_string()));
        prop_assert_eq!(read(&json), read(&object(&members)), "{}", json);
        if let Ok(tree) = serde_json::from_str::<Value>(&json) {
            let from_tree = shown(serde_json::from_value(tree).map_err(|error| error.to_string()));
            prop_assert_eq!(read(&json), from_tree, "{}", json);
        }
    }
}

#[test]
fn an_object_in_the_usual_form_takes_the_fast_path() {
    let strictly = |json: &str| fast(json, |object| Sample::deserialize(object)).is_ok();
    assert!(strictly(
        r#"{"text":"t","new":{},"id":"u","createdAt":null,"metadata":"{}","list":[],"flags":{}}"#
    ));
    for odd in [
        r#"{"id":"u","text":"t","Name":"x","title":"y"}"#,
        r#"{"id":"u","id":"v","text":"t"}"#,
        r#"{"id":"u","text":null}"#,
    ] {
        assert!(!strictly(odd) && object(odd, |object| Sample::deserialize(object)).is_ok(), "{odd}");
    }
}

#[test]
fn a_deviation_does_not_cost_the_object() {
    for (json, name) in [
        (r#"{"text":"t","new":{},"id":"u","createdAt":null,"metadata":"{}","list":[],"flags":{}}"#, ""),
        (r#"{"id":"u","text":"t","Name":"x","title":"y"}"#, "x"),
        (r#"{"id":"v","id":"u","text":"t","name":[]}"#, ""),
        (r#"{"id":"u","text":null,"title":7,"name":null,"count":"7x","created_at":[]}"#, "7"),
    ] {
        let read: Sample = serde_json::from_str(json).unwrap();
        assert_eq!((read.id.as_str(), read.name.as_str()), ("u", name), "{json}");
        assert_eq!((read.count, read.created_at), (None, None), "{json}");
    }
}
