#![allow(clippy::string_slice, reason = "a failure here is a failed test")]

use proptest::prelude::*;

use super::*;

fn shown(text: &str, part: &Part) -> String {
    format!("{}{}{}", part.prefix, &text[part.range.clone()], part.suffix)
}

fn parts(text: &str, limit: usize) -> Vec<String> {
    split(text, limit).iter().map(|part| shown(text, part)).collect()
}

/// Words of four letters, as many as fit into so many characters.
fn words(length: usize) -> String {
    "word ".repeat(length / 5).trim_end().to_owned()
}

#[test]
fn what_fits_stays_whole() {
    assert_eq!(parts("", 300), [""; 0]);
    assert_eq!(parts("hi", 300), ["hi"]);
    let exact = "x".repeat(300);
    assert_eq!(parts(&exact, 300), [exact.as_str()]);
    let crabs = "\u{1f980}".repeat(300);
    assert_eq!(parts(&crabs, 300), [crabs.as_str()], "characters, not bytes");
    assert_eq!(parts(&format!("{crabs}!"), 300).len(), 2);
}

#[test]
fn ends_with_a_paragraph_or_a_line_or_a_word_or_a_character() {
    let (long, short) = (words(180), words(50));
    assert_eq!(parts(&format!("{long}\n\n{short}\n{long}"), 300), [long.clone(), format!("{short}\n{long}")]);
    assert_eq!(parts(&format!("{long}\n{short} {long}"), 300), [long.clone(), format!("{short} {long}")]);
    let by_word = parts(&words(500), 300);
    assert!(by_word.len() == 2 && by_word.iter().all(|part| part.ends_with("word")), "{by_word:?}");
    let thumbs = "\u{1f44d}\u{1f3fd}".repeat(200);
    let cut = parts(&thumbs, 201);
    assert!(cut.iter().all(|part| part.chars().count() % 2 == 0) && cut.concat() == thumbs, "{cut:?}");
}

#[test]
fn closes_code_and_opens_it_again() {
    let code = "    let x = 1;\n".repeat(40);
    let text = format!("{}\n```rust\n{code}```\nthe end", words(160));
    let parts = parts(&text, 300);
    assert_eq!(parts[0], words(160), "code begins in a part of its own");
    for part in &parts[1..parts.len() - 1] {
        assert!(part.starts_with("```rust\n    let x") && part.ends_with("1;\n```"), "{part}");
    }
    assert!(parts.last().unwrap().ends_with("1;\n```\nthe end"), "{parts:?}");
    let lines: usize = parts.iter().map(|part| part.matches("    let x = 1;").count()).sum();
    assert_eq!(lines, 40);

    // The end of the code is no part of its own.
    let code = "x".repeat(60) + "\n";
    let exact = format!("~~~\n{}~~~\n{}", code.repeat(4), words(250));
    let two = super::tests::parts(&exact, 290);
    assert_eq!(two, [format!("~~~\n{}~~~", code.repeat(4)), words(250)]);
}

#[test]
fn does_not_make_commands_of_texts() {
    let list: String = (0..60).map(|n| format!("/command{n} does something\n")).collect();
    let parts = parts(list.trim(), 300);
    assert!(parts.len() > 4);
    assert!(parts[1..].iter().all(|part| !is_command(part)), "{parts:?}");
}

#[test]
fn bears_what_is_no_text() {
    for text in ["\u{301}".repeat(3000), "\u{200d}".repeat(3000), "`".repeat(3000), "/a".repeat(2000)] {
        let parts = parts(&text, 300);
        assert!(parts.iter().all(|part| part.chars().count() <= 300));
        assert!(parts.concat().len() >= text.len());
    }
    let spaces = format!("a{}b", " ".repeat(5000));
    assert_eq!(parts(&spaces, 300), ["a", "b"]);
    // Looked at from each of its lines this would take for ever.
    let desert = format!("a{}b", " \n".repeat(2_000_000));
    assert_eq!(parts(&desert, 100_000), ["a", "b"]);
    let blank = format!("```\na{}b\n```", "\n".repeat(5000));
    assert!(parts(&blank, 300).len() < 40);
}

fn token() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[a-z]{1,12} ",
        2 => Just("\n".to_owned()),
        1 => Just("\n\n".to_owned()),
        1 => "\n(```|~~~|````|  ```)(rust|[a-z ]{0,8})\n",
        1 => "\n(```|~~~|````)\n",
        1 => "`{1,4}",
        1 => "\n/[a-z]{1,5} ",
        1 => " {1,40}",
        1 => "[a-z]{1,150}",
        1 => Just("\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}".to_owned()),
        1 => Just("\u{1f1e9}\u{1f1ea}\u{1f1eb}\u{1f1f7}".to_owned()),
        1 => "(e\u{301}|\u{1f44d}\u{1f3fd}|\u{2764}\u{fe0f}|\u{4e2d}|\u{915}\u{94d}\u{937}){1,30}",
        1 => "\\PC{1,10}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn every_part_is_good(tokens in proptest::collection::vec(token(), 1..250), limit in 200usize..500) {
        let text = tokens.concat();
        let text = text.trim();
        let parts = split(text, limit);
        let mut end = 0;
        for (n, part) in parts.iter().enumerate() {
            let shown = shown(text, part);
            prop_assert!(shown.chars().count() <= limit, "{} > {limit}", shown.chars().count());
            prop_assert!(!shown.trim().is_empty());
            // What is left out is white space, or the end of code that was closed already.
            let gap = text[end..part.range.start].trim();
            prop_assert!(gap.chars().all(|c| matches!(c, '`' | '~')), "{gap:?}");
            end = part.range.end;
            prop_assert!(grapheme::is_boundary(text, part.range.start) && grapheme::is_boundary(text, end));
            if n + 1 < parts.len() {
                prop_assert!(after(None, &shown).is_none(), "open: {shown:?}");
            }
            prop_assert!(n == 0 || !is_command(&shown), "{shown:?}");
        }
        prop_assert!(text[end..].trim().chars().all(|c| matches!(c, '`' | '~')));
    }

    #[test]
    fn nothing_breaks_it(text: String, limit: usize) {
        let text = text.repeat(20);
        for part in split(text.trim(), limit % 300) {
            prop_assert!(shown(text.trim(), &part).chars().count() <= 300);
        }
    }
}
