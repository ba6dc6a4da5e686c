use proptest::prelude::*;

use super::*;

const USUAL: &str = r#"{"id":"m1","agencyId":"a1","content":"größe \"x\"\n\t\r\/\b\f\\🦀","sender_id":"u1","sender_username":"alice","sender_display_name":"Al\u00efce","sender_type":"agent","type":"action","metadata":{"a":[1,{"b":"}"}]},"created_at":"2026-03-05T10:00:00.000Z","edited_at":"2026-03-05T10:00:01.000Z","dm":true}"#;

/// What the two readers make of it. Where the quick one reads anything, it is the same.
fn both(json: &str) -> (Option<String>, Option<String>) {
    let text = |message: Message| format!("{message:?}");
    (message(json).map(text), serde_json::from_str(json).ok().map(text))
}

#[test]
fn reads_what_servers_write() {
    for json in [
        USUAL,
        r#"{"id":"m","agency_id":"a","content":"","created_at":"x"}"#,
        r#"{"id":"m","agency_id":"a","content":"","created_at":"x","username":"bob","senderDisplayName":""}"#,
        r#"{"new":{"a":[null,"\u00e9",{},[]]},"id":"m","agency_id":"a","n":-1.5e3,"content":"é","created_at":"x","edited_at":null,"b":false}"#,
        r#"{"id":"m","agencyId":"a","agency_id":null,"content":"c","created_at":"x","metadata":"{\"a\":1}","type":"poll"}"#,
    ] {
        let (plain, any) = both(json);
        assert!(plain.is_some() && plain == any, "{json}: {plain:?} {any:?}");
    }
}

#[test]
fn reads_the_first_of_several_values() {
    let values = format!("{USUAL},\"offset\"");
    assert_eq!(format!("{:?}", message(&values)), format!("{:?}", message(USUAL)));
    assert!(message(USUAL).is_some() && message(&format!("{USUAL} ,1")).is_none());
    assert!(message(&format!("{USUAL}{USUAL}")).is_none());
}

#[test]
fn leaves_the_rest_to_the_other_reader() {
    let with = |more: &str| format!(r#"{{"id":"m","agency_id":"a","content":"","created_at":"x"{more}}}"#);
    assert!(message(&with("")).is_some());
    for more in [
        " ",
        ",",
        r#", "dm":true"#,
        r#","agencyId":"b""#,
        r#","id":"m""#,
        r#","dm":1"#,
        r#","dm":null"#,
        r#","sender_id":7"#,
        r#","username":"\ud800""#,
        r#","username":"\x""#,
        ",\"username\":\"\t\"",
        r#","username":"a"#,
        r#","\u0069d":"n""#,
        r#","metadata":{"a":}"#,
        r#","metadata":{},"metadata":{}"#,
        r#","new":tru"#,
        r#","new":01"#,
        r#","new":"\q""#,
        r#","new":["\ud800"]"#,
        r#","new":[1,]"#,
        r#","new":[1}"#,
        r#","new":{"a"}"#,
        r#","new":{1:2}"#,
        r#","metadata":{"a":1]"#,
        r#","new"1"#,
        r#","new":nul"#,
        r#","edited_at":nul"#,
        r#","edited_at":null0"#,
    ] {
        assert!(message(&with(more)).is_none(), "{more}");
    }
    assert!(message(&with(&format!(",\"new\":{}{}", "[".repeat(100), "]".repeat(100)))).is_none(), "deep");
    for missing in ["id", "agency_id", "content", "created_at"] {
        assert!(message(&with("").replace(missing, "x")).is_none(), "{missing}");
    }
    for text in ["", "{", "{}", "[]", "null", "\"", "{\"", "{\"id\"", "{\"id\":", "{\"id\":\"\\"] {
        assert!(message(text).is_none(), "{text}");
    }
}

/// The ways in which a usual message becomes another, or none.
fn mutated() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "\"",
        "\\",
        ",",
        ":",
        "{",
        "}",
        "null",
        " ",
        "\u{1}",
        "\u{7f}",
        "é",
        "\\u00e9",
        "\\ud83d",
        "1",
        "\"id\":\"x\",",
    ]);
    let change = (any::<prop::sample::Index>(), 0..4_usize, pieces);
    prop::collection::vec(change, 0..4).prop_map(|changes| {
        let mut chars: Vec<String> = USUAL.chars().map(String::from).collect();
        for (place, drop, piece) in changes {
            let at = place.index(chars.len());
            let end = (at + drop).min(chars.len());
            chars.splice(at..end, [piece.to_owned()]);
        }
        chars.concat()
    })
}

proptest! {
    #[test]
    fn agrees_with_the_other_reader(json in mutated()) {
        let (plain, any) = both(&json);
        if plain.is_some() {
            prop_assert_eq!(plain, any);
        }
    }

    #[test]
    fn finds_the_first_that_means_something(bytes: Vec<u8>, plain in "[ !#-\\[\\]-~é\u{7f}\u{80}ÿ🦀]{0,50}") {
        let naive = |bytes: &[u8]| bytes.iter().position(|byte| matches!(byte, b'"' | b'\\'));
        prop_assert_eq!(find_mark(&bytes), naive(&bytes));
        let long = [plain.as_bytes(), &bytes].concat();
        prop_assert_eq!(find_mark(&long), naive(&long));
    }
}
