//! Holds the table of imports and the purity line against the code, so that neither is a matter of memory.
//!
//! It reads the source as text: comments, literals and test modules are taken out first, then every `crate::X`,
//! `super::…::X` and `use crate::{X, Y}` counts as an import of the top module X. A path that a macro puts together
//! would escape it; there is none.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// The one direction: a module, and all that it may import. Reading order is the order of the data.
const TABLE: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("manifest", &["domain"]),
    ("plan", &["domain", "manifest"]),
    ("machine", &["domain", "plan"]),
    ("sys", &["domain"]),
    ("cage", &["domain", "sys"]),
    ("usage", &["domain", "sys", "cage"]),
    // Writes down what happened (events) and what runs (plans): as data, it decides nothing by them.
    ("store", &["domain", "plan", "machine", "sys"]),
    ("keeper", &["domain", "sys", "cage", "store"]),
    // A keeper that its own command's caller started.
    ("job", &["domain", "plan", "sys", "cage", "usage", "store", "keeper"]),
    // A sensor's answer is the machine's own word for it; a log probe reads the log.
    ("health", &["domain", "plan", "machine", "sys", "cage", "store"]),
    // Asks and tells; what is done with it is decided elsewhere.
    ("engine", &["domain", "plan", "sys"]),
    // Stands for a container as a keeper does for a process; names who holds a port that it wants.
    ("shim", &["domain", "plan", "sys", "cage", "store", "engine"]),
    // The requests that travel are the machine's.
    ("control", &["domain", "plan", "machine", "sys"]),
    ("show", &["domain"]),
    // Reads nothing: it is handed the journal's lines.
    ("history", &["domain", "plan", "machine", "store", "show"]),
    (
        "supervisor",
        &[
            "domain", "manifest", "plan", "machine", "sys", "cage", "usage", "store", "keeper", "health",
            "engine", "shim", "control", "job",
        ],
    ),
    (
        "cli",
        &[
            "domain",
            "manifest",
            "plan",
            "machine",
            "sys",
            "cage",
            "usage",
            "store",
            "keeper",
            "job",
            "health",
            "engine",
            "shim",
            "control",
            "show",
            "history",
            "supervisor",
        ],
    ),
    // Not in the program: what tests draw by.
    ("chance", &[]),
    // Not in the program: it calls the `fuzz.rs` of each module.
    ("fuzzing", &["plan", "sys", "cage", "store", "keeper", "control", "show", "cli"]),
];

/// Modules that decide and never do: no runtime, file, socket, process or clock.
const PURE: &[&str] = &["domain", "manifest", "plan", "machine", "show", "history"];

/// The part of `show` that touches the terminal: where text leaves the program, and what is redrawn on a terminal.
const TERMINAL: &[&str] = &["src/show/door.rs", "src/show/live.rs", "src/show/progress.rs"];

/// What a pure module never names. `std::time::Duration` and `std::net::IpAddr` are numbers and stay allowed.
const IMPURE: &[&str] = &[
    "tokio",
    "hyper",
    "axum",
    "rustix",
    "inotify",
    "std::fs",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "ToSocketAddrs",
    "std::process",
    "std::thread",
    "std::env",
    "std::os",
    "Instant",
    "SystemTime",
    "Zoned::now",
    "Timestamp::now",
    ".exists()",
    ".is_file()",
    ".is_dir()",
    ".canonicalize()",
    ".metadata()",
    ".read_dir()",
];

/// Macros that print, and the one file that may.
const PRINTING: &[&str] = &["println!", "eprintln!", "print!", "eprint!", "dbg!"];
const DOOR: &str = "src/show/door.rs";

/// Every call by which a process could be signalled, and the files that make it. Nothing is ever signalled by a number
/// that the kernel may have given away: it goes through a pidfd whose start time was read again, or the number is
/// pinned by a child that is not reaped yet.
const SIGNALLING: &[(&str, &[&str])] = &[
    ("SYS_pidfd_send_signal", &["src/sys/pidfd_linux.rs"]),
    // macOS has no such handle: the start time is read again right before. The other's are children not reaped yet.
    ("libc::kill", &["src/sys/pidfd_macos.rs", "src/sys/reaper.rs"]),
    // The supervisor's own children that are not reaped: keepers that have said all, and the nursery. Process 1's only one.
    (
        "signal_unreaped",
        &[
            "src/job/hold.rs",
            "src/keeper/hold.rs",
            "src/supervisor/keepers.rs",
            "src/supervisor/nursery.rs",
            "src/sys/first.rs",
            "src/sys/reaper.rs",
        ],
    ),
    ("signal_unreaped_group", &["src/job/hold.rs", "src/keeper/hold.rs", "src/sys/reaper.rs"]),
    // A probe's own group, whose leader is reaped after it.
    ("kill_process_group", &["src/sys/watch_group.rs"]),
    ("kill_process", &[]),
    ("pidfd_send_signal", &[]),
    ("killpg", &[]),
    ("tkill", &[]),
    ("tgkill", &[]),
    ("SYS_kill", &[]),
    ("SYS_tkill", &[]),
    ("SYS_tgkill", &[]),
    ("sigqueue", &[]),
    ("SYS_rt_sigqueueinfo", &[]),
    ("SYS_rt_tgsigqueueinfo", &[]),
    // A process that ends or stops itself.
    ("raise", &["src/sys/kill_point.rs", "src/sys/signals.rs"]),
    ("start_kill", &[]),
    ("kill_on_drop", &[]),
    ("F_SETOWN", &[]),
    ("TIOCSIG", &[]),
    ("PR_SET_PDEATHSIG", &[]),
];

/// One source file, ready to be searched.
struct Source {
    /// From the crate's root: `src/machine/unit.rs`.
    path: String,
    /// Top module: `machine`; empty for the crate's root and for `main.rs`.
    module: String,
    /// How many `super` lead from here to the crate's root.
    depth: usize,
    /// First line as it is.
    first_line: String,
    /// The text without comments, literals and tests.
    code: String,
}

#[test]
fn imports_follow_the_table() {
    let mut wrong = String::new();
    for source in sources() {
        if source.module.is_empty() {
            continue;
        }
        let row = TABLE.iter().find(|(module, _)| *module == source.module);
        let Some((module, allowed)) = row else {
            let _ = writeln!(wrong, "{}: module `{}` is not in the table", source.path, source.module);
            continue;
        };
        for import in imports(&source) {
            if import != *module && !allowed.contains(&import.as_str()) {
                let _ = writeln!(wrong, "{}: `{module}` may not import `{import}`", source.path);
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn the_table_has_one_direction() {
    for (at, (module, allowed)) in TABLE.iter().enumerate() {
        for import in *allowed {
            let before = TABLE[..at].iter().any(|(earlier, _)| earlier == import);
            assert!(before, "`{module}` imports `{import}`, which does not stand above it");
        }
    }
}

#[test]
fn what_decides_touches_nothing() {
    let pure = |source: &Source| PURE.contains(&source.module.as_str()) && !TERMINAL.contains(&&*source.path);
    forbid(pure, IMPURE, "is pure");
    // Signals have numbers, and those are libc's; none of its calls.
    let mut wrong = String::new();
    for source in sources().iter().filter(|source| pure(source)) {
        for (at, _) in source.code.match_indices("libc::") {
            let name = word(&source.code[at + "libc::".len()..]);
            if !name.starts_with("SIG") {
                let _ = writeln!(wrong, "{}: pure code names `libc::{name}`", source.path);
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn the_keeper_has_no_runtime() {
    forbid(
        |source| source.module == "keeper",
        &["tokio", "thread::spawn", "thread::scope", "thread::Builder"],
        "is one thread",
    );
}

#[test]
fn what_differs_between_systems_is_in_sys() {
    let outside = |source: &Source| source.module != "sys" && !source.module.is_empty();
    forbid(outside, &["unsafe", "unsafe_code", "target_os"], "is outside `sys`");
    let root = |source: &Source| source.module.is_empty();
    forbid(root, &["unsafe", "target_os"], "is outside `sys`");
}

#[test]
fn printing_has_one_door() {
    forbid(|source| source.path != DOOR, PRINTING, "is not the door");
    forbid(
        |source| source.path != DOOR,
        &["clippy::print_stdout", "clippy::print_stderr"],
        "is not the door",
    );
}

#[test]
fn signals_have_few_doors() {
    let mut wrong = String::new();
    let sources = sources();
    for (call, doors) in SIGNALLING {
        let found: BTreeSet<&str> =
            sources.iter().filter(|source| names(&source.code, call)).map(|source| &*source.path).collect();
        let doors: BTreeSet<&str> = doors.iter().copied().collect();
        for path in found.difference(&doors) {
            let _ = writeln!(wrong, "{path}: names `{call}`, but is no door for signals");
        }
        for path in doors.difference(&found) {
            let _ = writeln!(wrong, "{path}: does not name `{call}` any more; take it out of the table");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn main_is_short() {
    let main = fs::read_to_string(root().join("src/main.rs")).expect("main.rs is there");
    let lines = main.lines().count();
    assert!(lines <= 30, "main.rs has {lines} lines: it hands over, it does not work");
}

#[test]
fn each_file_says_what_it_is_for() {
    let silent: Vec<String> = sources()
        .into_iter()
        .filter(|source| !source.first_line.starts_with("//! "))
        .map(|source| source.path)
        .collect();
    assert!(silent.is_empty(), "no `//! what it is for` on the first line of {silent:#?}");
}

/// The judge is judged: what is seeded must be found, and what only looks like it must not.
#[test]
fn the_search_finds_what_is_seeded() {
    let text = r##"
        //! crate::cli in a comment
        /* crate::cli /* nested */ crate::cli */
        use crate::{domain::Pid, plan::{Plan, types::cli}, store as kept};
        use super::super::sys::pidfd;
        use super::sibling;
        const A: &str = "crate::cli // not a comment";
        const B: &str = r#"crate::cli "quoted" "#;
        const C: char = '"';
        fn f<'a>(x: &'a str) { crate::cage::enter(x) }
        #[cfg(test)]
        mod tests { use crate::supervisor::Loop; fn g() { if true { } } }
        #[cfg(all(test, target_os = "linux"))]
        mod linux { use crate::supervisor::Loop; }
        fn last() { pub(in crate::health) }
    "##;
    let source = Source {
        path: "src/x/y.rs".into(),
        module: "x".into(),
        depth: 2,
        first_line: String::new(),
        code: strip(text),
    };
    let found: Vec<String> = imports(&source).into_iter().collect();
    assert_eq!(found, ["cage", "domain", "health", "plan", "store", "sys"]);
    assert!(names("let a = std::time::Instant::now();", "Instant"));
    assert!(!names("let a = Instantly;", "Instant"));
    assert!(!names("my_tokio::x", "tokio"));
    assert!(names("path.exists()", ".exists()"));
    assert!(!names("eprintln!(x)", "println!"));
}

/// Fails with all places where a chosen file names one of the words.
fn forbid(chosen: impl Fn(&Source) -> bool, words: &[&str], why: &str) {
    let mut wrong = String::new();
    for source in sources().iter().filter(|source| chosen(source)) {
        for word in words.iter().filter(|word| names(&source.code, word)) {
            let _ = writeln!(wrong, "{}: names `{word}`, but {why}", source.path);
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// Whether the code names this, as a whole word where it begins or ends like one.
fn names(code: &str, wanted: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(wanted).any(|(at, _)| {
        let before = code[..at].chars().next_back().is_some_and(is_word) && wanted.starts_with(is_word);
        let after =
            code[at + wanted.len()..].chars().next().is_some_and(is_word) && wanted.ends_with(is_word);
        !before && !after
    })
}

/// Top modules that a file names.
fn imports(source: &Source) -> BTreeSet<String> {
    let mut prefixes = vec!["crate::".to_owned(), "$crate::".to_owned()];
    if source.depth > 0 {
        prefixes.push("super::".repeat(source.depth));
    }
    let mut found = BTreeSet::new();
    for prefix in prefixes {
        for (at, _) in source.code.match_indices(&prefix) {
            // `super::super::x` also holds `super::x`: only the whole chain counts.
            if source.code[..at].ends_with("::") {
                continue;
            }
            let rest = &source.code[at + prefix.len()..];
            match rest.strip_prefix('{') {
                Some(group) => found.extend(group_heads(group)),
                None => found.extend(head(rest)),
            }
        }
    }
    found
}

/// The first word of each entry of `{a::b, c::{d, e}, f}`, the opening brace taken off.
fn group_heads(group: &str) -> Vec<String> {
    let mut depth = 0;
    let mut heads = Vec::from_iter(head(group));
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => heads.extend(head(&group[at + 1..])),
            _ => {}
        }
    }
    heads
}

fn head(text: &str) -> Option<String> {
    let name = word(text.trim_start());
    // `crate::name!` is a macro and `crate::Type` an item of the root: neither is a module.
    let module = name.starts_with(|c: char| c.is_lowercase()) && name != "super" && name != "self";
    module.then(|| name.to_owned())
}

fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every source file but the tests' own.
fn sources() -> Vec<Source> {
    let mut files = Vec::new();
    gather(&root().join("src"), &mut files);
    assert!(files.len() > 10, "the sources were not found");
    let mut sources: Vec<Source> = files.iter().map(|file| read(file)).collect();
    // By the name of the file as well: `#[path = "x_tests.rs"] mod tests;` hides where its module lies.
    sources.retain(|source| !source.path.ends_with("tests.rs"));
    let tests: Vec<String> = sources.iter().flat_map(test_files).collect();
    sources.retain(|source| !tests.iter().any(|test| source.path.starts_with(test.as_str())));
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

fn gather(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a directory of the sources") {
        let path = entry.expect("an entry of the sources").path();
        if path.is_dir() {
            gather(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn read(file: &Path) -> Source {
    let text = fs::read_to_string(file).expect("a source file is text");
    let path = file.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
    let inside = path.trim_start_matches("src/").trim_end_matches(".rs");
    let parts: Vec<&str> = inside.split('/').filter(|part| *part != "mod").collect();
    let module = if matches!(inside, "lib" | "main") { "" } else { parts[0] };
    Source {
        module: module.to_owned(),
        depth: if module.is_empty() { 0 } else { parts.len() },
        first_line: text.lines().next().unwrap_or_default().to_owned(),
        code: strip(&text),
        path,
    }
}

/// Where the files of `#[cfg(test)] mod x;` lie, as beginnings of paths.
fn test_files(source: &Source) -> Vec<String> {
    let (dir, file) = source.path.rsplit_once('/').expect("a file lies in a directory");
    let home = match file.trim_end_matches(".rs") {
        "mod" | "lib" | "main" => dir.to_owned(),
        name => format!("{dir}/{name}"),
    };
    let marked = source.code.split("#[cfg(test)]").skip(1);
    let modules = marked.filter_map(|rest| {
        let rest = rest.trim_start();
        let rest = rest.strip_prefix("pub(crate) ").or(rest.strip_prefix("pub(super) ")).unwrap_or(rest);
        let name = word(rest.strip_prefix("mod ")?);
        rest["mod ".len() + name.len()..].starts_with(';').then_some(name)
    });
    modules.flat_map(|name| [format!("{home}/{name}.rs"), format!("{home}/{name}/")]).collect()
}

/// Takes out comments and literals, then inline test modules.
fn strip(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skipped = match c {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => block_comment(rest),
            '"' => literal(rest, 1, "\""),
            'r' | 'b' | 'c' if !code.ends_with(|c: char| c.is_alphanumeric() || c == '_') => prefixed(rest),
            '\'' => character(rest),
            _ => 0,
        };
        if skipped > 0 {
            // A blank keeps the words on both sides apart.
            code.push(' ');
            rest = &rest[skipped..];
        } else {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    without_tests(&code)
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

/// Length of a string literal with escapes that begins after `start` bytes.
fn literal(text: &str, start: usize, end: &str) -> usize {
    let mut at = start;
    while at < text.len() {
        if text[at..].starts_with('\\') {
            at += 1 + text[at + 1..].chars().next().map_or(0, char::len_utf8);
        } else if text[at..].starts_with(end) {
            return at + end.len();
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// Length of `r"…"`, `r#"…"#`, `b"…"`, `br"…"` and `c"…"`; 0 where it is a name.
fn prefixed(text: &str) -> usize {
    let letters = text.find(|c| !matches!(c, 'r' | 'b' | 'c')).unwrap_or(text.len());
    let hashes = text[letters..].chars().take_while(|c| *c == '#').count();
    let quote = letters + hashes;
    if letters > 2 || !text[quote..].starts_with('"') {
        return 0;
    }
    if !text[..letters].contains('r') {
        return literal(text, quote + 1, "\"");
    }
    let end = format!("\"{}", "#".repeat(hashes));
    text[quote + 1..].find(&end).map_or(text.len(), |at| quote + 1 + at + end.len())
}

/// Length of a character literal; 0 where it is a lifetime.
fn character(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), _) => literal(text, 1, "'"),
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 0,
    }
}

/// Takes out every `#[cfg(test)]` item that has a body.
fn without_tests(code: &str) -> String {
    // `all(test, …)` is a test as well; `any(test, …)` is not only one.
    let code = code.replace("#[cfg(all(test,", "#[cfg(test)] #[cfg(all(");
    let mut kept = String::with_capacity(code.len());
    let mut rest = code.as_str();
    while let Some(at) = rest.find("#[cfg(test)]") {
        let item = &rest[at..];
        let body = item.find(['{', ';']).filter(|at| item[*at..].starts_with('{'));
        let Some(body) = body else {
            // `mod tests;` stays: it says which files are tests.
            let end = at + "#[cfg(test)]".len();
            kept.push_str(&rest[..end]);
            rest = &rest[end..];
            continue;
        };
        kept.push_str(&rest[..at]);
        let mut depth = 0;
        let end = item[body..].char_indices().find_map(|(at, c)| {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            (depth == 0).then_some(body + at + 1)
        });
        rest = &item[end.unwrap_or(item.len())..];
    }
    kept + rest
}
