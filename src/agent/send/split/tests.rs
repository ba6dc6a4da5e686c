#![allow(clippy::string_slice, reason = "a failure here is a failed test")]

use proptest::prelude::*;

use super::*;

fn shown(text: &str, part: &TextPart) -> String {
    format!("{}{}{}", part.prefix, &text[part.range.clone()], part.suffix)
}

fn parts(text: &str, limit: usize) -> Vec<String> {
    split(text, limit).iter().map(|part| shown(text, part)).collect()
}

/// As many words of four letters as fit into `length` characters.
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
fn what_is_seen_as_one_character_stays_one() {
    for one in [
        "e\u{301}",
        "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}", // a family
        "\u{2764}\u{fe0f}",                            // a red heart
        "\u{1f1e9}\u{1f1ea}",                          // a flag
        "\u{1f3f4}\u{e0067}\u{e0062}\u{e007f}",        // a flag by tags
        "\u{1112}\u{1161}\u{11ab}",                    // Hangul in pieces
        "\u{915}\u{94d}\u{937}\u{93f}",                // a Devanagari conjunct with a vowel
    ] {
        let text = one.repeat(200);
        let cut = parts(&text, 201);
        assert!(cut.len() > 1 && cut.concat() == text, "{one:?}");
        assert!(cut.iter().all(|part| part.replace(one, "").is_empty()), "{one:?}");
    }
    assert!(!is_boundary("\u{e9}", 1), "never within a char");
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

    // The closing fence does not become a part of its own.
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
    assert!(parts[1..].iter().all(|part| !part.starts_with('/')), "{parts:?}");
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
    // A search that starts again at each line would take hours.
    let spaces = format!("a{}b", " \n".repeat(2_000_000));
    assert_eq!(parts(&spaces, 100_000), ["a", "b"]);
    let blank = format!("```\na{}b\n```", "\n".repeat(5000));
    assert!(parts(&blank, 300).len() < 40);
}

#[test]
fn a_text_does_not_become_a_command_behind_white_space() {
    for (text, limit) in [
        (format!("x{}/roll 1d6", " ".repeat(192)), 200),
        (format!("you said: {}/kick alice", "\n".repeat(7_981)), 8_000),
        (format!("x{}/roll", "\u{3000}".repeat(10_000)), 8_000),
        (format!("x{}/roll", " \u{2028}\t".repeat(10_000)), 200),
        (format!("x{}/roll", "\u{feff}".repeat(10_000)), 200),
        (format!("```\n{}\n```\n/roll", "x\n".repeat(98)), 200),
        (format!("```\nx{}\n```/roll", " ".repeat(500)), 200),
    ] {
        let parts = parts(&text, limit);
        assert!(parts.len() > 1 && parts.iter().all(|part| part.chars().count() <= limit));
        for part in &parts[1..] {
            assert!(!part.trim_start_matches(is_trimmed).starts_with('/'), "{part:?}");
        }
        assert!(parts.concat().contains('/'), "nothing is lost");
    }
}

/// A search that starts again at each position of such a text would take hours.
#[test]
fn takes_time_in_proportion_to_the_length() {
    let size = 390_000;
    let flags = "\u{1f1e9}".repeat(size);
    for (what, text) in [
        ("newlines before a command", format!("you said: {}/kick", "\n".repeat(size))),
        ("blanks before a command", format!("x{}/kick", " ".repeat(size))),
        ("wide blanks", format!("x{}/kick", "\u{3000}".repeat(size))),
        ("byte order marks", format!("x{}/kick", "\u{feff}".repeat(size))),
        ("blanks in code", format!("```\nx{}/kick", " ".repeat(size))),
        ("newlines in code", format!("```\nx{}/kick", "\n".repeat(size))),
        ("slashes", " /".repeat(size / 2)),
        ("backticks", "```\n".repeat(size / 4)),
        ("one word", "x".repeat(size)),
        ("accents", "\u{301}".repeat(size)),
        ("flags", flags),
    ] {
        for limit in [MIN_LIMIT, 8_000] {
            let started = std::time::Instant::now();
            let count = split(text.trim(), limit).len();
            // An idle machine needs at most one second. A quadratic algorithm would need hours.
            assert!(started.elapsed().as_secs() < 60, "{what}: {count} parts in {:?}", started.elapsed());
        }
    }
}

fn white_space() -> impl Strategy<Value = String> {
    let kind = prop::sample::select(vec![
        " ", "\n", "\t", "\r\n", "\u{3000}", "\u{2028}", "\u{a0}", "\u{85}", "\u{feff}", " \n", "\u{1c}",
    ]);
    (kind, 0usize..900).prop_map(|(kind, count)| kind.repeat(count))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_white_space_makes_a_command(
        pieces in proptest::collection::vec((white_space(), "(```[a-z]{0,3}\n|~~~\n)?[a-z]{0,9}", white_space(), "/?[a-z0-9 ]{0,9}"), 1..6),
        limit in 200usize..400,
    ) {
        let text: String = pieces.into_iter().flat_map(|(a, b, c, d)| [a, b, c, d]).collect();
        let text = text.trim();
        let parts = split(text, limit);
        for (n, part) in parts.iter().enumerate() {
            let shown = shown(text, part);
            prop_assert!(shown.chars().count() <= limit);
            prop_assert!(n == 0 || !shown.trim_start_matches(is_trimmed).starts_with('/'), "{shown:?}");
        }
        // The parts contain all visible characters of the text, except the fences of code.
        let seen = |text: &str| text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '`' | '~')).collect::<String>();
        let joined: String = parts.iter().map(|part| &text[part.range.clone()]).collect();
        prop_assert_eq!(seen(&joined), seen(text));
        prop_assert!(parts.is_sorted_by(|one, next| one.range.end <= next.range.start));
    }
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
        1 => "(\r\n){1,20}",
        1 => "[a-z]{1,150}",
        1 => Just("\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}".to_owned()),
        1 => Just("\u{1f1e9}\u{1f1ea}\u{1f1eb}\u{1f1f7}".to_owned()),
        1 => "(e\u{301}|\u{1f44d}\u{1f3fd}|\u{2764}\u{fe0f}|\u{4e2d}|\u{915}\u{94d}\u{937}){1,30}",
        // Marks that join the white space before them, and characters that join the white space after them.
        1 => "[\u{301}\u{cc6}\u{200d}]",
        1 => "[\u{600}\u{110bd}]",
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
            // The split leaves out only white space, or a closing fence if the part before has closed the code already.
            let gap = text[end..part.range.start].trim();
            prop_assert!(gap.chars().all(|c| matches!(c, '`' | '~')), "{gap:?}");
            end = part.range.end;
            prop_assert!(is_boundary(text, part.range.start) && is_boundary(text, end));
            if n + 1 < parts.len() {
                prop_assert!(after(None, &shown).is_none(), "open: {shown:?}");
            }
            prop_assert!(n == 0 || !is_command(&shown), "{shown:?}");
        }
        prop_assert!(text[end..].trim().chars().all(|c| matches!(c, '`' | '~')));
    }

    /// A mark joins the white space before it, and some characters join the white space after them.
    #[test]
    fn white_space_with_marks_stays_whole(
        pieces in proptest::collection::vec(("(```|~~~|)", "\n[a-z ]{60,190}", "[\u{600}\u{110bd}]?", "(\n```\n|\n~~~\n|\n|)", "[ \u{3000}]{0,90}", "[\u{301}\u{cc6}\u{200d}]?"), 2..8),
        limit in 200usize..300,
    ) {
        let text: String = pieces.into_iter().flat_map(|(a, b, c, d, e, f)| [a, b, c, d, e, f]).collect();
        let text = text.trim();
        for part in split(text, limit) {
            prop_assert!(shown(text, &part).chars().count() <= limit);
            prop_assert!(is_boundary(text, part.range.start), "starts within a character: {:?}", part.range);
            prop_assert!(is_boundary(text, part.range.end), "ends within a character: {:?}", part.range);
        }
    }

    #[test]
    fn nothing_breaks_it(text: String, limit: usize) {
        let text = text.repeat(20);
        for part in split(text.trim(), limit % 300) {
            prop_assert!(shown(text.trim(), &part).chars().count() <= 300);
        }
    }
}
