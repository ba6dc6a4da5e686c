use serde::Deserialize;
use serde::de::value::{Error as OtherError, MapDeserializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::*;

api_struct! {
    /// One of everything.
    #[derive(Debug, Default, PartialEq)]
    struct Sample {
        /// Needed.
        name: String = required("name" | "Name" | "NAME"),
        /// A count.
        count: Option<u64> = optional("count"),
        /// A switch.
        on: bool = default("on"),
        /// A list.
        list: Vec<Inner> = default("list"),
        /// Anything.
        tree: Option<Value> = optional("tree"),
        /// Not from outside.
        here: bool = local(),
    }
    then |sample| if sample.name == "?" { Err("a better name") } else { Ok(()) }
}

api_struct! {
    /// Inside of it.
    #[derive(Debug, Default, PartialEq)]
    struct Inner {
        /// Needed, too.
        id: String = required("id"),
    }
}

const JSON: &str =
    r#"{"name":"a","count":3,"on":true,"list":[{"id":"x"},{"id":"y"}],"tree":[1],"here":true}"#;

fn sample() -> Sample {
    let list = ["x", "y"].map(|id| Inner { id: id.to_owned() }).into();
    Sample { name: "a".to_owned(), count: Some(3), on: true, list, tree: Some(json!([1])), here: false }
}

#[test]
fn any_source_will_do() {
    assert_eq!(from_str::<Sample>(JSON).unwrap(), sample());
    assert_eq!(serde_json::from_str::<Sample>(JSON).unwrap(), sample());
    assert_eq!(serde_json::from_slice::<Sample>(JSON.as_bytes()).unwrap(), sample());
    assert_eq!(serde_json::from_reader::<_, Sample>(JSON.as_bytes()).unwrap(), sample());
    let tree: Value = serde_json::from_str(JSON).unwrap();
    assert_eq!(from_map::<Sample>(tree.as_object().unwrap()).unwrap(), sample());
    assert_eq!(serde_json::from_value::<Sample>(tree).unwrap(), sample());
    let pairs = [("NAME", "b"), ("other", "c"), ("tree", "d")].into_iter();
    let other = Sample::deserialize(MapDeserializer::<_, OtherError>::new(pairs.clone())).unwrap();
    assert_eq!(other, Sample { name: "b".to_owned(), tree: Some(json!("d")), ..Sample::default() });
    let config =
        crate::model::AgentConfig::deserialize(MapDeserializer::<_, OtherError>::new(pairs)).unwrap();
    assert_eq!(config.get("tree"), Some(&json!("d")));
}

#[test]
fn the_first_spelling_wins_wherever_it_stands() {
    for json in [
        r#"{"name":"a","Name":"b","NAME":"c"}"#,
        r#"{"NAME":"c","Name":"b","name":"a"}"#,
        r#"{"Name":"b","name":"a","NAME":"c","name":null}"#,
        r#"{"name":null,"Name":"a","NAME":"c"}"#,
        r#"{"name":"c","name":"a"}"#,
        r#"{"name":"a","Name":7}"#,
    ] {
        let of = |sample: Sample| assert_eq!(sample.name, "a", "{json}");
        of(from_str(json).unwrap());
        // A tree knows each key once, and hands them out in another order.
        if json.matches("\"name\"").count() == 1 && !json.contains('7') {
            let tree: Value = serde_json::from_str(json).unwrap();
            of(from_map(tree.as_object().unwrap()).unwrap());
            of(serde_json::from_value(tree).unwrap());
        }
    }
}

#[test]
fn mistakes_say_what_and_where_and_quote_nothing() {
    for (json, error) in [
        ("{}", "missing field `name` at line 1 column 2"),
        ("{\n\"name\":\"?\"}", "missing field `a better name` at line 2 column 11"),
        (r#"{"name":null}"#, "missing field `name` at line 1 column 13"),
        ("{\"name\":\n 667}", "invalid type: a number, expected a string at line 2 column 4"),
        (r#"{"name":"a","on":"secret"}"#, "invalid type: a string, expected a boolean at line 1 column 25"),
        (r#"{"name":"a","count":-1}"#, "invalid type: a number, expected a count at line 1 column 22"),
        (r#"{"name":["secret"]}"#, "invalid type: a list, expected a string at line 1 column 9"),
        (r#"{"name":"a","list":[{"id":"secret"},{}]}"#, "missing field `id` at line 1 column 38"),
        (r#"{"name":"a","list":[null]}"#, "invalid type: null, expected a value at line 1 column 25"),
        (r#"["secret"]"#, "invalid type: a list, expected an object (Sample) at line 1 column 1"),
        ("null", "invalid type: null, expected a value"),
        (r#"{"name":"a"}x"#, "trailing characters at line 1 column 13"),
        (r#"{"name":"a""#, "EOF while parsing an object at line 1 column 11"),
    ] {
        assert_eq!(from_str::<Sample>(json).unwrap_err().to_string(), error, "{json}");
        assert_eq!(serde_json::from_str::<Sample>(json).unwrap_err().to_string(), error, "{json}");
    }
    let tree = json!({"name": "a", "list": [{"id": 7}]});
    let mistake = from_map::<Sample>(tree.as_object().unwrap()).unwrap_err();
    assert!(matches!(*mistake.0, read::Kind::Expected("a string")), "{mistake:?}");
    let error = serde_json::from_value::<Sample>(tree).unwrap_err().to_string();
    assert_eq!(error, "invalid type: a number, expected a string");
}

#[test]
fn what_is_not_asked_for_may_be_anything() {
    let deep = format!("{}{}", "[".repeat(300), "]".repeat(300));
    let json = format!(r#"{{"x":{deep},"name":"a","y":"\ud800","Name":{deep}}}"#);
    assert_eq!(from_str::<Sample>(&json).unwrap().name, "a");
    assert!(from_str::<Sample>(&format!(r#"{{"name":{deep}}}"#)).is_err());
}

payload! {
    #[derive(Debug, Clone)]
    struct Written<'a> {
        /// A borrowed one.
        name: &'a str = always("theName"),
        nothing: Option<u8> = always("nothing"),
        absent: Option<u8> = optional("absent"),
        present: Option<Vec<u8>> = optional("present"),
    }
}

payload! {
    struct Empty {
        absent: Option<u8> = optional("absent"),
    }
}

#[test]
fn writes_the_fields_in_their_order() {
    let written = Written { name: "a\"b", nothing: None, absent: None, present: Some(vec![1, 2]) };
    assert_eq!(
        serde_json::to_string(&written).unwrap(),
        r#"{"theName":"a\"b","nothing":null,"present":[1,2]}"#
    );
    assert_eq!(serde_json::to_string(&Empty { absent: None }).unwrap(), "{}");
    assert_eq!(serde_json::to_value(&Empty { absent: Some(1) }).unwrap(), serde_json::json!({"absent": 1}));
}

#[test]
fn picks_values_out_of_an_object() {
    let deep = format!("{}{}", "[".repeat(300), "]".repeat(300));
    let json = format!(r#"{{"a":1,"x":{deep},"\udfff":"\ud800","b":{{"a":2}},"a":"three"}}"#);
    let [a, b, c] = pick(&json, ["a", "b", "c"]).unwrap();
    assert_eq!(
        (text(a).as_deref(), b.unwrap().get(), c.map(RawValue::get)),
        (Some("three"), "{\"a\":2}", None)
    );
    assert_eq!((text(b), text(c)), (None, None));
    for json in ["", "[]", "7", "{\"a\":1", "{\"a\":1}x", "null"] {
        assert!(pick(json, ["a"]).is_err(), "{json}");
    }
}

#[test]
fn trees_are_what_serde_json_builds() {
    for json in [
        r#"{"a":[null,true,-1,2,2.5,1e300,18446744073709551615,"\u00e9"],"b":{"c":{}},"a b":[[]],"b":null}"#,
        "[]",
        "{}",
        "null",
        "\"x\"",
        "-0.0",
        "123456789012345678901234567890",
    ] {
        let tree: Value = serde_json::from_str(json).unwrap();
        assert_eq!(from_str::<Value>(json).unwrap(), tree, "{json}");
        let wrapped =
            Value::Object([("name".into(), "a".into()), ("tree".into(), tree.clone())].into_iter().collect());
        let sample: Sample = from_map(wrapped.as_object().unwrap()).unwrap();
        assert_eq!(sample.tree.unwrap_or_default(), tree, "{json}");
        assert_eq!(
            serde_json::from_value::<Sample>(wrapped).unwrap().tree.unwrap_or_default(),
            tree,
            "{json}"
        );
    }
    let deep = format!("{}{}", "[".repeat(300), "]".repeat(300));
    assert!(from_str::<Value>(&deep).unwrap_err().to_string().contains("recursion limit"));
    // As numbers come if some crate turns `arbitrary_precision` on.
    let number = from_str::<Value>(r#"{"x":{"$serde_json::private::Number":"1.50"}}"#).unwrap();
    assert_eq!(number["x"].as_f64(), Some(1.5));
}
