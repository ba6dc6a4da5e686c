//! The project's pages are true: their links lead to something, and the files, tests and commands that they name exist.

use std::fs;
use std::path::{Path, PathBuf};

/// A page of the project.
struct Page {
    /// Relative to the repository's root.
    name: String,
    folder: PathBuf,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Markdown files of the repository.
fn pages() -> Vec<Page> {
    let (mut folders, mut pages) = (vec![root().to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && !["target", "node_modules", ".git"].contains(&name) {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                let name = path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/");
                pages.push(Page { name, folder: folder.clone(), text: fs::read_to_string(&path).unwrap() });
            }
        }
    }
    assert!(pages.len() > 10, "only {} pages", pages.len());
    pages
}

/// The text between `open` and `close`, each time.
fn between<'t>(text: &'t str, open: &str, close: char) -> Vec<&'t str> {
    text.split(open).skip(1).filter_map(|rest| rest.split_once(close)).map(|(inside, _)| inside).collect()
}

/// Code in backticks, outside of code blocks.
fn inline_code(text: &str) -> Vec<&str> {
    let outside = text.split("```").step_by(2);
    outside.flat_map(|part| part.split('`').skip(1).step_by(2)).collect()
}

/// The lines of the shell's code blocks.
fn shell_lines(text: &str) -> impl Iterator<Item = &str> {
    text.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next()).flat_map(str::lines)
}

/// The anchor of a heading, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>().replace(' ', "-")
}

/// `a/{b,c}` as `a/b` and `a/c`.
fn alternatives(path: &str) -> Vec<String> {
    match path.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?))) {
        Some((before, (choices, after))) => {
            choices.split(',').map(|choice| format!("{before}{choice}{after}")).collect()
        }
        None => vec![path.to_owned()],
    }
}

/// Whether the file or folder exists. A `*` stands for any one folder; `.rs` may be left out.
fn exists(base: &Path, path: &str) -> bool {
    match path.split_once('*') {
        Some((before, after)) => fs::read_dir(base.join(before)).is_ok_and(|mut entries| {
            entries.any(|entry| entry.unwrap().path().join(after.trim_start_matches('/')).exists())
        }),
        None => base.join(path).exists() || base.join(format!("{}.rs", path.trim_end_matches('/'))).exists(),
    }
}

/// The folder of a package and its subfolders with code, by the name in its manifest.
fn package_folder(package: &str) -> Option<PathBuf> {
    let named = format!("\nname = \"{package}\"\n");
    let mut folders = vec![root().to_owned()];
    for parent in ["crates", "crates/wallet", "tests", ""] {
        folders.extend(fs::read_dir(root().join(parent)).unwrap().map(|entry| entry.unwrap().path()));
    }
    folders.into_iter().find(|folder| {
        fs::read_to_string(folder.join("Cargo.toml")).is_ok_and(|manifest| manifest.contains(&named))
    })
}

#[test]
fn relative_links_lead_to_files_and_headings() {
    for page in pages() {
        for link in between(&page.text, "](", ')') {
            let link = link.split(' ').next().unwrap();
            if link.contains("://") || link.contains("::") || link.starts_with("crate") || !link.is_ascii() {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            // An intra-doc link, which rustdoc checks.
            if heading.is_empty() && !file.contains(['/', '.', '-']) {
                continue;
            }
            let path = page.folder.join(file);
            assert!(file.is_empty() || path.exists(), "{}: {link}", page.name);
            if !heading.is_empty() {
                let text =
                    if file.is_empty() { page.text.clone() } else { fs::read_to_string(&path).unwrap() };
                let mut headings = text.lines().filter(|line| line.starts_with('#'));
                assert!(headings.any(|line| anchor(line) == heading), "{}: no heading for {link}", page.name);
            }
        }
    }
}

#[test]
fn named_files_exist() {
    let mut checked = 0;
    for page in pages() {
        for code in inline_code(&page.text) {
            let Some(path) = code.split_whitespace().next().filter(|path| path.contains('/')) else {
                continue;
            };
            let first = path.split('/').next().unwrap();
            // Only paths of the repository: others are URLs, media types, key names.
            let bases = [root().to_owned(), root().join("src"), page.folder.clone()];
            let is_path = |base: &PathBuf| !first.is_empty() && base.join(first).is_dir();
            if path.contains(['<', '…', '(', ':']) || !bases.iter().any(is_path) {
                continue;
            }
            for path in alternatives(path) {
                assert!(bases.iter().any(|base| exists(base, &path)), "{}: `{code}`", page.name);
                checked += 1;
            }
        }
    }
    assert!(checked > 50, "only {checked} paths");
}

#[test]
fn named_commands_exist() {
    let mut checked = 0;
    for page in pages() {
        let code = inline_code(&page.text);
        for command in shell_lines(&page.text).chain(code).flat_map(|line| line.split("&&")) {
            let command = command.split(" #").next().unwrap();
            let words: Vec<&str> = command.split_whitespace().collect();
            let Some(cargo) = words.iter().position(|word| *word == "cargo") else {
                continue;
            };
            let words = &words[cargo..];
            let after = |option: &str| {
                words.windows(2).filter(move |pair| pair[0] == option).map(|pair| pair[1]).collect::<Vec<_>>()
            };
            let package = after("-p").first().copied().unwrap_or("crustocean");
            let folder = package_folder(package);
            let folder = folder.unwrap_or_else(|| panic!("{}: no package for `{command}`", page.name));
            for example in after("--example") {
                let crates = ["crates/wallet/examples", "crates/workers/examples"];
                let mut places = vec![folder.join("examples")];
                places.extend(crates.iter().map(|place| root().join(place)));
                let file = format!("{example}.rs");
                assert!(places.iter().any(|place| place.join(&file).exists()), "{}: `{command}`", page.name);
            }
            for test in after("--test") {
                assert!(exists(&folder, &format!("tests/{test}")), "{}: `{command}`", page.name);
            }
            for place in after("--path") {
                let place = place.strip_prefix("../crustocean-rs").unwrap_or(place).trim_start_matches('/');
                assert!(root().join(place).join("Cargo.toml").exists(), "{}: `{command}`", page.name);
            }
            checked += 1;
        }
    }
    assert!(checked > 20, "only {checked} commands");
}

/// In `tests/PROTOCOL.md`, `agent::post` or a path names a file. The names after it are tests in that file, and a number in
/// parentheses says how many tests begin with that name.
#[test]
fn the_rows_of_the_protocol_name_tests_that_exist() {
    let text = fs::read_to_string(root().join("tests/PROTOCOL.md")).unwrap();
    let (mut checked, mut missing) = (0, Vec::new());
    for line in text.lines().filter(|line| ["| B", "| R", "| T"].iter().any(|row| line.starts_with(row))) {
        let cell = line.trim_end_matches(" |").rsplit_once(" | ").unwrap().1;
        let mut source = None;
        for (code, after) in cell.split('`').skip(1).step_by(2).zip(cell.split('`').skip(2).step_by(2)) {
            let path = match code.split_once("::") {
                Some((program, name)) => format!("tests/{program}/{name}.rs"),
                None if code.contains('/') => code.to_owned(),
                None if root().join("tests").join(code).is_dir() => format!("tests/{code}"),
                None => {
                    let name = code.trim_end_matches('…');
                    let is_name =
                        name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
                    let Some(path) = source.as_deref().filter(|_| is_name) else { continue };
                    let count =
                        after.strip_prefix(" (").and_then(|rest| rest.split(')').next()?.parse().ok());
                    let found = count_tests(path, name);
                    if found == 0 || count.is_some_and(|count: usize| count != found) {
                        missing.push(format!("{code} in {path} ({found} found): {line}"));
                    }
                    checked += 1;
                    continue;
                }
            };
            if !root().join(&path).exists() {
                missing.push(format!("the file {path}: {line}"));
            }
            source = Some(path);
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
    assert!(checked > 100, "only {checked} tests");
}

/// How many functions begin with a name in a file, or in the files of a folder. A file with that name counts, too.
fn count_tests(path: &str, name: &str) -> usize {
    let path = root().join(path);
    let folders = [path.clone(), path.join("tests")];
    let entries = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.push(path);
    files.retain(|file| file.extension().is_some_and(|extension| extension == "rs"));
    let named = format!("fn {name}");
    let count = |file: &PathBuf| fs::read_to_string(file).unwrap_or_default().matches(&named).count();
    let whole = files.iter().filter(|file| file.file_stem().is_some_and(|stem| stem == name)).count();
    files.iter().map(count).sum::<usize>() + whole
}
