//! What does each command look like, to people and to scripts?

use devstack::domain::{
    ContainerTrouble, DownReport, EngineKind, Exit, Failure, FoundBy, Health, PortHolder, PortStatus,
    Remarks, StackName, StackView, State, UnitOutcome, UnitView, UpReport, WallTime,
};
use devstack::show::ls::Listed;
use devstack::show::progress::{Track, Verb};
use devstack::show::{Paint, Tone, down, error, event, json, ls, ps, status, text, up};

mod containers;
mod world;

use world::*;

fn plain() -> Paint {
    Paint::plain().with_home("/home/dev")
}

/// Escape sequences made readable for snapshots.
fn visible(text: &str) -> String {
    text.replace('\x1b', "␛")
}

/// The same text plain, in colour, in ASCII and on a narrow terminal.
fn every_way(show: impl Fn(&Paint) -> String) -> String {
    let plain = plain();
    let ways = [
        ("plain", plain.clone()),
        ("colour", plain.clone().with_color()),
        ("ascii", plain.clone().with_ascii()),
        ("60 columns", plain.with_width(60)),
    ];
    let shown = ways.iter().flat_map(|(name, paint)| {
        ["--- ".to_owned(), (*name).to_owned(), "\n".to_owned(), visible(&show(paint))]
    });
    shown.collect()
}

#[test]
fn every_failure_is_told_in_three_parts() {
    let unit = name("orchestrator");
    let mut out = String::new();
    for failure in failures() {
        let problem = error::of_failure(&unit, &failure, DIR);
        assert!(!problem.evidence.is_empty(), "no evidence: {failure:?}");
        assert!(!problem.remedy.is_empty(), "no remedy: {failure:?}");
        out += &problem.render(&plain());
        out += &["  short: ", &error::short(&failure), "\n\n"].concat();
    }
    assert!(!out.contains('\x1b'), "an escape sequence of a log passed");
    insta::assert_snapshot!(out);
}

#[test]
fn nobody_is_told_to_kill_a_process_of_an_engine() {
    let engines_own = [
        "/usr/bin/docker-proxy -proto tcp",
        "dockerd",
        "/usr/bin/conmon --api-version 1",
        "rootlessport",
        "rootlessport-child",
        "/usr/bin/rootlesskit --net=slirp4netns",
        "/usr/bin/containerd-shim-runc-v2 -namespace moby",
        "/usr/bin/pasta --config-net",
    ];
    let remedies = |command: &str| {
        let holder = PortHolder { stack: None, command: command.to_owned(), ..holder() };
        let found = Some(holder.clone());
        let ours = Failure::PortInUse { port: 5432, holder };
        let trouble = ContainerTrouble::PortTaken { port: 5432, container: None, holder: found };
        let of = |failure: &Failure| error::of_failure(&name("postgres"), failure, DIR).remedy.join("\n");
        of(&ours) + &of(&world::contained(EngineKind::Docker, trouble))
    };
    for command in engines_own {
        let told = remedies(command);
        assert!(!told.contains("kill"), "{command}: {told}");
        assert_eq!(told.matches("shows which container publishes 5432").count(), 2, "{command}: {told}");
    }
    assert!(remedies("node server.js docker-proxy").contains("kill 3120"));
}

#[test]
fn an_error_in_every_way() {
    let failure = Failure::PortInUse { port: 3000, holder: holder() };
    insta::assert_snapshot!(every_way(
        |paint| error::of_failure(&name("orchestrator"), &failure, DIR).render(paint)
    ));
}

#[test]
fn up_tells_a_table_and_one_line() {
    insta::assert_snapshot!(every_way(|paint| up::report(paint, &up_report(), &shop())));
}

#[test]
fn up_that_changed_nothing_says_so() {
    let view = stack(vec![running("postgres", 41210, 5432, 1900)]);
    let report = UpReport {
        ready: true,
        units: vec![(name("postgres"), UnitOutcome::Unchanged)],
        seconds: 0.012,
        ..UpReport::default()
    };
    let text = up::summary(&plain(), &report, &view);
    assert_eq!(text, "1 of 1 healthy in 12ms · all unchanged\n");
}

#[test]
fn a_failed_up_tells_cause_and_roll_back() {
    let paint = plain();
    let mut out = up::report(&paint, &failed_up(), &shop());
    out.extend(up::problems(&failed_up(), DIR).iter().map(|problem| problem.render(&paint)));
    insta::assert_snapshot!(out);
}

#[test]
fn up_and_down_tell_what_they_would_do() {
    let step = |text: &str, action, note: &str| up::Step { name: name(text), action, note: note.to_owned() };
    let steps = [
        step("postgres", "keep", "runs, unchanged"),
        step("orchestrator", "start", "after postgres is healthy"),
    ];
    let paint = plain();
    insta::assert_snapshot!(format!(
        "{}\n{}\n{}",
        up::dry_run(&paint, &steps),
        down::dry_run(&paint, &shop()),
        down::dry_run(&paint, &stack(vec![]))
    ));
}

#[test]
fn a_clean_down_says_what_was_done_and_proven() {
    insta::assert_snapshot!(every_way(|paint| down::report(paint, &clean_stop())));
    assert_eq!(down::problem(&clean_stop()), None);
}

#[test]
fn a_dirty_down_names_each_survivor_and_port() {
    let text = every_way(|paint| {
        down::report(paint, &dirty_stop()) + &down::problem(&dirty_stop()).expect("not clean").render(paint)
    });
    assert!(text.contains("--serve\\x1b[2J"), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn a_down_of_nothing_verifies_all_the_same() {
    let report = DownReport {
        clean: true,
        ports: vec![port(3000), port(5432)],
        seconds: 0.004,
        ..DownReport::default()
    };
    assert_eq!(down::report(&plain(), &report), "nothing was running · 0 left · ports 3000 5432 free\n");
    let bare = DownReport { ports: vec![], ..report.clone() };
    assert_eq!(down::report(&plain(), &bare), "nothing was running · 0 left\n");
    let held = DownReport {
        clean: false,
        ports: vec![PortStatus { port: 3000, free: false, owner: Some(unseen()), container: None }],
        ..report
    };
    let expected = "  ✗ port 3000          held by a process of uid 0 that this user may not see\n\
                    not clean after 4ms · 0 left · port 3000 held\n";
    assert_eq!(down::report(&plain(), &held), expected);
}

#[test]
fn ps_is_a_tree_with_reasons() {
    insta::assert_snapshot!(every_way(|paint| ps::tree(paint, &shop())));
}

#[test]
fn ps_can_be_flat() {
    insta::assert_snapshot!(ps::flat(&plain(), &shop()));
}

#[test]
fn ps_loses_no_process_of_a_circle_and_survives_a_long_chain() {
    let mut api = unit("api", State::Ready);
    api.processes = vec![
        process(10, 11, "a", FoundBy::Mark),
        process(11, 10, "b", FoundBy::Mark),
        process(12, 12, "c", FoundBy::Mark),
    ];
    let text = ps::tree(&plain(), &stack(vec![api.clone()]));
    assert_eq!(text.lines().count(), 3 + 3, "{text}");
    api.processes = (2..3000).map(|pid| process(pid, pid - 1, "x", FoundBy::Parentage)).collect();
    let text = ps::tree(&plain().with_width(80), &stack(vec![api]));
    assert_eq!(text.lines().count(), 3 + 2998);
}

#[test]
fn status_is_one_screen() {
    insta::assert_snapshot!(every_way(|paint| status::screen(paint, &shop(), NOW)));
}

#[test]
fn status_of_one_service_tells_all() {
    insta::assert_snapshot!(status::unit(&plain(), &shop().services[2], NOW));
}

#[test]
fn status_sums_up() {
    let sum = |services: Vec<UnitView>| status::overall(&stack(services));
    let good = || running("api", 41220, 3000, 1);
    assert_eq!(sum(vec![]), status::Overall::NotRunning);
    assert_eq!(
        sum(vec![unit("api", State::Stopped), unit("task", State::Completed)]),
        status::Overall::NotRunning
    );
    assert_eq!(
        sum(vec![good(), unit("extra", State::Stopped), unit("task", State::Completed)]),
        status::Overall::Ready
    );
    for state in
        [State::Queued, State::Starting, State::Unhealthy, State::Backoff, State::Stopping, State::Failed]
    {
        assert_eq!(sum(vec![good(), unit("x", state)]), status::Overall::Degraded, "{state:?}");
    }
    let strays = StackView { strays: shop().strays, ..stack(vec![]) };
    assert_eq!(status::overall(&strays), status::Overall::Degraded);
}

fn listed() -> Vec<Listed> {
    let shop = Listed {
        stack: StackName::lenient("shop"),
        dir: DIR.to_owned(),
        dir_exists: true,
        supervisor: Some(4100),
        ready: 6,
        wanted: 6,
        processes: 48,
        ports: vec![3000, 5432],
    };
    vec![
        shop.clone(),
        Listed { stack: StackName::lenient("数据"), ready: 5, ..shop.clone() },
        Listed {
            supervisor: None,
            dir: "/home/dev/gone".to_owned(),
            dir_exists: false,
            processes: 2,
            ..shop.clone()
        },
        Listed { supervisor: None, processes: 0, ready: 0, ports: vec![], ..shop },
    ]
}

#[test]
fn ls_lists_stacks() {
    insta::assert_snapshot!(every_way(|paint| ls::table(paint, &listed())));
    assert_eq!(ls::table(&plain(), &[]), "no stacks\n");
}

#[test]
fn an_event_is_a_line() {
    let what = "SIGTERM to 41223 (stop asked): gone\n\x1b[2J";
    let line = event::line(&plain(), "14:03:22.123", Some(&name("api")), 6, Tone::Plain, what);
    assert_eq!(line, "14:03:22.123  api     SIGTERM to 41223 (stop asked): gone\\n\\x1b[2J\n");
}

#[test]
fn progress_tells_each_change_once() {
    let paint = plain();
    let mut track = Track::new(Verb::Up);
    let mut out = String::new();
    let at = |seconds: i64| WallTime(NOW.0 + seconds * 1000);
    let mut db = unit("postgres", State::Starting);
    let mut api = unit("validation-agent", State::Queued);
    let rest = unit("already", State::Ready);
    db.started_at = Some(at(0));
    api.note = Some("needs postgres".to_owned());
    out += &track.update(&[db.clone(), api.clone(), rest.clone()], at(0), &paint);
    out += &track.update(&[db.clone(), api.clone(), rest.clone()], at(1), &paint);
    out += "(block)\n";
    out += &track.block(at(1), &paint).join("\n");
    out += "\n(lines)\n";
    db = UnitView {
        state: State::Ready,
        health: Health::Healthy,
        ready_ms: Some(1900),
        ports: vec![5432],
        ..db
    };
    api = UnitView { state: State::Starting, started_at: Some(at(2)), note: None, ..api };
    out += &track.update(&[db.clone(), api.clone(), rest.clone()], at(2), &paint);
    api.note = Some("GET http://localhost:3000/ → 503".to_owned());
    out += &track.update(&[db.clone(), api.clone(), rest.clone()], at(3), &paint);
    out += "(block)\n";
    out += &track.block(at(4), &paint).join("\n");
    out += "\n(lines)\n";
    api = UnitView { state: State::Failed, note: Some("exit 3 before it was ready".to_owned()), ..api };
    out += &track.update(&[db, api, rest], at(5), &paint);
    insta::assert_snapshot!(out);
}

#[test]
fn progress_of_down_tells_how_long_each_took() {
    let paint = plain();
    let mut track = Track::new(Verb::Down);
    let at = |millis: i64| WallTime(NOW.0 + millis);
    let units = |state| {
        [UnitView { state, ready_ms: Some(900), ..unit("api", State::Ready) }, unit("off", State::Stopped)]
    };
    assert_eq!(track.update(&units(State::Ready), at(0), &paint), "");
    assert_eq!(track.update(&units(State::Stopping), at(10), &paint), "  ■ api   stopping    0ms\n");
    assert_eq!(track.block(at(1510), &paint), ["  ⠙ api   stopping   1.5s"]);
    assert_eq!(track.update(&units(State::Stopped), at(2010), &paint), "  ■ api   stopped    2.0s\n");
    assert_eq!(track.block(at(9000), &paint), ["  ■ api   stopped    2.0s"]);
}

#[test]
fn what_failed_is_told_with_all_the_time_that_it_took() {
    let paint = plain();
    let mut track = Track::new(Verb::Up);
    let at = |millis: i64| WallTime(NOW.0 + millis);
    let db = |state, note: Option<&str>| {
        [UnitView { started_at: Some(at(0)), note: note.map(str::to_owned), ..unit("db", state) }]
    };
    let _ = track.update(&db(State::Starting, None), at(0), &paint);
    assert_eq!(track.update(&db(State::Stopping, None), at(3010), &paint), "  ■ db   stopping    0ms\n");
    let told = track.update(&db(State::Failed, Some("not ready after 3.0s")), at(3310), &paint);
    assert_eq!(told, "  ✗ db   failed     3.3s   not ready after 3.0s\n");
    // What ran, and was ended for a reason of its own, took as long as its end did.
    let _ = track.update(&db(State::Ready, None), at(4000), &paint);
    let _ = track.update(&db(State::Stopping, None), at(9000), &paint);
    let told = track.update(&db(State::Failed, Some("exit 3")), at(9200), &paint);
    assert_eq!(told, "  ✗ db   failed     0.2s   exit 3\n");
}

#[test]
fn a_block_fits_the_terminal_and_keeps_what_needs_a_look() {
    let paint = plain().with_width(40).with_lines(8);
    let mut track = Track::new(Verb::Up);
    let mut units: Vec<UnitView> = (0..100).map(|n| unit(&format!("s{n:02}"), State::Queued)).collect();
    units[50].state = State::Failed;
    units[70].state = State::Starting;
    let told = track.update(&units, NOW, &paint);
    assert_eq!(told.lines().count(), 1, "{told}");
    insta::assert_snapshot!(track.block(NOW, &paint).join("\n"));
}

#[test]
fn hostile_and_wide_names_stay_in_their_place() {
    let mut wide = running("数据库-сервис é", 41220, 3000, 2100);
    wide.processes[0].command = "sh\n-c 'echo \x1b]0;owned\x07'\u{202e}\u{9b}31m".to_owned();
    wide.note = Some("line\r\nbreak".to_owned());
    wide.labels.insert("a\x1b".to_owned(), "b\x08".to_owned());
    let mut view = stack(vec![wide.clone(), running("a", 41221, 3001, 10)]);
    view.dir = "/tmp/\x1b[2Jevil\n".to_owned();
    let report = UpReport {
        ready: true,
        units: vec![(name("数据库-сервис é"), UnitOutcome::Started), (name("a"), UnitOutcome::Started)],
        ..UpReport::default()
    };
    let paint = plain();
    let all = [
        ps::tree(&paint, &view),
        ps::flat(&paint, &view),
        status::screen(&paint, &view, NOW),
        status::unit(&paint, &wide, NOW),
        up::report(&paint, &report, &view),
        Track::new(Verb::Up).update(&[UnitView { state: State::Unhealthy, ..wide }], NOW, &paint),
    ];
    for text in &all {
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    }
    for width in 1..80 {
        let paint = plain().with_width(width);
        let shown = [ps::tree(&paint, &view), status::screen(&paint, &view, NOW)];
        for line in shown.iter().flat_map(|text| text.lines()).filter(|line| !line.contains(" · ")) {
            assert!(text::width(line) <= width, "{width}: {line:?}");
        }
    }
    insta::assert_snapshot!(all.join("---\n"));
}

#[test]
fn json_documents_hold_what_is_promised() {
    let view = shop();
    let parse = |text: serde_json::Result<String>| {
        let text = text.expect("serialises");
        assert!(text.starts_with("{\n  \"schema\": \"devstack/v1\""), "{text}");
        serde_json::from_str::<serde_json::Value>(&text).expect("is JSON")
    };
    let ps = parse(json::stack(&view));
    for key in ["stack", "dir", "supervisor", "services", "strays"] {
        assert!(ps.get(key).is_some(), "ps lacks {key}");
    }
    for key in
        ["name", "state", "health", "pid", "pgid", "sid", "restarts", "started_at", "ports", "processes"]
    {
        assert!(ps["services"][0].get(key).is_some(), "a service lacks {key}");
    }
    for key in ["pid", "ppid", "pgid", "sid", "command", "cpu_percent", "memory_bytes", "found_by"] {
        assert!(ps["services"][0]["processes"][0].get(key).is_some(), "a process lacks {key}");
        assert!(ps["strays"][0].get(key).is_some(), "a stray lacks {key}");
    }
    assert_eq!(ps["services"][0]["started_at"], "2025-11-20T14:01:17.000Z");
    assert_eq!(ps["services"][0]["state"], "ready");
    assert_eq!(ps["strays"][0]["found_by"], "pattern");
    let down = parse(json::down(&dirty_stop(), &down::Volumes::default(), &[]));
    for key in ["clean", "ended", "forced", "survivors", "ports", "swept", "seconds"] {
        assert!(down.get(key).is_some(), "down lacks {key}");
    }
    assert_eq!(down["ports"][0]["owner"]["pid"], 3120);
    assert_eq!(down["survivors"][0]["reason"], "not permitted");
    let up = parse(json::up(&failed_up(), &view, &Remarks::default()));
    assert_eq!(up["services"][1]["problem"]["code"], "DS028");
    assert_eq!(up["rolled_back"]["clean"], true);
    let service = parse(json::service(&view.services[2]));
    assert_eq!(service["name"], "orchestrator");
    let ls = parse(json::stacks(&listed()));
    assert_eq!(ls["stacks"][1]["state"], "degraded");
    let errors = json::errors(&[down::problem(&dirty_stop()).expect("not clean")]).expect("serialises");
    assert_eq!(errors.lines().count(), 1, "{errors}");
    let problem: serde_json::Value = serde_json::from_str(&errors).expect("JSON");
    assert_eq!(problem["schema"], "devstack/v1");
    assert_eq!(problem["errors"][0]["code"], "DS048");
    assert_eq!(json::line(&Exit::Code(3)).expect("serialises"), "{\"code\":3}\n");
}

#[test]
fn json_of_up_and_down_reads_so() {
    let up = json::up(&failed_up(), &stack(vec![]), &Remarks::default()).expect("serialises");
    let down = json::down(&dirty_stop(), &down::Volumes::default(), &[]).expect("serialises");
    insta::assert_snapshot!(format!("{up}{down}"));
}
