//! One kernel watch for all logs that are waited on: a user may have only few of them (128 by default).

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::Path;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

use crate::sys::watch::{Stirred, Watch, WatchId, readable};

thread_local! {
    static HUB: RefCell<Weak<Hub>> = const { RefCell::new(Weak::new()) };
}

struct Hub {
    watch: AsyncFd<Watch>,
    listeners: RefCell<HashMap<u64, Listener>>,
}

struct Listener {
    dir: WatchId,
    name: OsString,
    file: Option<WatchId>,
    stirred: Rc<Notify>,
}

/// Waits for one log to stir.
pub(super) struct Subscription {
    hub: Rc<Hub>,
    number: u64,
    stirred: Rc<Notify>,
    file: Option<Arc<File>>,
}

impl Subscription {
    /// From now on it is told when a file of this name appears.
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        let hub = Hub::shared()?;
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let dir = hub.watch.get_ref().dir(dir)?;
        let name = path.file_name().unwrap_or_default().to_owned();
        let stirred = Rc::new(Notify::new());
        let mut listeners = hub.listeners.borrow_mut();
        let number = listeners.keys().max().map_or(0, |last| last + 1);
        listeners.insert(number, Listener { dir, name, file: None, stirred: stirred.clone() });
        drop(listeners);
        Ok(Self { hub, number, stirred, file: None })
    }

    /// From now on it is also told when this file is written to; true if that was not so before.
    pub(super) fn renew(&mut self, file: &Arc<File>) -> io::Result<bool> {
        if self.file.as_ref().is_some_and(|watched| Arc::ptr_eq(watched, file)) {
            return Ok(false);
        }
        let id = self.hub.watch.get_ref().file(file)?;
        self.file = Some(file.clone());
        let mut listeners = self.hub.listeners.borrow_mut();
        let old = listeners.get_mut(&self.number).and_then(|listener| listener.file.replace(id));
        drop(listeners);
        self.hub.forget_unused(old);
        Ok(true)
    }

    /// Waits until it stirred since the last call.
    pub(super) async fn next(&mut self) -> io::Result<()> {
        loop {
            tokio::select! {
                biased;
                () = self.stirred.notified() => return Ok(()),
                // Whoever wakes first tells all the others.
                ready = self.hub.watch.readable() => {
                    // Cleared before the drain: what comes during it makes it ready anew.
                    ready?.clear_ready();
                    self.hub.dispatch()?;
                }
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let listener = self.hub.listeners.borrow_mut().remove(&self.number);
        if let Some(listener) = listener {
            self.hub.forget_unused(Some(listener.dir));
            self.hub.forget_unused(listener.file);
        }
    }
}

impl Hub {
    fn shared() -> io::Result<Rc<Self>> {
        HUB.with_borrow_mut(|hub| {
            if let Some(hub) = hub.upgrade() {
                return Ok(hub);
            }
            let watch = readable(Watch::new()?)?;
            let new = Rc::new(Self { watch, listeners: RefCell::default() });
            *hub = Rc::downgrade(&new);
            Ok(new)
        })
    }

    fn dispatch(&self) -> io::Result<()> {
        let listeners = self.listeners.borrow();
        self.watch.get_ref().drain(|stirred| {
            for listener in listeners.values().filter(|listener| listener.hears(&stirred)) {
                listener.stirred.notify_one();
            }
        })
    }

    /// The same file or directory has one number for all who watch it.
    fn forget_unused(&self, id: Option<WatchId>) {
        let Some(id) = id else { return };
        let used = self.listeners.borrow().values().any(|other| other.dir == id || other.file == Some(id));
        if !used {
            self.watch.get_ref().forget(id);
        }
    }
}

impl Listener {
    fn hears(&self, stirred: &Stirred) -> bool {
        let Some(id) = stirred.id else { return true };
        self.file == Some(id)
            || (self.dir == id && stirred.name.as_ref().is_none_or(|name| *name == self.name))
    }
}
