//! Volumes as texts: `pgdata:/var/lib/data`, `./conf:/etc/app:ro`, `/cache`.

use std::path::Path;

use crate::manifest::{Code, nearest};

use super::judge::absolute;
use super::values::Fault;
use super::{VolumePlan, VolumeSource};

/// Where paths are seen from, and what named volumes are called.
pub(super) struct Ground<'g> {
    pub(super) dir: &'g Path,
    pub(super) home: Option<&'g str>,
    /// The engine's name of a volume, and whether it is somebody else's.
    pub(super) name: &'g dyn Fn(&str) -> (String, bool),
}

/// What the engines know behind the second colon.
const OPTIONS: [&str; 24] = [
    "ro",
    "rw",
    "z",
    "Z",
    "U",
    "O",
    "nocopy",
    "copy",
    "cached",
    "delegated",
    "consistent",
    "shared",
    "rshared",
    "slave",
    "rslave",
    "private",
    "rprivate",
    "exec",
    "noexec",
    "dev",
    "nodev",
    "suid",
    "nosuid",
    "idmap",
];

fn bad(message: String) -> Fault {
    Fault::new(Code::BadValue, message)
}

/// `source:target:options`.
pub(super) fn short(text: &str, ground: &Ground<'_>) -> Result<VolumePlan, Fault> {
    const FORM: &str = "write `NAME:/path/inside`, `./path:/path/inside` or `…:ro`";
    match text.split(':').collect::<Vec<_>>()[..] {
        [inside] if inside.starts_with('/') => {
            Ok(VolumePlan { source: VolumeSource::Anonymous, inside: inner(inside)?, options: String::new() })
        }
        [""] => Err(bad("a volume is empty".to_owned()).hint(FORM)),
        [source] => Err(bad(format!("`{source}` is mounted nowhere"))
            .hint(format!("write where it is to be inside: `{source}:/path/inside`"))),
        [source, inside] => made(self::source(source, ground)?, inside, ""),
        [source, inside, words] => made(self::source(source, ground)?, inside, options(words)?),
        _ => Err(bad(format!("`{text}` holds too many colons")).hint(FORM)),
    }
}

/// Source, path inside and options, as the engine can be told them.
pub(super) fn made(source: VolumeSource, inside: &str, options: &str) -> Result<VolumePlan, Fault> {
    if let VolumeSource::Path(path) = &source
        && path.to_string_lossy().contains(':')
    {
        let fault = bad(format!("`{}` cannot be mounted", path.display()));
        return Err(fault.hint("engines take a `:` in a path for the end of it: choose another directory"));
    }
    Ok(VolumePlan { source, inside: inner(inside)?, options: options.to_owned() })
}

/// Where it is inside.
fn inner(inside: &str) -> Result<String, Fault> {
    let plain = !inside.contains([':', '\n', '\r']);
    if inside.starts_with('/') && inside.trim_end_matches('/').len() > 1 && plain {
        return Ok(inside.to_owned());
    }
    let fault = bad(format!("`{inside}` is no path inside"));
    Err(fault.hint("a path inside a container begins with `/` and is not `/` itself"))
}

/// A path of this machine, or the name of a volume.
pub(super) fn source(text: &str, ground: &Ground<'_>) -> Result<VolumeSource, Fault> {
    if text.starts_with(['/', '.', '~']) { path(text, ground) } else { named(text, ground) }
}

/// A path of this machine; `~` is the caller's home.
pub(super) fn path(text: &str, ground: &Ground<'_>) -> Result<VolumeSource, Fault> {
    let whole = match text.strip_prefix('~') {
        None => absolute(ground.dir, text),
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            let home = ground.home.filter(|home| home.starts_with('/'));
            let home = home.ok_or_else(|| bad("there is no home (HOME) that `~` could mean".to_owned()))?;
            absolute(Path::new(home), rest.trim_start_matches('/'))
        }
        Some(_) => {
            return Err(
                bad(format!("`{text}` cannot be found")).hint("write the path, or `~/` for your own home")
            );
        }
    };
    Ok(VolumeSource::Path(whole))
}

/// A volume of the engine.
pub(super) fn named(text: &str, ground: &Ground<'_>) -> Result<VolumeSource, Fault> {
    if fits(text) {
        let (name, external) = (ground.name)(text);
        return Ok(VolumeSource::Named { written: text.to_owned(), name, external });
    }
    let fault = Fault::new(Code::BadName, format!("`{text}` cannot name a volume"));
    Err(fault.hint(if text.contains('/') {
        format!("a path begins with `./`, `/` or `~/`: write `./{text}`")
    } else {
        "letters, digits, `_`, `.` and `-` are fine, and two of them at least".to_owned()
    }))
}

fn options(text: &str) -> Result<&str, Fault> {
    for word in text.split(',') {
        if !OPTIONS.contains(&word) {
            let fault = bad(format!("`{word}` is no option of a volume"));
            return Err(fault.hint(match nearest(word, OPTIONS) {
                Some(near) if !word.is_empty() => format!("is `{near}` meant?"),
                _ => "usual ones are `ro` and `rw`".to_owned(),
            }));
        }
    }
    Ok(text)
}

/// Whether engines take it for a name.
pub(super) fn fits(text: &str) -> bool {
    let first = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    let rest = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    first && text.len() > 1 && text.chars().all(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<VolumePlan, Fault> {
        let name = |text: &str| (format!("shop-{text}-123456"), false);
        short(text, &Ground { dir: Path::new("/home/dev/shop"), home: Some("/home/dev"), name: &name })
    }

    #[test]
    fn every_form_of_a_volume() {
        let told = |text: &str| {
            let volume = read(text).expect(text);
            let source = match volume.source {
                VolumeSource::Named { written, name, .. } => format!("{written}={name}"),
                VolumeSource::Path(path) => path.display().to_string(),
                VolumeSource::Anonymous => "-".to_owned(),
            };
            format!("{source} {} {}", volume.inside, volume.options)
        };
        assert_eq!(told("pgdata:/data"), "pgdata=shop-pgdata-123456 /data ");
        assert_eq!(told("./conf:/etc/app:ro"), "/home/dev/shop/conf /etc/app ro");
        assert_eq!(told(".:/app:rw,z"), "/home/dev/shop /app rw,z");
        assert_eq!(told("../x:/x"), "/home/dev/shop/../x /x ");
        assert_eq!(told("~/x:/x"), "/home/dev/x /x ");
        assert_eq!(told("~:/x"), "/home/dev /x ");
        assert_eq!(told("/srv:/x"), "/srv /x ");
        assert_eq!(told("/cache"), "- /cache ");
    }

    #[test]
    fn each_other_form_says_what_would_be_right() {
        for text in [
            "",
            "pgdata",
            "pgdata:data",
            "conf/x:/x",
            "~root/x:/x",
            "a:/x",
            "-a:/x",
            "pg data:/x",
            "x:/",
            "x:/y:r0",
            "xx:/y:",
            "a:b:c:d",
            "/a:ro",
            ":/x",
        ] {
            assert!(read(text).expect_err(text).hint.is_some(), "{text}");
        }
        assert!(read("pgdata:/x:cahced").expect_err("a slip").hint.expect("near").contains("cached"));
        assert!(
            path("~/x", &Ground { dir: Path::new("/"), home: None, name: &|_| (String::new(), false) })
                .is_err()
        );
    }
}
