//! What real programs need before they can be specimens, made once for a run: `@WORDS` of the scripts and what they are.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use crate::promise::User;
use crate::world::{NOBODY, World, is_root};

/// Where Debian has programs, whatever the user's own PATH holds.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What the words of a script mean for one user.
pub(crate) struct Tools {
    words: BTreeMap<&'static str, String>,
    user: User,
}

impl Tools {
    /// Makes what is wanted, in a directory that outlives the run.
    pub(crate) fn prepare(world: &World, user: User, wanted: &[&str], foreign: &Path) -> Self {
        let mut tools = Self { words: BTreeMap::new(), user };
        let dir = world.beside("tools");
        tools.own(&dir);
        tools.words.insert("@S", world.program("stand-in").display().to_string());
        tools.words.insert("@FOREIGN", foreign.display().to_string());
        let wants = |word: &str| wanted.contains(&word);
        if wants("@PYTHON") && tools.has("/usr/bin/python3") {
            tools.words.insert("@PYTHON", "/usr/bin/python3".to_owned());
        }
        if wants("@USERNS") {
            tools.namespaces();
        }
        if wants("@FIXTURE") {
            tools.fixture();
        }
        if wants("@POSTGRES") {
            tools.postgres(&dir);
        }
        if wants("@JAVA") {
            tools.java(&dir);
        }
        if wants("@SETUID") {
            tools.setuid(world);
        }
        tools
    }

    /// What is missing of what a shape needs.
    pub(crate) fn missing<'a>(&self, needs: &[&'a str]) -> Option<&'a str> {
        needs.iter().copied().find(|need| match need.strip_prefix('@') {
            Some(_) => !self.words.contains_key(need),
            None => !self.has(need),
        })
    }

    /// A script with its words resolved.
    pub(crate) fn resolve(&self, script: &str) -> String {
        let mut text = script.to_owned();
        // Longer words first: one may begin like another.
        for (word, value) in self.words.iter().rev() {
            text = text.replace(word, value);
        }
        text
    }

    /// The same command as the user of this run.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = if self.user == User::Plain && is_root() {
            let mut command = Command::new("setpriv");
            let (user, group) = (format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"));
            command.args([&user, &group, "--clear-groups", "--", program]);
            command
        } else {
            Command::new(program)
        };
        // A user's shell in the password file may be one that refuses to run anything, and tmux asks for it.
        command
            .env("PATH", PATH)
            .env("SHELL", "/bin/sh")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    fn works(&self, program: &str, args: &[&str]) -> bool {
        self.command(program).args(args).current_dir("/").status().is_ok_and(|status| status.success())
    }

    fn has(&self, program: &str) -> bool {
        self.works("sh", &["-c", &format!("command -v {program}")])
    }

    fn own(&self, path: &Path) {
        if self.user == User::Plain && is_root() {
            std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).expect("root may");
        }
    }

    fn namespaces(&mut self) {
        let option = if self.user == User::Plain { "--user --map-root-user" } else { "" };
        let mut args: Vec<&str> = option.split_whitespace().collect();
        args.extend(["--pid", "--fork", "true"]);
        if self.works("unshare", &args) {
            self.words.insert("@USERNS", option.to_owned());
        }
    }

    fn fixture(&mut self) {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/node");
        let installed = fixture.join("node_modules/turbo").exists();
        let readable = self.works("ls", &[&fixture.display().to_string()]);
        if installed && readable && self.has("npm") {
            self.words.insert("@FIXTURE", fixture.display().to_string());
        }
    }

    /// An empty database, which each specimen copies. Postgres refuses root: for root it is started as nobody.
    fn postgres(&mut self, dir: &Path) {
        let data = dir.join("postgres");
        let initdb = ["initdb", "/usr/lib/postgresql/*/bin/initdb"].into_iter().find_map(|pattern| {
            let found =
                Command::new("sh").args(["-c", &format!("command -v {pattern}")]).env("PATH", PATH).output();
            let text = String::from_utf8(found.ok()?.stdout).ok()?;
            Some(PathBuf::from(text.lines().next()?))
        });
        let Some(bin) = initdb.and_then(|initdb| Some(initdb.parent()?.to_owned())) else { return };
        let drop = if is_root() && self.user != User::Plain {
            format!("setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups ")
        } else {
            String::new()
        };
        let script = format!(
            "{drop}{}/initdb -D {} -A trust -N --wal-segsize=1 -E UTF8 --no-locale",
            bin.display(),
            data.display()
        );
        fs::set_permissions(dir, fs::Permissions::from_mode(0o777)).expect("it is ours");
        if self.works("sh", &["-c", &script]) {
            self.words.insert("@POSTGRES", data.display().to_string());
            self.words.insert("@DROP pg_ctl", format!("{drop}{}/pg_ctl", bin.display()));
        }
    }

    fn java(&mut self, dir: &Path) {
        const SOURCE: &str =
            "public class Parent { public static void main(String[] words) throws Exception {
            new ProcessBuilder(words).start().waitFor(); } }\n";
        let file = dir.join("Parent.java");
        fs::write(&file, SOURCE).expect("writable");
        let place = dir.display().to_string();
        if self.works("javac", &["-d", &place, &file.display().to_string()]) {
            self.words.insert("@JAVA", place);
        }
    }

    /// A program that becomes root when a plain user starts it: only root can make one.
    fn setuid(&mut self, world: &World) {
        if self.user != User::Plain || !is_root() {
            return;
        }
        let file = world.beside("tools").join("setuid");
        // A copy: the program that all tests share must not become one.
        fs::copy(world.program("stand-in"), &file).expect("writable");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o4755)).expect("it is ours");
        self.words.insert("@SETUID", file.display().to_string());
    }
}
