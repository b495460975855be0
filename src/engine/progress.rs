//! How far a pull is, from what the command says about each layer.

use std::collections::BTreeMap;

/// What is known of an image that is being fetched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    layers: BTreeMap<String, Layer>,
}

/// How far one layer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// It waits or is fetched.
    Fetching,
    /// It is here and has to be unpacked.
    Fetched,
    /// It is in its place.
    Done,
}

impl Progress {
    /// Takes a line of the command in; says whether it told anything new.
    pub(super) fn hear(&mut self, line: &str) -> bool {
        let Some((id, said)) = layer(line) else { return false };
        let before = self.layers.insert(id.to_owned(), said);
        // Lines of one layer never go back, whatever order they come in.
        if let Some(before) = before.filter(|before| *before > said) {
            self.layers.insert(id.to_owned(), before);
        }
        before.is_none_or(|before| before < said)
    }

    /// Layers that are in their place, and all that are known.
    #[must_use]
    pub fn layers(&self) -> (usize, usize) {
        let done = self.layers.values().filter(|layer| **layer == Layer::Done).count();
        (done, self.layers.len())
    }
}

/// `69bbc1d79e25: Pull complete` (docker); `Copying blob sha256:… done` (podman).
fn layer(line: &str) -> Option<(&str, Layer)> {
    if let Some(rest) = line.strip_prefix("Copying blob ") {
        let id = rest.split(' ').next()?;
        let id = id.strip_prefix("sha256:").unwrap_or(id);
        let done = rest.ends_with(" done") || rest.ends_with("skipped: already exists");
        return is_id(id).then_some((id, if done { Layer::Done } else { Layer::Fetching }));
    }
    let (id, said) = line.split_once(": ")?;
    let layer = match said {
        "Pull complete" | "Already exists" => Layer::Done,
        "Download complete" | "Verifying Checksum" => Layer::Fetched,
        "Pulling fs layer" | "Waiting" => Layer::Fetching,
        said if said.starts_with("Downloading") => Layer::Fetching,
        said if said.starts_with("Extracting") => Layer::Fetched,
        _ => return None,
    };
    is_id(id).then_some((id, layer))
}

fn is_id(text: &str) -> bool {
    text.len() >= 12 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As docker 28.2 wrote it where its output was no terminal.
    #[test]
    fn a_pull_goes_on_and_never_back() {
        let lines = [
            ("Using default tag: latest", (0, 0), false),
            ("latest: Pulling from devstack-test/redis", (0, 0), false),
            ("69bbc1d79e25: Pulling fs layer", (0, 1), true),
            ("bc435eb3c416: Pulling fs layer", (0, 2), true),
            ("bc435eb3c416: Verifying Checksum", (0, 2), true),
            ("bc435eb3c416: Download complete", (0, 2), false),
            ("69bbc1d79e25: Download complete", (0, 2), true),
            ("69bbc1d79e25: Pull complete", (1, 2), true),
            ("69bbc1d79e25: Download complete", (1, 2), false),
            ("bc435eb3c416: Pull complete", (2, 2), true),
            (
                "Digest: sha256:3ece254b8f928b5e52c67501b5c2f38a4af3c84e32c0bba1d98e4e0566c155c3",
                (2, 2),
                false,
            ),
            ("Status: Downloaded newer image for 127.0.0.1:15001/devstack-test/redis:latest", (2, 2), false),
        ];
        let mut progress = Progress::default();
        for (line, layers, new) in lines {
            assert_eq!(progress.hear(line), new, "{line}");
            assert_eq!(progress.layers(), layers, "{line}");
        }
    }

    #[test]
    fn podmans_lines_are_understood() {
        let mut progress = Progress::default();
        let id = "44109f3601b9f4749ce51dd278b400a22871857264f6e137758220e9126cc0e7";
        assert!(progress.hear(&format!("Copying blob sha256:{id}")));
        assert!(progress.hear(&format!("Copying blob {id} done")));
        assert_eq!(progress.layers(), (1, 1));
    }
}
