//! Whether a process that matches a `sweep` pattern may be swept: pure rules over what was looked up.
//!
//! A pattern alone is resemblance. It needs evidence that the process belongs to this directory: where it works, what
//! program it is, or what script it was given, all by real paths.

use std::path::{Path, PathBuf};

use crate::cage::safety::program;

/// The names of a manifest: a directory that holds one is a stack of its own.
pub(super) const MANIFESTS: [&str; 2] = ["devstack.yaml", "devstack.yml"];

/// What was looked up about a process whose command line matches.
#[derive(Clone, Debug, Default)]
pub(super) struct Candidate {
    /// Its arguments.
    pub(super) words: Vec<String>,
    /// Where in the arguments, joined by blanks, the match begins.
    pub(super) matched_at: usize,
    /// It runs as the same user.
    pub(super) same_user: bool,
    /// It sees the same file system: its paths mean what ours mean.
    pub(super) same_files: bool,
    /// Its working directory.
    pub(super) cwd: Option<PathBuf>,
    /// Its program.
    pub(super) exe: Option<PathBuf>,
    /// Files named by its arguments.
    pub(super) scripts: Vec<PathBuf>,
}

/// Whose directory is asked about.
pub(super) struct Place<'a> {
    /// The stack's directory, a real path.
    pub(super) dir: &'a Path,
    /// Whether a directory holds a manifest.
    pub(super) is_stack: &'a dyn Fn(&Path) -> bool,
    /// `scope: user`: no evidence of the directory is needed.
    pub(super) user_wide: bool,
}

/// What kind of program stands behind a command line, as far as a sweep cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Shell,
    Editor,
    Viewer,
    Any,
}

const SHELLS: [&str; 13] =
    ["sh", "bash", "zsh", "fish", "dash", "ksh", "mksh", "ash", "busybox", "tcsh", "csh", "nu", "pwsh"];
const EDITORS: [&str; 40] = [
    "vi",
    "vim",
    "nvim",
    "view",
    "nano",
    "pico",
    "micro",
    "emacs",
    "emacsclient",
    "hx",
    "helix",
    "kak",
    "joe",
    "ed",
    "ne",
    "code",
    "code-insiders",
    "codium",
    "cursor",
    "zed",
    "zeditor",
    "subl",
    "sublime_text",
    "gedit",
    "kate",
    "idea",
    "webstorm",
    "pycharm",
    "goland",
    "clion",
    "rustrover",
    "tmux",
    "screen",
    "zellij",
    "byobu",
    "ssh",
    "sudo",
    "su",
    "claude",
    "devstack",
];
const VIEWERS: [&str; 20] = [
    "less", "more", "most", "bat", "tail", "head", "cat", "grep", "egrep", "rg", "ag", "ack", "find",
    "watch", "man", "git", "lazygit", "tig", "gdb", "strace",
];

/// The evidence in words, or why there is none.
pub(super) fn judge(candidate: &Candidate, place: &Place<'_>) -> Result<String, String> {
    if !candidate.same_user {
        return Err("belongs to another user".to_owned());
    }
    if !candidate.same_files {
        return Err("runs within a container or another file system".to_owned());
    }
    if let Some(why) = is_person(candidate) {
        return Err(why.to_owned());
    }
    let cwd = candidate.cwd.as_deref();
    // A second checkout may run programs of ours through a link: where it works says whose it is.
    if let Some(other) = cwd.and_then(|cwd| home(cwd, place)).filter(|home| *home != place.dir) {
        return Err(format!("works in another stack, {}", other.display()));
    }
    let inside = |path: &&Path| home(path, place) == Some(place.dir);
    if let Some(cwd) = cwd.filter(inside) {
        return Ok(format!("works in {}", cwd.display()));
    }
    if let Some(exe) = candidate.exe.as_deref().filter(inside) {
        return Ok(format!("its program is {}", exe.display()));
    }
    if let Some(script) = candidate.scripts.iter().map(PathBuf::as_path).find(inside) {
        return Ok(format!("its script is {}", script.display()));
    }
    if place.user_wide {
        return Ok("the manifest sweeps all processes of this user".to_owned());
    }
    Err(match cwd {
        Some(cwd) => format!("no evidence that it belongs here: it works in {}", cwd.display()),
        None => "no evidence that it belongs here: its working directory cannot be read".to_owned(),
    })
}

/// The stack that a path lies in: the nearest directory above it that is the stack asked about or holds a manifest.
///
/// A checkout inside the checkout (a worktree, a sub-project with a manifest of its own) is therefore not ours.
fn home<'a>(path: &'a Path, place: &Place<'a>) -> Option<&'a Path> {
    path.ancestors().find(|above| *above == place.dir || (place.is_stack)(above))
}

/// Why a match is a person at work rather than a process of the stack.
fn is_person(candidate: &Candidate) -> Option<&'static str> {
    let name = program(&candidate.words).unwrap_or_default();
    let kind = match name {
        shell if SHELLS.contains(&shell) => Kind::Shell,
        editor if EDITORS.contains(&editor) => Kind::Editor,
        viewer if VIEWERS.contains(&viewer) => Kind::Viewer,
        _ => Kind::Any,
    };
    // The pattern names the program itself: that is meant.
    let first = candidate.words.first().map_or(0, String::len);
    let named = candidate.matched_at < first;
    match kind {
        Kind::Any => None,
        Kind::Editor => Some("is an editor or a terminal"),
        Kind::Viewer if named => None,
        Kind::Viewer => Some("only mentions it"),
        // `sh -c …` and `sh script` carry work; a shell without either waits for a person.
        Kind::Shell if carries_work(&candidate.words) && !named => None,
        Kind::Shell => Some("is an interactive shell"),
    }
}

fn carries_work(words: &[String]) -> bool {
    let mut rest = words.iter().skip(1);
    rest.any(|word| {
        let command = word.starts_with('-') && !word.starts_with("--") && word.contains('c');
        command || !word.starts_with(['-', '+'])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(line: &str, cwd: &str, change: impl Fn(&mut Candidate)) -> Result<String, String> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let mut candidate = Candidate {
            matched_at: line.find("vitest").expect("each line of this table matches"),
            words,
            same_user: true,
            same_files: true,
            cwd: Some(PathBuf::from(cwd)),
            exe: Some(PathBuf::from("/usr/bin/node")),
            scripts: Vec::new(),
        };
        change(&mut candidate);
        let is_stack =
            |dir: &Path| ["/w/shop", "/w/shop/.trees/b", "/w/shop2"].contains(&dir.to_str().unwrap_or(""));
        judge(&candidate, &Place { dir: Path::new("/w/shop"), is_stack: &is_stack, user_wide: false })
    }

    #[test]
    fn work_in_this_directory_is_swept() {
        for line in [
            "node vitest run",
            "vitest",
            "sh -c vitest",
            "bash run-vitest.sh",
            "bash -lc vitest",
            "npm vitest",
        ] {
            assert!(judged(line, "/w/shop", |_| {}).is_ok(), "{line}");
            assert!(judged(line, "/w/shop/packages/a", |_| {}).is_ok(), "{line}");
        }
        let script =
            |c: &mut Candidate| c.scripts = vec![PathBuf::from("/w/shop/node_modules/vitest/cli.js")];
        let evidence = judged("node vitest", "/tmp", script).expect("its script is here");
        assert!(evidence.contains("/w/shop/node_modules/vitest/cli.js"));
        let exe = |c: &mut Candidate| c.exe = Some(PathBuf::from("/w/shop/bin/vitest"));
        assert!(judged("vitest", "/", exe).is_ok());
    }

    #[test]
    fn what_only_resembles_is_left_alone() {
        for cwd in ["/w", "/w/shop2", "/w/shopping", "/w/shop/.trees/b", "/w/shop/.trees/b/src", "/home/x"] {
            assert!(judged("node vitest run", cwd, |_| {}).is_err(), "{cwd}");
        }
        assert!(judged("node vitest", "/w/shop", |c| c.same_user = false).is_err());
        assert!(judged("node vitest", "/w/shop", |c| c.same_files = false).is_err());
        assert!(judged("node vitest", "/w/shop", |c| c.cwd = None).is_err());
    }

    #[test]
    fn a_second_checkout_is_not_touched_even_where_it_runs_our_files() {
        let linked =
            |c: &mut Candidate| c.scripts = vec![PathBuf::from("/w/shop/node_modules/vitest/cli.js")];
        for cwd in ["/w/shop2", "/w/shop2/packages/a", "/w/shop/.trees/b"] {
            let why = judged("node vitest", cwd, linked).expect_err("another checkout");
            assert!(why.contains("another stack"), "{why}");
        }
    }

    #[test]
    fn a_person_standing_in_the_directory_is_no_match() {
        let people = [
            "vim vitest.config.ts",
            "/usr/bin/nvim src/vitest.ts",
            "tmux new -s vitest",
            "less vitest.log",
            "tail -f vitest.log",
            "grep -r vitest .",
            "git log vitest",
            "-vitest-bash",
        ];
        for line in people.iter().take(7) {
            assert!(judged(line, "/w/shop", |_| {}).is_err(), "{line}");
        }
        // A pattern that names the shell itself reaches none that waits for a person.
        let shell = |c: &mut Candidate| (c.words, c.matched_at) = (vec!["-bash".to_owned()], 1);
        assert!(judged("vitest", "/w/shop", shell).is_err());
        // Who writes the viewer into the pattern means it.
        let named = |c: &mut Candidate| c.matched_at = 0;
        assert!(judged("tail -f vitest.log", "/w/shop", named).is_ok());
    }

    #[test]
    fn user_scope_drops_the_directory_and_nothing_else() {
        let mut candidate = Candidate {
            words: vec!["vitest".to_owned()],
            same_user: true,
            same_files: true,
            cwd: Some(PathBuf::from("/elsewhere")),
            ..Candidate::default()
        };
        let place =
            Place { dir: Path::new("/w/shop"), is_stack: &|dir| dir == Path::new("/other"), user_wide: true };
        assert!(judge(&candidate, &place).is_ok());
        candidate.cwd = Some(PathBuf::from("/other/src"));
        assert!(judge(&candidate, &place).is_err());
        candidate.cwd = None;
        candidate.same_user = false;
        assert!(judge(&candidate, &place).is_err());
    }
}
