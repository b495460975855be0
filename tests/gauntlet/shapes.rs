//! The shapes: how real programs of a development stack leave their parents, each as a script that becomes one.
//!
//! A script runs in a directory of its own. `@S` is the stand-in; the other words of this kind are in `tools.rs`. A leader
//! that ends does so when a file `go` is there: as long as devstack lives it ends what a leader leaves behind at once.

use crate::promise::{Catch, Mode, User};

/// One way of leaving.
#[derive(Debug)]
pub(crate) struct Shape {
    /// The service's name.
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) script: &'static str,
    /// Who lives when it has become what it is: names of programs, each so many times at least; "" is any.
    pub(crate) lives: &'static [(&'static str, usize)],
    /// Programs without which it is skipped, loudly.
    pub(crate) needs: &'static [&'static str],
    /// Whether the very same runs beside the stack as a look-alike. What changes its processes for ever does not: a
    /// canary must be known by its number.
    pub(crate) canary: bool,
    pub(crate) root_only: bool,
    /// Whether it takes long to start: it is left out where another user shows the same.
    heavy: bool,
    pub(crate) catch: Catch,
}

const fn shape(
    name: &'static str,
    about: &'static str,
    script: &'static str,
    lives: &'static [(&'static str, usize)],
) -> Shape {
    let (needs, canary, root_only, heavy, catch) = (&[], true, false, false, Catch::Always);
    Shape { name, about, script, lives, needs, canary, root_only, heavy, catch }
}

impl Shape {
    const fn needs(self, needs: &'static [&'static str]) -> Self {
        Self { needs, ..self }
    }

    const fn restless(self) -> Self {
        Self { canary: false, ..self }
    }

    const fn heavy(self) -> Self {
        Self { heavy: true, ..self }
    }

    const fn by_root(self) -> Self {
        Self { root_only: true, ..self }
    }

    const fn caught(self, catch: Catch) -> Self {
        Self { catch, ..self }
    }

    /// Whether this user can have it at all.
    pub(crate) fn is_for(&self, user: User) -> bool {
        match user {
            User::Root => self.catch != Catch::UnlessRoots,
            User::RootWithoutCgroup => self.catch != Catch::UnlessRoots && !self.heavy,
            User::Plain => !self.root_only,
        }
    }

    /// Whether its processes are others from moment to moment.
    pub(crate) fn hops(&self) -> bool {
        self.script.contains(" --every ")
    }

    /// Whether all of it is the stand-in, and may be looked into.
    pub(crate) fn is_told_by_program(&self) -> bool {
        self.needs.is_empty()
            && self.lives.iter().all(|(name, _)| *name == "stand-in")
            && !["hidden", "threads"].contains(&self.name)
    }

    /// Whether its leader ends when it is told to, after the machinery was killed.
    pub(crate) fn waits_for_go(&self) -> bool {
        self.script.contains(" go")
    }

    /// What the promise says of it.
    pub(crate) fn left(&self, user: User, mode: Mode) -> usize {
        self.catch.left(user, mode)
    }
}

const ONE: &[(&str, usize)] = &[("stand-in", 1)];
const TWO: &[(&str, usize)] = &[("stand-in", 2)];

/// Played by the stand-in, and by the shell.
pub(crate) const PLAYED: &[Shape] = &[
    shape("background", "`x &` and exit", "@S wait & exec @S wait --until go", TWO),
    shape("nohup", "nohup", "nohup @S wait >out 2>&1 & exec @S wait", TWO),
    shape("disown", "disown", "exec bash -c '@S wait & disown; exec @S wait --until go'", TWO).needs(&["bash"]),
    shape("setsid-leader-lives", "`setsid -f`, the leader lives", "setsid -f @S wait; exec @S wait", TWO),
    shape("setsid-leader-ends", "`setsid -f`, the leader ends", "setsid -f @S wait; exec @S wait --until go", TWO),
    shape(
        "double-fork",
        "double fork, `chdir /`, descriptors closed",
        "exec @S child --double-fork --chdir --close",
        TWO,
    ),
    shape("env-i", "setsid and `env -i`", "exec @S child --session --env-clear", TWO),
    shape(
        "daemon-env-i",
        "the same, `chdir /`, double fork, descriptors closed, the leader ends",
        "@S child --session --double-fork --env-clear --chdir --close --leader-ends 1; exec @S wait --until go",
        TWO,
    )
    .caught(Catch::IfRecorded),
    shape(
        "false-title",
        "the same under a false title",
        "@S child --session --double-fork --env-clear --chdir --title kworker/0:1 --leader-ends 1; exec @S wait --until go",
        TWO,
    ),
    shape("re-exec", "re-exec with `env -i` in the group", "@S wait & exec env -i @S wait", TWO),
    shape("deaf", "SIGTERM ignored", "exec @S deaf --child", TWO),
    shape(
        "respawn",
        "a SIGTERM handler that starts itself anew in another session",
        "exec @S respawn --times 3 --env-clear",
        ONE,
    ),
    shape(
        "trap",
        "a shell's trap that waits for the child in front",
        "trap 'exit 0' TERM; @S wait",
        &[("", 2), ("stand-in", 1)],
    ),
    shape("chain", "a chain of forks in one session", "@S hop --stay --times 900 --every 20 & exec @S wait", TWO)
        .restless(),
    shape(
        "chain-of-sessions",
        "a chain of forks, a new session at each hop",
        "@S hop --times 900 --every 20 --deaf & exec @S wait",
        TWO,
    )
    .restless(),
    shape(
        "storm",
        "a chain that grows to 32, each hopping on, deaf",
        "@S grow --depth 5 --times 120 --every 200 --deaf & exec @S wait",
        &[("stand-in", 25)],
    )
    .restless(),
    shape("stopped", "a child under SIGSTOP", "exec @S child --stopped", TWO),
    shape(
        "stopped-daemon",
        "a daemon under SIGSTOP in a session of its own",
        "@S child --session --stopped --env-clear --leader-ends 1; exec @S wait --until go",
        TWO,
    ),
    shape("zombie", "a zombie whose parent does not ask", "exec @S zombie", ONE),
    shape("threads", "the first thread gone, others live", "exec @S threads", ONE),
    shape("vfork", "vfork without exec", "exec @S vfork", TWO),
    shape("traced", "traced by its parent, and standing", "exec @S traced", TWO),
    shape(
        "hidden",
        "not dumpable, `env -i`, own session",
        "setsid -f env -i @S hidden; exec @S wait",
        TWO,
    )
    .caught(Catch::IfRecordedOrSeen),
    shape("reaper", "a subreaper of its own, with an orphan", "exec @S reaper", TWO),
    shape("dropped", "root becomes nobody", "exec @S become --uid 65534", ONE).by_root(),
    shape(
        "tree",
        "the leader dead, its tree alive",
        "@S tree --depth 2 --width 3 & exec @S wait --until go",
        &[("stand-in", 14)],
    ),
    shape("heir", "a listening socket inherited by an `env -i` daemon", "@S heir; exec @S wait --until go", TWO),
    shape("late", "children born after the signal", "exec @S late --count 3", ONE),
    shape(
        "watcher",
        "a double-forking watcher whose children are born after the signal, `env -i`, false title",
        "(setsid @S late --count 3 --env-clear --title &); exec @S wait --until go",
        TWO,
    ),
    shape(
        "browser",
        "a detached headless browser: own sessions, no environment, false titles",
        "exec @S child --count 6 --session --double-fork --env-clear --title chrome-headless",
        &[("stand-in", 7)],
    ),
    shape(
        "born-unseen",
        "a daemon (`env -i`, nothing open) born after the machinery was killed",
        "exec @S daemonize --env-clear --when go",
        ONE,
    )
    .caught(Catch::WhileWatched),
];

/// Real programs.
pub(crate) const REAL: &[Shape] = &[
    shape(
        "tmux",
        "a tmux server of its own",
        "TMUX_TMPDIR=$PWD tmux -L own -f /dev/null new-session -d 'exec @S wait'; exec @S wait",
        &[("tmux", 1), ("stand-in", 2)],
    )
    .needs(&["tmux"]),
    shape(
        "screen",
        "`screen -dm`",
        "mkdir -m 700 s; SCREENDIR=$PWD/s screen -dmS own @S wait; exec @S wait",
        &[("screen", 1), ("stand-in", 2)],
    )
    .needs(&["screen"]),
    shape(
        "redis",
        "redis `--daemonize yes`",
        "redis-server --daemonize yes --port 0 --unixsocket $PWD/r.sock --save '' --dir $PWD; exec @S wait",
        &[("redis", 1), ("stand-in", 1)],
    )
    .needs(&["redis-server"]),
    shape(
        "nginx",
        "nginx as a daemon",
        "cat >conf <<END
pid $PWD/pid; events {}
http { access_log off; client_body_temp_path $PWD/b; proxy_temp_path $PWD/p; fastcgi_temp_path $PWD/f;
uwsgi_temp_path $PWD/u; scgi_temp_path $PWD/s; server { listen unix:$PWD/n.sock; } }
END
nginx -e $PWD/errors -p $PWD -c $PWD/conf; exec @S wait",
        &[("nginx", 2), ("stand-in", 1)],
    )
    .needs(&["nginx"]),
    shape(
        "postgres",
        "`pg_ctl start`",
        "cp -a @POSTGRES data
@DROP pg_ctl -D data -l data/log -o \"-c listen_addresses='' -k $PWD/data -c fsync=off\" -W start; exec @S wait",
        &[("postgres", 4), ("stand-in", 1)],
    )
    .needs(&["@POSTGRES"])
    .heavy(),
    shape("ssh-agent", "ssh-agent, not dumpable", "ssh-agent -a $PWD/s; exec @S wait", &[("ssh-agent", 1), ("stand-in", 1)])
        .needs(&["ssh-agent"])
        .caught(Catch::IfRecordedOrSeen),
    shape(
        "node-detached",
        "node: `detached` and `unref`",
        "node -e 'require(\"child_process\").spawn(process.execPath, [\"-e\", \"setInterval(() => {}, 1e3)\"],
{ detached: true, stdio: \"ignore\" }).unref()'; exec @S wait",
        &[("node", 1), ("stand-in", 1)],
    )
    .needs(&["node"])
    .heavy(),
    shape(
        "npm-chain",
        "`npm run` that runs `npm run` that runs node",
        "cat >package.json <<'END'
{ \"name\": \"chain\", \"scripts\": { \"dev\": \"npm run inner\", \"inner\": \"node -e 'setInterval(() => {}, 1e3)'\" } }
END
exec npm run dev",
        &[("", 5), ("node", 3)],
    )
    .needs(&["npm"])
    .heavy(),
    shape(
        "turbo",
        "`npm test` through turbo, in vitest's workers, hanging",
        "for f in package.json turbo.json packages; do cp -a @FIXTURE/$f .; done; ln -s @FIXTURE/node_modules .
HANG=1 exec npm test -- --filter=@shop/validation-agent",
        &[("", 8), ("turbo", 1), ("node", 5)],
    )
    .needs(&["npm", "@FIXTURE"])
    .heavy(),
    shape(
        "esbuild",
        "esbuild's `--service`",
        "echo 'let a = 1' >a.js
exec node -e 'require(\"@FIXTURE/node_modules/esbuild\").context({ entryPoints: [\"a.js\"], outdir: \"o\" })
.then(c => c.watch())'",
        &[("node", 1), ("esbuild", 1)],
    )
    .needs(&["node", "@FIXTURE"])
    .heavy(),
    shape(
        "python-workers",
        "python's multiprocessing with its resource tracker",
        "cat >a.py <<'END'
import multiprocessing, time
if __name__ == '__main__':
    multiprocessing.set_start_method('spawn')
    lock = multiprocessing.Semaphore()
    workers = [multiprocessing.Process(target=time.sleep, args=(600,)) for _ in range(2)]
    [worker.start() for worker in workers]
    time.sleep(600)
END
exec @PYTHON a.py",
        &[("python", 4)],
    )
    .needs(&["@PYTHON"])
    .heavy(),
    shape(
        "reloader",
        "an auto-reloader: a parent that starts its program anew whenever it ends",
        "cat >a.py <<'END'
import os, subprocess, sys, time
if os.environ.get('RELOADED'):
    time.sleep(600)
while True:
    subprocess.call([sys.executable, 'a.py'], env={**os.environ, 'RELOADED': '1'}, start_new_session=True)
END
exec @PYTHON a.py",
        &[("python", 2)],
    )
    .needs(&["@PYTHON"])
    .heavy(),
    shape(
        "node-watch",
        "`node --watch`",
        "echo 'setInterval(() => {}, 1e3)' >a.js; exec node --watch a.js",
        &[("node", 2)],
    )
    .needs(&["node"])
    .heavy(),
    shape(
        "java",
        "java with a child",
        "exec java -Xshare:auto -XX:TieredStopAtLevel=1 -cp @JAVA Parent @S wait",
        &[("java", 1), ("stand-in", 1)],
    )
    .needs(&["java", "@JAVA"])
    .heavy(),
    shape(
        "strace",
        "under strace",
        "exec strace -f -o /dev/null @S wait",
        &[("strace", 1), ("stand-in", 1)],
    )
    .needs(&["strace"])
    .heavy(),
    shape(
        "gdb",
        "under gdb",
        "exec gdb -nx -q -batch -ex run --args @S wait",
        &[("gdb", 1), ("stand-in", 1)],
    )
    .needs(&["gdb"])
    .heavy(),
    shape(
        "namespace",
        "a PID namespace of its own",
        "exec unshare @USERNS --pid --fork sh -c '@S wait & exec @S wait'",
        &[("unshare", 1), ("stand-in", 2)],
    )
    .needs(&["@USERNS"]),
    shape(
        "lent-environment",
        "work given to a foreign daemon together with the environment",
        "echo \"$DEVSTACK_LIFE $DEVSTACK_STACK_ID\" >@FOREIGN/fifo; exec @S wait",
        TWO,
    )
    .restless()
    .needs(&["@FOREIGN"]),
    shape(
        "foreign-tmux",
        "work given to a foreign tmux server",
        "TMUX_TMPDIR=@FOREIGN tmux -L foreign new-window -d '@ENTER exec @S wait'; exec @S wait",
        TWO,
    )
    .restless()
    .needs(&["tmux", "@FOREIGN"])
    .caught(Catch::NeverForeign),
];

/// Those that `down` must tell of, in a stack of their own: it ends with 6.
pub(crate) const TOLD: &[Shape] =
    &[shape("setuid", "a setuid program that became root", "exec @SETUID become --uid 0", &[("setuid", 1)])
        .needs(&["@SETUID"])
        .restless()
        .caught(Catch::UnlessRoots)];
