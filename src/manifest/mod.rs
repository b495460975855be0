//! devstack.yaml as written: parsed into places and texts, with every problem reported at once.
//!
//! The way of a manifest: bytes → (`yaml`) a tree in which each value has its place → (`read`) a [`Manifest`] in which
//! each key is known → (`plan`) a plan. Values are judged there, because `${…}` is substituted there.

mod code;
mod model;
mod near;
mod node;
mod place;
mod problem;
mod read;
mod render;
mod yaml;

pub use code::Code;
pub use model::*;
pub(crate) use near::nearest;
pub(crate) use problem::Problems;
pub use problem::{Label, Problem, Span, in_order};
pub use render::render;
pub(crate) use yaml::emit;

/// The largest manifest that is read, in bytes.
pub const MAX_BYTES: usize = 16 << 20;

/// Reads a manifest. Its structure is checked: keys, types, names; not its values, which `plan::resolve` does.
pub fn parse(text: &[u8]) -> Result<Manifest, Vec<Problem>> {
    let (manifest, problems) = parse_lenient(text);
    manifest.filter(|_| problems.is_empty()).ok_or(problems)
}

/// Reads as much of a manifest as can be read, so that its values can be judged although a key of it is wrong.
/// No manifest at all means that the file is not YAML or no map.
#[must_use]
pub fn parse_lenient(text: &[u8]) -> (Option<Manifest>, Vec<Problem>) {
    let mut problems = Problems::default();
    let manifest = read_bytes(text, &mut problems);
    (manifest, problems.into_sorted())
}

fn read_bytes(bytes: &[u8], problems: &mut Problems) -> Option<Manifest> {
    if bytes.len() > MAX_BYTES {
        let message = format!("the manifest is larger than {} MiB", MAX_BYTES >> 20);
        problems.push(Problem::nowhere(Code::TooMuch, message));
        return None;
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let at = error.valid_up_to();
            let before = String::from_utf8_lossy(&bytes[..at]);
            let problem =
                Problem::at(Code::NotText, place::locate(&before, at, at), "this is not UTF-8 text");
            let wide = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
            let hint = if wide { "it looks like UTF-16: save it as UTF-8" } else { "save the file as UTF-8" };
            problems.push(problem.hint(hint));
            return None;
        }
    };
    if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
        problems.push(Problem::at(Code::NotText, place::locate(text, at, at + 1), "a NUL byte is no text"));
        return None;
    }
    let root = yaml::read(text, problems)?;
    let start = text.len() - text.trim_start_matches('\u{feff}').len();
    let whole = place::locate(text, start, text.len());
    read::manifest(&root, whole, problems)
}
