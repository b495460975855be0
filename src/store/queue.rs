//! The jobs of a stack in the order in which they came: each holds a ticket, a locked file, for as long as its process lives.
//!
//! The kernel lets go of the lock when that process dies, however it does: a ticket that nobody holds is nobody's, and
//! whoever looks next takes it away. Numbers only grow: they are also the numbers of the jobs' lives.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::files::{private_dir, private_file, read_private};
use super::lock::write_number;
use super::{Lock, StackDir};
use crate::domain::{Life, ProcId, UnitName};

/// Looks at a lock are over in microseconds.
const CLOSING_TRIES: u32 = 50;
const CLOSING_PAUSE: Duration = Duration::from_millis(1);

/// All tickets of one stack.
#[derive(Clone, Debug)]
pub struct Queue(PathBuf);

/// A job that runs or waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its number.
    pub life: Life,
    /// Its name, as a unit.
    pub name: UnitName,
    /// Its `devstack run`.
    pub run: ProcId,
    /// The job that it was called from: it stands in that one's place.
    pub within: Option<Life>,
}

/// What stands in a ticket.
#[derive(Debug, Serialize, Deserialize)]
struct Text {
    name: UnitName,
    run: ProcId,
    #[serde(default)]
    within: Option<Life>,
}

/// This process's own ticket; it goes with it.
#[derive(Debug)]
pub struct Ticket {
    /// Its number.
    pub life: Life,
    /// The job's name, as a unit.
    pub name: UnitName,
    /// The job that it was called from.
    pub within: Option<Life>,
    path: PathBuf,
    _held: File,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // One that stays is found to be nobody's.
        let _ = fs::remove_file(&self.path);
    }
}

impl Queue {
    /// That of a stack.
    #[must_use]
    pub fn of(dir: &StackDir) -> Self {
        Self(dir.jobs())
    }

    /// Takes a ticket. `name` is asked for a name with all that are in the queue now in view; `ancestors` are those of
    /// the one who takes it: where one of them holds a job, it is called from that.
    pub fn join(
        &self,
        run: ProcId,
        ancestors: &[ProcId],
        name: impl FnOnce(&[Standing]) -> UnitName,
    ) -> io::Result<Ticket> {
        private_dir(&self.0).map_err(io::Error::other)?;
        let _line = self.line()?;
        let all = self.look()?;
        let name = name(&all);
        // The nearest first.
        let within =
            ancestors.iter().find_map(|id| all.iter().find(|one| one.run == *id)).map(|one| one.life);
        let last = number_in(&self.last());
        let life = Life(all.iter().map(|one| one.life.0).max().unwrap_or(0).max(last) + 1);
        let path = self.0.join(life.to_string());
        let mut held = private_file(OpenOptions::new().write(true).create(true).truncate(true), &path)?;
        flock(&held, FlockOperation::LockExclusive)?;
        held.write_all(&serde_json::to_vec(&Text { name: name.clone(), run, within })?)?;
        let last = private_file(OpenOptions::new().write(true).create(true).truncate(false), &self.last())?;
        write_number(&last, life.0)?;
        Ok(Ticket { life, name, within, path, _held: held })
    }

    /// Those that came before this number and are still there, in order.
    pub fn before(&self, life: Life) -> io::Result<Vec<Standing>> {
        let _line = self.line()?;
        let mut all = self.look()?;
        all.retain(|one| one.life < life);
        Ok(all)
    }

    /// Sends away all that wait; as long as the lock is held, none begins either. None where somebody else holds it.
    pub fn close(&self) -> io::Result<Option<Lock>> {
        private_dir(&self.0).map_err(io::Error::other)?;
        let mut closing = Lock::try_take(&self.closing())?;
        for _ in 0..CLOSING_TRIES {
            if closing.is_some() {
                break;
            }
            // Whoever only looks whether it is held holds it for that moment.
            std::thread::sleep(CLOSING_PAUSE);
            closing = Lock::try_take(&self.closing())?;
        }
        let all = self.before(Life(u32::MAX))?;
        let last = all.last().map_or(0, |one| one.life.0);
        let gone = private_file(OpenOptions::new().write(true).create(true).truncate(false), &self.gone())?;
        write_number(&gone, last.max(number_in(&self.last())))?;
        Ok(closing)
    }

    /// Whether a job of this number may still begin: no end of the whole stack has begun since it came.
    #[must_use]
    pub fn is_open_to(&self, life: Life) -> bool {
        // The one who closes takes the lock first and writes then: never both are missed.
        life.0 > number_in(&self.gone()) && Lock::holder(&self.closing()).is_none()
    }

    /// Whether the `devstack run` of this number lives.
    #[must_use]
    pub fn holds(&self, life: Life) -> bool {
        read_private(&self.0.join(life.to_string())).is_ok_and(|file| is_held(&file))
    }

    fn line(&self) -> io::Result<Lock> {
        Lock::take(&self.0.join("line.lock"))
    }

    fn last(&self) -> PathBuf {
        self.0.join("last")
    }

    /// Numbers up to this one have been sent away.
    fn gone(&self) -> PathBuf {
        self.0.join("gone")
    }

    fn closing(&self) -> PathBuf {
        self.0.join("closing.lock")
    }

    /// All that are held, in order; the others are taken away. Only in line: one that is just being made is not locked yet.
    fn look(&self) -> io::Result<Vec<Standing>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(&self.0)?.flatten() {
            let number = entry.file_name().to_str().and_then(|name| name.parse().ok());
            let Some(life) = number.map(Life) else { continue };
            let Ok(mut file) = read_private(&entry.path()) else { continue };
            if !is_held(&file) {
                let _ = fs::remove_file(entry.path());
                continue;
            }
            let mut text = Vec::new();
            file.read_to_end(&mut text)?;
            if let Ok(Text { name, run, within }) = serde_json::from_slice(&text) {
                all.push(Standing { life, name, run, within });
            }
        }
        all.sort_by_key(|one| one.life);
        Ok(all)
    }
}

/// The number in a file; 0 where there is none.
fn number_in(path: &Path) -> u32 {
    fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

fn is_held(file: &File) -> bool {
    flock(file, FlockOperation::NonBlockingLockShared).is_err()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Pid;

    fn queue() -> (tempfile::TempDir, Queue) {
        let temp = tempfile::Builder::new().prefix("q").tempdir().expect("a directory");
        let queue = Queue(temp.path().join("jobs"));
        (temp, queue)
    }

    fn me() -> ProcId {
        ProcId { pid: Pid::new(4211).expect("a number"), start: 7 }
    }

    fn name(text: &str) -> UnitName {
        UnitName::parse(text).expect("a name")
    }

    #[test]
    fn tickets_are_in_order_and_go_with_their_holder() {
        let (_temp, queue) = queue();
        let first = queue
            .join(me(), &[], |all| {
                assert!(all.is_empty());
                name("a")
            })
            .expect("a ticket");
        let second = queue
            .join(me(), &[], |all| {
                assert_eq!(all[0].name, name("a"));
                name("b")
            })
            .expect("a ticket");
        assert_eq!((first.life, second.life), (Life(1), Life(2)));
        assert_eq!(queue.before(first.life).expect("a look"), []);
        let before = queue.before(second.life).expect("a look");
        assert_eq!(before, [Standing { life: Life(1), name: name("a"), run: me(), within: None }]);
        assert!(queue.holds(Life(1)) && !queue.holds(Life(9)));
        drop(first);
        assert_eq!(queue.before(second.life).expect("a look"), []);
        drop(second);
        // Numbers never come back.
        assert_eq!(queue.join(me(), &[], |_| name("c")).expect("a ticket").life, Life(3));
    }

    #[test]
    fn a_ticket_whose_holder_was_killed_is_nobodys() {
        let (_temp, queue) = queue();
        let ticket = queue.join(me(), &[], |_| name("a")).expect("a ticket");
        let path = ticket.path.clone();
        // As the kernel leaves it: the file is there and the lock is not.
        let Ticket { _held: held, .. } = &ticket;
        flock(held, FlockOperation::Unlock).expect("it is ours");
        assert!(!queue.holds(ticket.life) && path.exists());
        let next = queue
            .join(me(), &[], |all| {
                assert!(all.is_empty());
                name("b")
            })
            .expect("a ticket");
        assert!(!path.exists());
        assert_eq!(next.life, Life(2));
    }

    #[test]
    fn an_end_of_the_stack_sends_away_who_is_there_and_holds_off_who_comes() {
        let (_temp, queue) = queue();
        let waits = queue.join(me(), &[], |_| name("a")).expect("a ticket");
        assert!(queue.is_open_to(waits.life));
        let closing = queue.close().expect("a lock").expect("nobody else has it");
        assert!(queue.close().expect("a look").is_none(), "one at a time");
        let comes = queue.join(me(), &[], |_| name("b")).expect("a ticket");
        assert!(!queue.is_open_to(waits.life) && !queue.is_open_to(comes.life));
        drop(closing);
        let later = queue.join(me(), &[], |_| name("c")).expect("a ticket");
        assert!(!queue.is_open_to(waits.life) && queue.is_open_to(later.life));
    }

    #[test]
    fn who_was_called_from_a_job_is_known_by_his_ancestors() {
        let (_temp, queue) = queue();
        let id = |pid| ProcId { pid: Pid::new(pid).expect("a number"), start: 7 };
        let outer = queue.join(id(10), &[], |_| name("a")).expect("a ticket");
        let inner = queue.join(id(20), &[id(15), id(10)], |_| name("b")).expect("a ticket");
        let innermost = queue.join(id(30), &[id(20), id(10)], |_| name("c")).expect("a ticket");
        assert_eq!((outer.within, inner.within), (None, Some(outer.life)));
        assert_eq!(innermost.within, Some(inner.life));
    }
}
