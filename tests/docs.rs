//! README and docs are held to the program: what they tell to type can be typed, what they link to is there, and every
//! manifest in them is one.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser as _;
use devstack::cli::args::{Cli, Verb};
use devstack::cli::load::{Where, load};
use devstack::plan::AutoPorts;

/// One fenced block.
struct Block {
    language: String,
    /// The line of its first text line, counted from 1.
    line: usize,
    text: String,
}

#[test]
fn every_command_line_can_be_typed() {
    let mut tried = 0;
    let mut wrong = Vec::new();
    for page in pages() {
        let text = read(&page);
        for block in blocks(&text).iter().filter(|block| matches!(&*block.language, "sh" | "console")) {
            for (at, line) in block.text.lines().enumerate() {
                for words in command_lines(line, block.language == "console") {
                    tried += 1;
                    if let Err(error) = Cli::try_parse_from(&words) {
                        wrong.push(format!("{}:{}: {line}\n{error}", page.display(), block.line + at));
                    }
                }
            }
        }
        for span in code_spans(&text) {
            let Some(words) = own_words(span) else { continue };
            // `devstack COMMAND --help` and the like speak of commands in general.
            if words.iter().any(|word| word == "COMMAND") || words.len() < 2 {
                continue;
            }
            tried += 1;
            if let Err(error) = Cli::try_parse_from(&words) {
                wrong.push(format!("{}: `{span}`\n{error}", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(tried > 15, "only {tried} command lines were found: is the search still right?");
}

#[test]
fn every_link_leads_somewhere() {
    let mut tried = 0;
    for page in pages() {
        let text = read(&page);
        for target in links(&text).filter(|target| !target.contains("://")) {
            tried += 1;
            let (file, part) = target.split_once('#').unwrap_or((target, ""));
            let place = page.parent().expect("a page lies somewhere").join(file);
            assert!(file.is_empty() || place.exists(), "{}: {target} is not there", page.display());
            let there = if file.is_empty() { text.clone() } else { read(&place) };
            let found = part.is_empty() || headings(&there).any(|heading| heading == part);
            assert!(found, "{}: {target} has no such heading", page.display());
        }
    }
    assert!(tried > 5, "only {tried} links were found: is the search still right?");
}

#[test]
fn every_file_that_is_named_is_there() {
    let tops = ["src/", "docs/", "tests/", "scripts/", "examples/", "fixtures/", ".ci/"];
    for page in pages() {
        for span in code_spans(&read(&page)) {
            let named = tops.iter().any(|top| span.starts_with(top));
            // `rules_*.rs` names several.
            if named && !span.contains(['*', ' ']) {
                assert!(root().join(span).exists(), "{}: `{span}` is not there", page.display());
            }
        }
    }
}

#[test]
fn every_manifest_is_one() {
    let mut tried = 0;
    for page in pages() {
        for block in blocks(&read(&page)) {
            if block.language != "yaml" || !block.text.contains("services:") {
                continue;
            }
            tried += 1;
            let dir = tempfile::tempdir().expect("a directory");
            let file = dir.path().join("devstack.yaml");
            fs::write(&file, &block.text).expect("writes");
            let env_file = block.text.contains("env_file: .env");
            if env_file {
                fs::write(dir.path().join(".env.dev"), "").expect("writes");
            }
            let loaded = load(&Where::Exactly(file), &AutoPorts::new());
            assert!(loaded.is_ok(), "{}:{}: {loaded:?}", page.display(), block.line);
        }
    }
    assert!(tried >= 2, "only {tried} manifests were found: is the search still right?");
    let example = load(&Where::Exactly(root().join("devstack.example.yaml")), &AutoPorts::new())
        .expect("the example is a manifest");
    assert_eq!(example.plan.units.len(), 8);
}

#[test]
fn the_readme_has_its_two_commands_and_the_scripts_do_what_it_says() {
    let readme = read(&root().join("README.md"));
    let shell: Vec<String> =
        blocks(&readme).into_iter().filter(|b| b.language == "sh").map(|b| b.text).collect();
    assert!(shell[0].contains("devstack.example.yaml up"), "{:?}", shell[0]);
    assert!(shell.iter().any(|text| text.trim() == "scripts/test"), "{shell:?}");
    let ci = read(&root().join(".ci/run"));
    assert!(ci.contains("scripts/test"), "CI runs what the README says");
}

#[test]
fn every_verb_and_every_option_is_described() {
    use clap::CommandFactory as _;
    let page = read(&root().join("docs/cli.md"));
    let mut missing = Vec::new();
    for verb in Cli::command().get_subcommands().filter(|verb| !verb.is_hide_set()) {
        if !page.contains(&format!("| `{}", verb.get_name())) {
            missing.push(verb.get_name().to_owned());
        }
        let options = verb.get_arguments().filter_map(clap::Arg::get_long);
        missing.extend(options.filter(|long| !page.contains(&format!("--{long}"))).map(str::to_owned));
    }
    assert!(missing.is_empty(), "docs/cli.md says nothing of {missing:?}");
}

#[test]
fn every_code_of_an_error_is_described() {
    let pages = [
        (["src/manifest/code.rs"].as_slice(), "docs/manifest.md"),
        (["src/cli/error.rs", "src/show/error.rs", "src/show/down.rs"].as_slice(), "docs/cli.md"),
    ];
    for (sources, page) in pages {
        let page = read(&root().join(page));
        for source in sources {
            let source = read(&root().join(source));
            let codes = source.match_indices("DS").filter_map(|(at, _)| source.get(at..at + 5));
            let codes = codes.filter(|code| code[2..].bytes().all(|byte| byte.is_ascii_digit()));
            let missing: Vec<&str> = codes.filter(|code| !page.contains(code)).collect();
            assert!(missing.is_empty(), "nothing is said of {missing:?}");
        }
    }
}

#[test]
fn every_dependency_has_its_reason() {
    let (page, readme) = (read(&root().join("docs/dependencies.md")), read(&root().join("README.md")));
    let mut wanted = false;
    let mut tried = 0;
    for line in read(&root().join("Cargo.toml")).lines() {
        if line.starts_with('[') {
            wanted = line.ends_with("dependencies]");
        } else if let Some((name, _)) = line.split_once(" = ").filter(|_| wanted) {
            tried += 1;
            assert!(page.contains(&format!("`{name}`")), "docs/dependencies.md says nothing of {name}");
        }
    }
    assert!(tried > 20, "only {tried} were found: is the search still right?");
    for replaced in ["serde_yaml", "command-group", "reqwest", "nix", "sysinfo"] {
        assert!(readme.contains(&format!("| `{replaced}` |")), "the README says why there is no {replaced}");
    }
}

#[test]
fn what_is_named_right_is_told_apart_from_what_is_not() {
    let parsed = Cli::try_parse_from(own_words("devstack -C ~/shop up --timeout 3s api").expect("ours"));
    assert!(matches!(parsed.expect("parses").verb, Verb::Up(_)));
    assert!(Cli::try_parse_from(own_words("devstack up --tmeout 3s").expect("ours")).is_err());
    assert!(own_words("npm run devstack").is_none());
    let twice = command_lines("cargo build && target/release/devstack -f x.yaml up", false);
    assert_eq!(twice, [["devstack", "-f", "x.yaml", "up"]]);
    assert!(command_lines("devstack is no command in an answer", true).is_empty());
    assert_eq!(headings("## What it looks like: `up`!").next().as_deref(), Some("what-it-looks-like-up"));
    assert_eq!(links("see [a](b.md), ![c](d) and [e]").collect::<Vec<_>>(), ["b.md", "d"]);
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn pages() -> Vec<PathBuf> {
    let docs = fs::read_dir(root().join("docs")).expect("docs");
    let mut pages: Vec<PathBuf> = docs.map(|entry| entry.expect("an entry").path()).collect();
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    pages.extend([root().join("README.md"), root().join("CHANGELOG.md")]);
    pages.sort();
    pages
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn blocks(text: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut open = false;
    for (at, line) in text.lines().enumerate() {
        match (line.strip_prefix("```"), open) {
            (Some(language), false) => {
                found.push(Block { language: language.to_owned(), line: at + 2, text: String::new() });
                open = true;
            }
            (Some(_), true) => open = false,
            (None, true) => {
                let block = found.last_mut().expect("one is open");
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, false) => {}
        }
    }
    found
}

/// Text between single backticks, outside blocks.
fn code_spans(text: &str) -> Vec<&str> {
    let outside = text.split("```").step_by(2);
    outside.flat_map(|part| part.split('`').skip(1).step_by(2)).collect()
}

/// The calls of devstack in a line of shell. Where answers stand between them, only what follows a prompt is a command.
fn command_lines(line: &str, prompted: bool) -> Vec<Vec<String>> {
    let typed = match (line.strip_prefix("$ "), prompted) {
        (Some(typed), _) => typed,
        (None, true) => return Vec::new(),
        (None, false) => line,
    };
    let typed = typed.split(" #").next().unwrap_or_default();
    typed.split("&&").flat_map(|part| part.split('|')).filter_map(own_words).collect()
}

/// The words of a call of devstack; none where it is another program's.
fn own_words(call: &str) -> Option<Vec<String>> {
    let mut words = call.split_whitespace().map(str::to_owned);
    let program = words.next()?;
    (program == "devstack" || program.ends_with("/devstack"))
        .then(|| std::iter::once("devstack".to_owned()).chain(words).collect())
}

fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split(')').next())
}

/// Headings as the links to them are written.
fn headings(text: &str) -> impl Iterator<Item = String> {
    text.lines().filter(|line| line.starts_with('#')).map(|line| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || *c == ' ' || *c == '-' || *c == '_');
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    })
}
