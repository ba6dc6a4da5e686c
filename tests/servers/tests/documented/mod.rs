//! Checks that the code of a test is the code in the documentation.

const RECEIVER: &str = include_str!("../../../../src/webhook/receiver.rs");

/// Compares the lines of a test between `// shown` and `// end` with the block behind `heading` in the receiver's text.
pub(crate) fn is_shown(test: &str, heading: &str) {
    let mut lines = RECEIVER.lines().skip_while(|line| !line.contains(heading));
    let block = lines.by_ref().skip_while(|line| !line.contains("```")).skip(1);
    let documented: String =
        block.take_while(|line| !line.contains("```")).map(|line| line.trim_start_matches("///")).collect();
    let parts = test.split("// shown\n").skip(1);
    let shown: String = parts.map(|rest| rest.split("// end").next().unwrap()).collect();
    assert!(!shown.is_empty());
    assert_eq!(bare(&documented), bare(&shown), "the documentation shows something else");
}

/// The code without the parts that a formatter changes.
fn bare(code: &str) -> String {
    code.split_whitespace().collect::<String>().replace(",)", ")")
}
