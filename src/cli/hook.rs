//! The git hook as text: what devstack writes, and how it knows its own again.

use std::collections::BTreeMap;

use super::args::HookMode;

const HEAD: &str = "\
#!/bin/sh
# Written by `devstack init --hooks`; `devstack init --hooks --remove` takes it away. It never stops a commit.

found() {
    command -v devstack >/dev/null 2>&1 && [ -f \"$1\" ] || return 1
    strays=$(devstack sweep -f \"$1\" --dry-run 2>/dev/null)
    [ $? -eq 5 ]
}

warn() {
    found \"$1\" && printf '%s\\n%s\\n' \"$strays\" \"to end them: devstack sweep -f $1\" >&2
}

sweep() {
    found \"$1\" && devstack sweep -f \"$1\" --timeout 3s >&2
}

";

const TAIL: &str = "exit 0\n";

/// The manifests that a hook looks after, by their path below the top of the checkout, and what it does for each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hook(pub(super) BTreeMap<String, HookMode>);

impl Hook {
    /// The whole file.
    pub(super) fn render(&self) -> String {
        let lines = self.0.iter().map(|(manifest, mode)| format!("{} {}\n", mode.word(), quoted(manifest)));
        HEAD.to_owned() + &lines.collect::<String>() + TAIL
    }

    /// Reads a file that devstack wrote. None for every other, also for one of ours that somebody has changed: his words
    /// must not be lost.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let lines = text.strip_prefix(HEAD)?.strip_suffix(TAIL)?.lines();
        let hook = Self(lines.map(entry).collect::<Option<_>>()?);
        (hook.render() == text).then_some(hook)
    }
}

fn entry(line: &str) -> Option<(String, HookMode)> {
    let (word, path) = line.split_once(' ')?;
    let mode = [HookMode::Warn, HookMode::Sweep].into_iter().find(|mode| mode.word() == word)?;
    Some((path.strip_prefix('\'')?.strip_suffix('\'')?.replace(r"'\''", "'"), mode))
}

/// One line that does the same, for a hook that somebody else wrote.
pub(super) fn line(manifest: &str, mode: HookMode) -> String {
    let only = match mode {
        HookMode::Warn => " --dry-run",
        HookMode::Sweep => "",
    };
    format!("command -v devstack >/dev/null && devstack sweep -f {}{only} >&2 || true", quoted(manifest))
}

/// A word for a shell, whatever is in it.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_knows_its_own_and_nothing_else() {
        let mut hook = Hook::default();
        hook.0.insert("devstack.yaml".to_owned(), HookMode::Warn);
        hook.0.insert("it's/a dir/devstack.yaml".to_owned(), HookMode::Sweep);
        let text = hook.render();
        assert!(text.contains(r"sweep 'it'\''s/a dir/devstack.yaml'"), "{text}");
        assert_eq!(Hook::parse(&text), Some(hook));
        let changed = text.replace("exit 0", "npm run lint\nexit 0");
        for foreign in [changed.as_str(), "", "#!/bin/sh\nexit 0\n", &text[1..], &text[..text.len() - 1]] {
            assert_eq!(Hook::parse(foreign), None, "{foreign}");
        }
    }
}
