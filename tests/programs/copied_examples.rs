//! Every example compiles in a project of its own, with only the dependencies that its first lines name.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::common::{cargo, watchdog};

/// The first build may take long.
const LIMIT: Duration = Duration::from_secs(900);
/// The beginning of the line that names the dependencies.
const NEEDS: &str = "//! Needs ";
const FOLDER: &str = "the folder support beside it";

/// The line for a user's manifest, with the version of this repository.
fn dependency(name: &str, features: &[&str], versions: &HashMap<String, String>) -> String {
    let root = env!("CARGO_MANIFEST_DIR");
    let source = match name {
        "crustocean" => format!("path = {root:?}"),
        "crustocean-sandbox" => format!("path = {:?}", Path::new(root).join("crates/sandbox")),
        other => format!("version = {:?}", versions[other]),
    };
    format!("{name} = {{ {source}, features = {features:?} }}\n")
}

/// The versions in this repository's manifest: `name = "1"` or `name = { version = "1", … }`.
fn versions() -> HashMap<String, String> {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let lines = manifest.lines().filter_map(|line| line.split_once(" = "));
    let quoted = lines.filter_map(|(name, value)| {
        let value = value.strip_prefix("{ version = ").unwrap_or(value);
        Some((name.to_owned(), value.strip_prefix('"')?.split_once('"')?.0.to_owned()))
    });
    quoted.collect()
}

/// The names after "Needs", each with its features in brackets.
fn needs(example: &str, text: &str) -> Vec<(String, Vec<String>)> {
    let line = text.lines().find_map(|line| line.strip_prefix(NEEDS));
    let line = line.unwrap_or_else(|| panic!("{example} does not say what it needs"));
    let line = line.strip_suffix('.').unwrap_or_else(|| panic!("{example}: {line:?} does not end"));
    let named = line.split(", ").map(|name| match name.split_once(" (") {
        None => (name.to_owned(), Vec::new()),
        Some((name, features)) => {
            let features = features.trim_end_matches(')').split(' ').map(str::to_owned).collect();
            (name.to_owned(), features)
        }
    });
    named.collect()
}

#[test]
fn every_example_compiles_in_a_project_of_its_own() {
    let _watchdog = watchdog(LIMIT);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let workspace = target.join("copied-examples");
    let _ = fs::remove_dir_all(&workspace);
    let versions = versions();
    let mut members = Vec::new();
    for file in fs::read_dir(root.join("examples")).unwrap() {
        let path = file.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let project = workspace.join(&name);
        fs::create_dir_all(project.join("src/support")).unwrap();
        let mut manifest =
            format!("[package]\nname = \"copied-{name}\"\nedition = \"2024\"\n\n[dependencies]\n");
        for (needed, features) in needs(&name, &text) {
            if needed == FOLDER {
                for file in fs::read_dir(root.join("examples/support")).unwrap() {
                    let file = file.unwrap();
                    fs::copy(file.path(), project.join("src/support").join(file.file_name())).unwrap();
                }
                continue;
            }
            let features: Vec<&str> = features.iter().map(String::as_str).collect();
            manifest.push_str(&dependency(&needed, &features, &versions));
        }
        fs::write(project.join("Cargo.toml"), manifest).unwrap();
        fs::copy(&path, project.join("src/main.rs")).unwrap();
        members.push(name);
    }
    assert!(members.len() > 10, "{members:?}");
    let profile = "[profile.dev]\ndebug = \"line-tables-only\"\n";
    let manifest = format!("[workspace]\nresolver = \"3\"\nmembers = {members:?}\n\n{profile}");
    fs::write(workspace.join("Cargo.toml"), manifest).unwrap();
    // Uses the same versions as this repository.
    fs::copy(root.join("Cargo.lock"), workspace.join("Cargo.lock")).unwrap();

    let mut check = cargo();
    check.args(["check", "--offline", "--quiet", "--workspace"]).current_dir(&workspace);
    // Shares the build of this repository.
    check.env("CARGO_TARGET_DIR", target.parent().unwrap());
    let output = check.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
