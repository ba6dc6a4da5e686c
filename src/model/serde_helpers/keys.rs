//! The keys of a field, and which field a key belongs to.
//!
//! A field has a list of keys, separated by `|`. Its key in camel case is the same as in snake case.

/// The first of a field's keys.
pub(super) fn first_of(names: &'static str) -> &'static str {
    names.split('|').next().unwrap_or(names)
}

/// Returns the field that has this key, and the key's rank.
pub(super) fn field_of(fields: &[&str], next: usize, key: &[u8]) -> Option<(usize, u8)> {
    let ranked = || fields.iter().enumerate().find_map(|(at, names)| Some((at, rank(names, key)?)));
    first_named(fields, next, key).map(|field| (field, 0)).or_else(ranked)
}

/// Returns the field whose first name is `key`. Servers write most fields under their first name, and in the order of
/// the struct.
fn first_named(fields: &[&str], next: usize, key: &[u8]) -> Option<usize> {
    let (before, behind) = fields.split_at_checked(next)?;
    let steps = behind.iter().chain(before).position(|names| is_first(names, key))?;
    Some((next + steps) % fields.len())
}

fn is_first(names: &str, key: &[u8]) -> bool {
    // Most keys differ in their length, which is compared faster than the letters.
    let names = names.as_bytes();
    matches!(names.get(key.len()), None | Some(b'|')) && names.starts_with(key)
}

/// The rank of a key in a field's list of names; 0 is the best.
fn rank(names: &str, key: &[u8]) -> Option<u8> {
    let mut rank = 0;
    for name in names.split('|') {
        if name.as_bytes() == key {
            return Some(rank);
        }
        if is_same(name, key) {
            return Some(rank + 1);
        }
        rank += 2;
    }
    None
}

/// Whether two keys differ only in case and `_`.
pub(crate) fn is_same(name: &str, key: impl AsRef<[u8]>) -> bool {
    // Most keys differ in their first letter.
    let first = |key: &[u8]| key.first().map(u8::to_ascii_lowercase);
    first(name.as_bytes()) == first(key.as_ref()) && letters(name.as_bytes()).eq(letters(key.as_ref()))
}

fn letters(key: &[u8]) -> impl Iterator<Item = u8> {
    key.iter().filter(|byte| **byte != b'_').map(u8::to_ascii_lowercase)
}
