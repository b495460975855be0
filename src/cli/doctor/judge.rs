//! What the facts mean: the promise that holds, and each finding with its grade and remedy. Pure.

use super::engine::Engine;
use super::facts::{Facts, Here, Layers, Machine, NoCgroup, Spot};
use super::stale::{Left, What};
use crate::domain::{Area, Checkup, Finding, Fix, Grade, PortStatus, Promise, UnitName};
use crate::show::{error, text};
use crate::sys::cgroup::{Controller, Ground, Grounds, NoPlace};
use crate::sys::host::Room;

/// Fewer open files than this are soon used up by a supervisor with some dozen services.
const FEW_FILES: u64 = 256;
/// Less room than this is soon full of logs.
const LITTLE_SPACE: u64 = 200 << 20;
/// Of any limit, so much may be used before it is worth a word, in percent.
const MUCH: u64 = 90;

/// So many directories are named in one line.
const SHOWN: usize = 2;

/// Decides what was found.
pub(super) fn judge(facts: &Facts) -> Checkup {
    let (promise, why) = promise(&facts.layers);
    let mut findings = layers(&facts.layers, facts.machine.system.starts_with("Linux"));
    findings.extend(machine(&facts.machine));
    findings.extend(facts.places.iter().map(spot));
    findings.extend(engines(facts));
    findings.extend(here(&facts.stack));
    findings.extend(facts.left.iter().map(left));
    Checkup { promise, why, findings }
}

fn promise(layers: &Layers) -> (Promise, String) {
    let no_cgroup = match &layers.cgroup {
        Ok((dir, _)) => {
            let why = format!("{} is a cgroup v2 that this user may write", dir.display());
            return (Promise::Cgroup, why);
        }
        Err(NoCgroup::Place(why)) => why.to_string(),
        Err(NoCgroup::Birth(dir, why)) => format!("no process can be born below {}: {why}", dir.display()),
    };
    if layers.subreaper {
        let why = format!(
            "{no_cgroup}; each service has a keeper, which the kernel makes the parent of every orphan"
        );
        (Promise::Keeper, why)
    } else {
        (Promise::Children, "this system knows neither cgroups nor child subreapers".to_owned())
    }
}

fn layers(layers: &Layers, linux: bool) -> Vec<Finding> {
    let new = |name: &str, grade, text: String| Finding::new(Area::Layers, name, grade, text);
    let or = |has: bool, yes: &str, grade, no: &str| {
        if has { (Grade::Good, yes.to_owned()) } else { (grade, no.to_owned()) }
    };
    let cgroup = match &layers.cgroup {
        Ok((dir, ability)) => {
            let able = match (ability.kill, ability.freeze) {
                (true, _) => "the kernel ends one as a whole",
                (false, true) => "frozen and ended one by one (a kill as a whole needs Linux 5.14)",
                (false, false) => "they count only (a freeze needs Linux 5.2, a kill 5.14)",
            };
            new("cgroup v2", Grade::Good, format!("{} · {able}", dir.display()))
        }
        Err(NoCgroup::Place(why @ NoPlace::NotPermitted(_))) => {
            let hint = "systemd-run --user --scope devstack up    (where systemd keeps your session)";
            new("cgroup v2", Grade::Note, why.to_string()).hint(hint)
        }
        Err(NoCgroup::Place(why)) => new("cgroup v2", Grade::Note, why.to_string()),
        Err(NoCgroup::Birth(_, why)) => {
            new("cgroup v2", Grade::Note, format!("one can be made, and nothing be born in it: {why}"))
        }
    };
    let [v2, v1] = layers.controllers.each_ref().map(|names| match names.as_slice() {
        [] => "none".to_owned(),
        names => names.join(" "),
    });
    let pidfd = layers.pidfd;
    let lacks =
        [("group signals (Linux 6.9)", pidfd.group), ("the exit of any process (Linux 6.15)", pidfd.exit)];
    let lacks: Vec<&str> = lacks.iter().filter(|(_, has)| !has).map(|(what, _)| *what).collect();
    let handles = if !pidfd.open && linux {
        let text = "none: nothing can be signalled safely, so nothing is";
        new("handles", Grade::Attention, text.to_owned())
            .hint("Linux 5.3 or newer, and a container that allows pidfd_open")
    } else if !pidfd.open {
        let text = "none: before each signal the start time is read again, and that is all";
        new("handles", Grade::Note, text.to_owned())
    } else if lacks.is_empty() {
        new("handles", Grade::Good, "pidfds, with group signals and the exit of any process".to_owned())
    } else {
        new("handles", Grade::Good, format!("pidfds, without {}", lacks.join(" and ")))
    };
    let (grade, text) = or(
        layers.subreaper,
        "no descendant can leave its keeper",
        Grade::Note,
        "none: an orphan is lost to its keeper",
    );
    let subreaper = new("subreaper", grade, text);
    let marks = ["environment and a named memfd", "the environment only"];
    let (grade, text) = or(layers.memfd, marks[0], Grade::Note, marks[1]);
    let marks = new("marks", grade, text);
    let lists = ["the kernel lists them", "not listed: each look reads the whole process table"];
    let (grade, text) = or(layers.children, lists[0], Grade::Note, lists[1]);
    let controllers = new("controllers", Grade::Good, format!("v2 {v2} · v1 {v1}"));
    let limits = new("limits", Grade::Good, limits(&layers.limits));
    vec![cgroup, controllers, limits, handles, subreaper, marks, new("children", grade, text)]
}

/// By whom each limit is held here.
fn limits(grounds: &Grounds) -> String {
    let way = |controller: Controller| match grounds.of(controller) {
        Some(Ground::Unified(_)) => "the kernel (cgroup v2)",
        Some(Ground::Own(_)) => "the kernel (cgroup v1)",
        None => "measuring",
    };
    let (memory, cpus) = (way(Controller::Memory), way(Controller::Cpu));
    let pids = match grounds.of(Controller::Pids) {
        Some(_) => "measuring, with a net by the kernel",
        None => "measuring",
    };
    format!("memory by {memory} · cpus by {cpus} · pids by {pids} · open_files by the kernel")
}

fn machine(machine: &Machine) -> Vec<Finding> {
    let new = |name: &str, grade, text: String| Finding::new(Area::Machine, name, grade, text);
    let mut found = vec![new("system", Grade::Good, format!("{}, as {}", machine.system, machine.user))];
    if let Some(kind) = &machine.container {
        found.push(new("container", Grade::Note, format!("this runs inside one ({kind})")));
    }
    if machine.own_process_numbers {
        let text = "a PID namespace of its own: what runs outside is neither seen nor touched";
        found.push(new("namespace", Grade::Note, text.to_owned()));
    }
    if !machine.sees_others {
        let text = "processes of other users are hidden: who holds a port may stay unknown";
        found.push(new("/proc", Grade::Note, text.to_owned()));
    }
    let rooms = [
        ("process table", machine.table, "end what fills it (ps -e --sort=-nlwp), or raise kernel.pid_max"),
        ("ulimit -u", machine.of_user, "end some of your processes, or raise the limit"),
        ("pids.max", machine.of_cgroup, "end what fills the cgroup, or raise its pids.max"),
    ];
    found.extend(rooms.into_iter().filter_map(|(name, room, hint)| Some(room_of(name, room?, hint))));
    match machine.open_files {
        Some(most) if most < FEW_FILES => {
            let text = format!("{most}: too few for a supervisor with many services");
            found.push(new("ulimit -n", Grade::Attention, text).hint("ulimit -n 1024"));
        }
        Some(most) => found.push(new("ulimit -n", Grade::Good, most.to_string())),
        None => found.push(new("ulimit -n", Grade::Good, "no limit".to_owned())),
    }
    found.push(match &machine.inotify {
        None => new("file watches", Grade::Good, "more can be had".to_owned()),
        Some(why) => new("file watches", Grade::Attention, format!("used up: {why}"))
            .hint("sudo sysctl fs.inotify.max_user_watches=524288 fs.inotify.max_user_instances=1024"),
    });
    found
}

fn room_of(name: &str, room: Room, hint: &str) -> Finding {
    let text = format!("{} of {}", room.used, room.most);
    if room.used.saturating_mul(100) / room.most.max(1) >= MUCH {
        return Finding::new(Area::Machine, name, Grade::Attention, format!("{text}: nearly full"))
            .hint(hint);
    }
    Finding::new(Area::Machine, name, Grade::Good, text)
}

fn spot(spot: &Spot) -> Finding {
    let new = |grade, text: String| Finding::new(Area::Places, spot.name, grade, text);
    let dir = spot.dir.display();
    if let Some(problem) = &spot.problem {
        let hint = "correct it, or set DEVSTACK_STATE_DIR to a directory of your own";
        return new(Grade::Attention, format!("{dir}: {problem}")).hint(hint);
    }
    match spot.space {
        Some(space) if space.bytes < LITTLE_SPACE || !space.files => {
            let free = if space.files { text::bytes(space.bytes) } else { "no more files".to_owned() };
            new(Grade::Attention, format!("{dir} · {free} free"))
                .hint("make room: logs and the ledger are written there")
        }
        Some(space) => new(Grade::Good, format!("{dir} · {} free", text::bytes(space.bytes))),
        None => new(Grade::Good, dir.to_string()),
    }
}

/// One finding for each engine; whether a stack needs one is for `up` to say.
fn engines(facts: &Facts) -> Vec<Finding> {
    let new = |name: &str, grade, text: String| Finding::new(Area::Machine, name, grade, text);
    if facts.engines.is_empty() {
        let none = "no engine is installed: services with an image run as their fallback, or not at all";
        return vec![
            new("containers", Grade::Note, none.to_owned()).hint("apt install docker.io, or podman"),
        ];
    }
    let tell = |engine: &Engine| {
        let mut facts = match &engine.answer {
            Ok(said) => {
                let as_whom = if said.rootless { "rootless" } else { "as root" };
                let context = said.context.iter().map(|context| format!("context {context}"));
                [format!("{} answers", said.version), as_whom.to_owned()].into_iter().chain(context).collect()
            }
            Err(why) => vec![format!("does not answer: {why}")],
        };
        if engine.used {
            facts.push("used unless a service or DEVSTACK_ENGINE says otherwise".to_owned());
        }
        let grade = if engine.answer.is_ok() { Grade::Good } else { Grade::Note };
        let finding = new(engine.name, grade, facts.join(" · "));
        match &engine.answer {
            Err(why) if engine.name == "docker" && why.contains("permission denied") => {
                finding.hint("sudo usermod -aG docker \"$USER\"    (as good as root; then log in again)")
            }
            Err(_) if engine.name == "docker" => {
                finding.hint("sudo systemctl start docker    (or start Docker Desktop)")
            }
            Ok(_) | Err(_) => finding,
        }
    };
    facts.engines.iter().map(tell).collect()
}

fn here(stack: &Here) -> Vec<Finding> {
    let new = |name: &str, grade, text: String| Finding::new(Area::Stack, name, grade, text);
    match stack {
        Here::NoManifest => vec![new("manifest", Grade::Note, "none here or above".to_owned())],
        Here::Wrong { what, manifest } => {
            let text = if manifest.is_empty() { what.clone() } else { format!("{manifest}: {what}") };
            vec![new("manifest", Grade::Attention, text).hint("devstack check")]
        }
        Here::Stack { name, dir, ports } => {
            let mut found = vec![new("manifest", Grade::Good, format!("{name} in {dir}"))];
            let taken: Vec<Finding> =
                ports.iter().filter_map(|(unit, port)| taken(unit, port, name, dir)).collect();
            if taken.is_empty() && !ports.is_empty() {
                let numbers: Vec<String> = ports.iter().map(|(_, port)| port.port.to_string()).collect();
                found.push(new(
                    "ports",
                    Grade::Good,
                    format!("{}: free, or this stack's own", numbers.join(" ")),
                ));
            }
            found.extend(taken);
            found
        }
    }
}

/// A port that somebody else listens on. The problem is the one that `up` would meet, with the same remedies.
fn taken(unit: &UnitName, status: &PortStatus, name: &str, dir: &str) -> Option<Finding> {
    let holder = status.owner.as_ref().filter(|_| !status.free)?;
    if holder.stack.as_ref().is_some_and(|(theirs, place)| theirs == name && place == dir) {
        return None;
    }
    let failure = crate::domain::Failure::PortInUse { port: status.port, holder: holder.clone() };
    let problem = error::of_failure(unit, &failure, dir);
    let title = format!("port {}", status.port);
    let text = format!("{unit} needs it; held by {}", error::holder(holder));
    let mut finding = Finding::new(Area::Stack, title, Grade::Attention, text);
    finding.remedy = problem.remedy;
    Some(finding)
}

fn left(left: &Left) -> Finding {
    let new = |grade, text: String| Finding::new(Area::Stale, &*left.stack, grade, text);
    let down = |manifest: &std::path::Path| {
        format!("devstack -f {} down", text::shell_path(&manifest.display().to_string(), None))
    };
    let fixable = |text: String, fix: &Fix| {
        let finding = Finding { fix: fix.clone(), ..new(Grade::Attention, text) };
        if *fix == Fix::Possible { finding.hint("devstack doctor --fix") } else { finding }
    };
    match &left.what {
        What::Unwatched { processes, manifest } => {
            let count = text::count(*processes, "process", "processes");
            let dir = manifest.parent().unwrap_or(manifest).display();
            new(Grade::Attention, format!("{count} of {dir} live, and no supervisor watches"))
                .hint(down(manifest))
                .hint(format!(
                    "devstack -f {} up    (takes them over)",
                    text::shell_path(&manifest.display().to_string(), None)
                ))
                .hint("devstack sweep --all-stacks    (ends what no keeper holds)")
        }
        What::Job { unit, processes, manifest } => {
            let count = text::count(*processes, "process of it lives", "processes of it live");
            new(Grade::Attention, format!("{unit}: its `devstack run` was killed, and {count}"))
                .hint(down(manifest))
                .hint("the next `devstack run` or `up` ends them as well")
        }
        What::Strays { count, manifest } => {
            let count = text::count(*count, "stray lives", "strays live");
            let dir = manifest.parent().unwrap_or(manifest).display();
            let sweep = text::shell_path(&manifest.display().to_string(), None);
            new(Grade::Attention, format!("{count} outside of what runs in {dir}"))
                .hint(format!("devstack -f {sweep} sweep    (--dry-run shows them)"))
        }
        What::Halted { who, pid } => {
            new(Grade::Attention, format!("{who} (pid {pid}) was stopped and does nothing"))
                .hint(format!("kill -CONT {pid}"))
        }
        What::Hanging { unit, pid, manifest } => {
            let text = format!("the keeper of {unit} (pid {pid}) holds nothing and does not end");
            new(Grade::Attention, text).hint(down(manifest))
        }
        What::Records { count, fix } => fixable(
            text::count(*count, "record of a life that is over", "records of lives that are over"),
            fix,
        ),
        What::Sockets { count, fix } => fixable(
            text::count(*count, "socket on which nobody listens", "sockets on which nobody listens"),
            fix,
        ),
        What::Cgroups { dirs, fix } => {
            let mut names: Vec<String> = dirs.iter().map(|dir| dir.display().to_string()).collect();
            if names.len() > SHOWN {
                names.truncate(SHOWN);
                names.push("…".to_owned());
            }
            fixable(
                format!(
                    "{} in which nobody lives: {}",
                    text::count(dirs.len(), "cgroup", "cgroups"),
                    names.join(" ")
                ),
                fix,
            )
        }
        What::Gone { dir, state } => {
            let text = format!("{} is gone, nothing of it lives; its logs are still there", dir.display());
            new(Grade::Note, text)
                .hint(format!("rm -r {}", text::shell_path(&state.display().to_string(), None)))
        }
        What::Unreadable { path, why } => new(Grade::Attention, format!("{}: {why}", path.display()))
            .hint("correct its owner and mode, or use the devstack that wrote it"),
    }
}
