//! `init --hooks`: a git hook that looks for strays before a commit. It never replaces what somebody else wrote.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::args::{HookMode, InitArgs};
use super::exit::{CliError, Code};
use super::hook::{Hook, line};
use super::place::Place;
use crate::show::Door;

/// What is asked before each commit.
const NAME: &str = "pre-commit";

/// Where a hook belongs, and what it is for.
struct Ground {
    /// The hook's file.
    path: PathBuf,
    /// The manifest, as seen from the top of the checkout.
    manifest: String,
}

/// What stands in the hook's place.
enum Found {
    Nothing,
    Ours(Hook),
    Foreign,
}

/// Runs the verb.
pub(super) fn run(place: &Place, door: &Door, args: &InitArgs) -> Result<Code, CliError> {
    let Some(mode) = args.hooks else {
        let what = "init writes no manifest yet; it installs the git hook: devstack init --hooks";
        return Err(CliError::Usage(what.to_owned()));
    };
    let ground = Ground::find(&place.manifest()?)?;
    let said = if args.remove { ground.remove()? } else { ground.install(mode)? };
    door.answer(&format!("{} {said}\n", door.out.marks().good))?;
    Ok(Code::Done)
}

impl Ground {
    /// Git itself says where its hooks are: `core.hooksPath`, linked worktrees and `.git` files are its business.
    fn find(manifest: &Path) -> Result<Self, CliError> {
        let manifest = fs::canonicalize(manifest)?;
        let dir = manifest.parent().unwrap_or(&manifest);
        let top = git(dir, &["--show-toplevel"])?
            .map_err(|reason| CliError::NoRepository { dir: dir.display().to_string(), reason })?;
        let below = fs::canonicalize(&top)?;
        let below = manifest.strip_prefix(&below).ok().and_then(Path::to_str);
        let below = below.filter(|path| !path.contains('\n')).ok_or_else(|| {
            CliError::Usage(format!("{} cannot be named in a hook of {}", manifest.display(), top.display()))
        })?;
        // From the top: a relative `core.hooksPath` counts from there.
        let hooks = git(&top, &["--git-path", "hooks"])?.map_err(|reason| cannot(&top, reason))?;
        let hooks = top.join(hooks);
        Ok(Self { path: hooks.join(NAME), manifest: below.to_owned() })
    }

    fn install(&self, mode: HookMode) -> Result<String, CliError> {
        let mut hook = match self.look()? {
            Found::Nothing => Hook::default(),
            Found::Ours(hook) => hook,
            Found::Foreign => {
                let (path, line) = (self.path.display().to_string(), line(&self.manifest, mode));
                return Err(CliError::ForeignHook { path, line });
            }
        };
        let does = match mode {
            HookMode::Warn => "tells of strays",
            HookMode::Sweep => "ends strays",
        };
        let before = hook.0.insert(self.manifest.clone(), mode);
        let word = if before == Some(mode) { "is there already" } else { "is installed" };
        self.write(&hook)?;
        Ok(format!("the hook {} {word}: it {does} of {} before a commit", self.path.display(), self.manifest))
    }

    fn remove(&self) -> Result<String, CliError> {
        let path = self.path.display();
        Ok(match self.look()? {
            Found::Ours(mut hook) => match hook.0.remove(&self.manifest) {
                None => format!("nothing to remove: no hook looks after {}", self.manifest),
                Some(_) if hook.0.is_empty() => {
                    fs::remove_file(&self.path)?;
                    format!("the hook {path} is removed")
                }
                Some(_) => {
                    self.write(&hook)?;
                    format!("the hook {path} does nothing for {} any more", self.manifest)
                }
            },
            Found::Foreign => format!("nothing to remove: the hook {path} was not written by devstack"),
            Found::Nothing => format!("nothing to remove: there is no hook {path}"),
        })
    }

    fn look(&self) -> Result<Found, CliError> {
        match fs::symlink_metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
            Ok(meta) if meta.is_file() => {}
            // A link leads to somebody's file.
            Ok(_) => return Ok(Found::Foreign),
            Err(error) => return Err(error.into()),
        }
        let text = fs::read(&self.path)?;
        let ours = std::str::from_utf8(&text).ok().and_then(Hook::parse);
        Ok(ours.map_or(Found::Foreign, Found::Ours))
    }

    /// A commit in the middle of it finds the old hook or the new one.
    fn write(&self, hook: &Hook) -> io::Result<()> {
        let dir = self.path.parent().unwrap_or(&self.path);
        fs::create_dir_all(dir)?;
        let new = dir.join(format!("{NAME}.devstack-{}", std::process::id()));
        fs::write(&new, hook.render())?;
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755))?;
        fs::rename(&new, &self.path).inspect_err(|_| drop(fs::remove_file(&new)))
    }
}

/// One line of `git rev-parse`, or its complaint.
fn git(dir: &Path, args: &[&str]) -> Result<Result<PathBuf, String>, CliError> {
    let asked = Command::new("git").arg("-C").arg(dir).arg("rev-parse").args(args).output();
    let asked = asked.map_err(|error| cannot(dir, format!("git cannot be run: {error}")))?;
    if !asked.status.success() {
        return Ok(Err(String::from_utf8_lossy(&asked.stderr).trim().to_owned()));
    }
    let text = String::from_utf8(asked.stdout).map_err(|error| cannot(dir, error.to_string()))?;
    Ok(Ok(PathBuf::from(text.trim_end_matches('\n'))))
}

fn cannot(dir: &Path, why: String) -> CliError {
    let what = format!("the git repository of {}", dir.display());
    CliError::Io { what, source: io::Error::other(why) }
}
