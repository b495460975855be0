//! The manifest as its users meet it: what is understood, and what each frequent mistake is answered with.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use devstack::domain::{Limits, OnBreach, UnitName};
use devstack::manifest::{self, Code, Problem};
use devstack::plan::{
    self, Condition, ContainerPlan, Context, EngineKind, Plan, Probe, RestartPolicy, SelectError,
    VolumeSource,
};

#[path = "../src/chance.rs"]
mod chance;

fn context() -> Context {
    let variables = [
        ("HOME", "/home/dev"),
        ("USER", "dev"),
        ("API_PORT", "3000"),
        ("TRICK", "x]\nevil: {a: b} # ${HOME}"),
    ];
    Context {
        dir: PathBuf::from("/home/dev/shop"),
        manifest: PathBuf::from("/home/dev/shop/devstack.yaml"),
        variables: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        ..Context::default()
    }
}

fn check_bytes(text: &[u8], context: &Context) -> Result<Plan, Vec<Problem>> {
    let (parsed, problems) = manifest::parse_lenient(text);
    let Some(parsed) = parsed else { return Err(problems) };
    match plan::resolve(&parsed, context) {
        Ok(plan) if problems.is_empty() => Ok(plan),
        Ok(_) => Err(problems),
        Err(more) => Err(manifest::in_order(problems.into_iter().chain(more).collect())),
    }
}

fn check(text: &str) -> Result<Plan, Vec<Problem>> {
    check_bytes(text.as_bytes(), &context())
}

fn good(text: &str) -> Plan {
    check(text)
        .unwrap_or_else(|problems| panic!("{}", manifest::render(&problems, "devstack.yaml", text, false)))
}

fn report(text: &str) -> String {
    let problems = check(text).expect_err("it is wrong");
    manifest::render(&problems, "devstack.yaml", text, false)
}

fn codes(text: &str) -> Vec<Code> {
    check(text).err().unwrap_or_default().iter().map(|problem| problem.code).collect()
}

fn name(text: &str) -> UnitName {
    UnitName::parse(text).expect("a name")
}

const SHOP: &str = r#"
name: shop
environment: { NODE_ENV: development }
defaults:
  restart: on-failure
  stop_grace_period: 10s
x-agent: &agent
  working_dir: packages/agents
  profiles: [agents]
  depends_on: [orchestrator]
services:
  validation-agent:
    <<: *agent
    command: npm start
    ports: { http: 4000, debug: "${DEBUG_PORT:-9229}" }
    environment: { API: "http://localhost:${services.orchestrator.port}", DB_PASSWORD: hunter2 }
    ready: { log: "listening on .*", port: http }
    stop_grace_period: 1m30s
  orchestrator:
    command: [npm, run, dev]
    working_dir: packages/orchestrator
    ports: ["${API_PORT}"]
    health:
      http: http://localhost:3000/api/v1/health
      status: [200, 204]
      headers: { Authorization: Bearer abc }
      interval: 500ms
      on_failure: restart
    depends_on: { migrate: { condition: service_completed_successfully }, db: healthy }
    restart: on-failure:5
    stop_signal: INT
  migrate: { type: task, command: npm run migrate, depends_on: { db: service_healthy }, restart: no }
  db:
    command: echo $HOME ${HOME} $${HOME}
    health: { tcp: 5432 }
    environment: [A=1, USER, NOT_SET]
    labels: [team=core]
    logs: { max_size: 1M, max_files: 2 }
sweep:
  patterns: ["npm run dev", "esbuild.*--service"]
  scope: user
monitor: { interval: 500ms, alert: { memory: 6G, pids: 100 } }
budgets: { up: 30s, down: 10s, memory: 4G, processes: 80 }
"#;

#[test]
fn the_whole_of_a_manifest_becomes_a_plan() {
    insta::assert_snapshot!(plan::render_yaml(&good(SHOP), false));
}

#[test]
fn units_come_after_what_they_need_and_otherwise_as_written() {
    let plan = good(SHOP);
    let names: Vec<&str> = plan.units.iter().map(|unit| unit.name.as_str()).collect();
    assert_eq!(names, ["db", "migrate", "orchestrator", "validation-agent"]);
    let free = good(
        "services: { c: {command: x}, a: {command: x, depends_on: [b]}, b: {command: x}, d: {command: x} }",
    );
    let names: Vec<&str> = free.units.iter().map(|unit| unit.name.as_str()).collect();
    assert_eq!(names, ["c", "b", "a", "d"]);
}

#[test]
fn what_config_shows_is_a_manifest_of_the_same_plan() {
    let plan = good(SHOP);
    let shown = plan::render_yaml(&plan, true);
    assert!(shown.contains("hunter2"));
    assert_eq!(good(&shown), plan, "{shown}");
    assert!(!plan::render_yaml(&plan, false).contains("hunter2"));
}

#[test]
fn an_excerpt_of_the_manifest_does_not_act_on_a_terminal() {
    let told = report("services:\n  a: { comand: \"\u{1b}[2J\u{9b}31m\u{202e}\u{e0041}x\", \u{200b}b: 1 }\n");
    assert!(told.contains("comand") && told.contains("x\""), "{told}");
    let raw = |c: &char| c.is_control() && *c != '\n' || ['\u{202e}', '\u{e0041}', '\u{200b}'].contains(c);
    assert_eq!(told.chars().find(raw), None, "{told}");
}

#[test]
fn a_list_waits_for_the_most_that_can_be_waited_for() {
    let plan = good(
        "services: { s: {command: x}, t: {command: x, type: task}, u: {command: x, depends_on: [s, t]} }",
    );
    let conditions: Vec<Condition> = plan.units[2].depends_on.iter().map(|arrow| arrow.condition).collect();
    assert_eq!(conditions, [Condition::Healthy, Condition::Completed]);
}

#[test]
fn no_is_a_policy_whether_quoted_or_not_and_a_task_takes_no_always_from_the_defaults() {
    for no in ["no", "\"no\"", "false"] {
        assert_eq!(
            good(&format!("services: {{a: {{command: x, restart: {no}}}}}")).units[0].restart,
            RestartPolicy::No
        );
    }
    let plan = good("defaults: {restart: always}\nservices: {a: {command: x}, b: {command: x, type: task}}");
    assert_eq!(plan.units[0].restart, RestartPolicy::Always);
    assert_eq!(plan.units[1].restart, RestartPolicy::No);
}

#[test]
fn a_log_line_is_a_gate_and_no_health_check() {
    let unit = good(
        "services: {a: {command: x, health: {log: up, tcp: 80}}, b: {command: x, health: {notify: true}}}",
    )
    .units;
    assert_eq!(unit[0].gate.len(), 2);
    assert!(matches!(unit[0].health.as_ref().expect("tcp").probes[..], [Probe::Tcp { .. }]));
    assert_eq!((unit[1].gate.as_slice(), &unit[1].health), ([Probe::Notify].as_slice(), &None));
}

#[test]
fn a_value_cannot_inject_structure() {
    let plan = good("services:\n  a:\n    command: ${TRICK}\n    environment: {X: '${TRICK}'}\n");
    assert_eq!(plan.units.len(), 1);
    let trick = "x]\nevil: {a: b} # ${HOME}";
    assert_eq!(plan.units[0].environment["X"], trick);
    assert_eq!(plan.units[0].command, plan::CommandPlan::Shell(trick.to_owned()));
    assert_eq!(codes("services: {a: {command: x, depends_on: ['${TRICK}']}}"), [Code::UnknownDependency]);
    assert_eq!(codes("services: {a: {command: x, ports: ['${TRICK}']}}").len(), 1);
}

#[test]
fn an_own_key_wins_over_a_merged_one_and_an_earlier_merge_over_a_later() {
    let plan = good(
        "x-a: &a {user: a, working_dir: /a}\nx-b: &b {user: b, stop_signal: INT}\nservices:\n  s: {<<: [*a, *b], working_dir: /own, command: x}\n  t: {command: y, user: own, <<: *b}\n",
    );
    let unit = &plan.units[0];
    assert_eq!((unit.user.as_deref(), unit.working_dir.to_str()), (Some("a"), Some("/own")));
    assert_eq!(unit.stop.signal.to_string(), "SIGINT");
    assert_eq!(plan.units[1].user.as_deref(), Some("own"));
}

#[test]
fn later_layers_of_the_environment_win() {
    let mut context = context();
    let file = |pairs: &[(&str, &str)]| {
        Ok(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    };
    let dir = context.dir.clone();
    context.env_files.insert(dir.join(".env"), file(&[("FROM_DOTENV", "d"), ("HOME", "/lost")]));
    context
        .env_files
        .insert(dir.join("stack.env"), file(&[("A", "stack-file"), ("B", "stack-file"), ("SUB", "s")]));
    context
        .env_files
        .insert(dir.join("own.env"), file(&[("B", "own-file"), ("C", "own-file"), ("PORT", "9")]));
    let text = "env_file: stack.env\nenvironment: {C: stack, D: stack, PORT: '1'}\nservices:\n  a:\n    command: x\n    ports: [80]\n    env_file: [own.env, {path: none.env, required: false}]\n    environment: {D: own, E: '${FROM_DOTENV}${SUB}${HOME}', USER: }\n";
    let plan = check_bytes(text.as_bytes(), &context).expect("good");
    let environment = &plan.units[0].environment;
    let is = |name: &str, value: &str| {
        assert_eq!(environment.get(name).map(String::as_str), Some(value), "{name}");
    };
    is("A", "stack-file");
    is("B", "own-file");
    is("C", "own-file");
    is("D", "own");
    is("E", "ds/home/dev");
    is("USER", "dev");
    is("PORT", "9");
    is("DEVSTACK_SERVICE", "a");
    assert!(!environment.contains_key("FROM_DOTENV"), "`.env` is for substitution only");
}

#[test]
fn the_definition_changes_with_what_a_process_cannot_be_given_later() {
    let definition = |keys: &str| {
        let plan = good(&format!("services: {{a: {{command: x{keys}}}, b: {{command: y}}}}"));
        plan.units.iter().find(|unit| unit.name.as_str() == "a").expect("a").definition.clone()
    };
    let base = definition("");
    assert_eq!(base, "454a76f9ab349602", "stable across versions: a change restarts everybody's services");
    for same in [
        ", labels: {a: b}",
        ", restart: always",
        ", health: {tcp: 80, interval: 9s}",
        ", depends_on: [b]",
        ", stop_signal: INT",
        ", start_timeout: 9s",
        ", profiles: [p]",
    ] {
        assert_eq!(definition(same), base, "{same}");
    }
    for other in [
        ", working_dir: d",
        ", environment: {A: b}",
        ", user: root",
        ", ports: [80]",
        ", logs: {max_files: 9}",
        ", ready: {notify: true}",
    ] {
        assert_ne!(definition(other), base, "{other}");
    }
}

#[test]
fn a_selection_holds_what_it_needs_in_start_order() {
    let plan = good(SHOP);
    let none = BTreeSet::new();
    let agents = BTreeSet::from(["agents".to_owned()]);
    let pick = |names: &[&str], profiles: &BTreeSet<String>, deps| {
        let names: Vec<UnitName> = names.iter().map(|text| name(text)).collect();
        plan::select(&plan, &names, profiles, deps)
            .map(|units| units.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(pick(&[], &none, true).as_deref(), Ok("db migrate orchestrator"));
    assert_eq!(pick(&[], &agents, true).as_deref(), Ok("db migrate orchestrator validation-agent"));
    assert_eq!(
        pick(&["validation-agent"], &none, true).as_deref(),
        Ok("db migrate orchestrator validation-agent")
    );
    assert_eq!(pick(&["orchestrator", "migrate"], &none, false).as_deref(), Ok("migrate orchestrator"));
    let error = pick(&["orchestartor"], &none, true).expect_err("unknown");
    assert_eq!(error.to_string(), "no service \"orchestartor\"; is \"orchestrator\" meant?");
    assert!(matches!(pick(&["zzz"], &none, true), Err(SelectError::Unknown { nearest: None, .. })));
    let hidden = good("services: {a: {command: x, depends_on: [b]}, b: {command: x, profiles: [p]}}");
    assert_eq!(
        plan::select(&hidden, &[], &none, true).map(|units| units.len()),
        Ok(2),
        "a need brings its profile"
    );
}

#[test]
fn stand_ins_with_profiles_of_their_own_may_share_a_port() {
    let two = |a: &str, b: &str| {
        codes(&format!("services: {{a: {{command: x, ports: [80]{a}}}, b: {{command: x, ports: [80]{b}}}}}"))
    };
    assert_eq!(two(", profiles: [real]", ", profiles: [fake]"), []);
    assert_eq!(two(", profiles: [real, fake]", ", profiles: [fake]"), [Code::PortTwice]);
    assert_eq!(two("", ", profiles: [fake]"), [Code::PortTwice]);
}

#[test]
fn automatic_ports_are_asked_for_and_known_to_others() {
    let text = "services:\n  a: {command: x, ports: {http: auto, fix: 81}}\n  b: {command: '${services.a.ports.http}', ports: [80]}\n";
    let mut context = context();
    let parsed = manifest::parse(text.as_bytes()).expect("good");
    let wanted = plan::wanted_auto_ports(&parsed, &context);
    assert_eq!(wanted.auto, [(name("a"), "http".to_owned())]);
    assert_eq!(wanted.declared, BTreeSet::from([80, 81]));
    context.auto_ports.insert(plan::auto_port_key(&name("a"), "http"), 20_123);
    let plan = plan::resolve(&parsed, &context).expect("good");
    assert_eq!(plan.units[0].environment["PORT_HTTP"], "20123");
    assert!(!plan.units[0].environment.contains_key("PORT"), "it has two");
    assert_eq!(plan.units[1].command, plan::CommandPlan::Shell("20123".to_owned()));
}

#[test]
fn every_key_of_the_contract_is_read_or_refused_and_never_ignored() {
    assert_eq!(codes("dashboard: {port: 18790}\nservices: {a: {command: x}}"), [Code::NotYet]);
    for (key, value) in
        [("tty", "true"), ("watch", "{paths: [src]}"), ("hooks", "{pre_start: x}"), ("health", "https://x/")]
    {
        assert_eq!(
            codes(&format!("services: {{a: {{command: x, {key}: {value}}}}}")),
            [Code::NotYet],
            "{key}"
        );
    }
    for (key, value) in [
        ("volumes", "[]"),
        ("container_name", "ab"),
        ("pull_policy", "always"),
        ("network", "n"),
        ("entrypoint", "x"),
        ("context", "c"),
        ("ports", "['5432:5432']"),
        ("health", "{image: true}"),
        ("fallback", "{command: x}"),
    ] {
        assert_eq!(
            codes(&format!("services: {{a: {{command: x, {key}: {value}}}}}")),
            [Code::Contradiction],
            "{key}"
        );
        assert_eq!(codes(&format!("services: {{a: {{image: x, {key}: {value}}}}}")), [], "{key}");
    }
    for (key, value) in [("stop_command", "x"), ("health", "{notify: true}")] {
        assert_eq!(
            codes(&format!("services: {{a: {{image: x, {key}: {value}}}}}")),
            [Code::Contradiction],
            "{key}"
        );
    }
    assert_eq!(codes("x-own: 1\nservices: {a: {command: x, x-mine: {a: b}, on_supervisor_exit: keep}}"), []);
}

#[test]
fn the_reference_holds_a_good_example_and_every_code() {
    let reference = include_str!("../docs/manifest.md");
    let example =
        reference.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    assert_eq!(good(example).units.len(), 3);
    for code in Code::ALL {
        let line = format!("| {code} | {} |", code.meaning().trim_end_matches('.'));
        assert!(reference.contains(&line), "{line}");
    }
}

macro_rules! mistakes {
    ($($test:ident: $text:expr;)+) => {
        $(#[test]
        fn $test() {
            insta::assert_snapshot!(report($text));
        })+
    };
}

mistakes! {
    mistake_unknown_keys: "name: shop\nservice:\n  web: {}\nservices:\n  web:\n    comand: npm start\n    healthcheck: x\n    zzz: 1\n";
    mistake_wrong_types: "name: [a]\nenvironment: hello\nservices:\n  web:\n    command: {a: b}\n    depends_on: db\n    ports: 3000\n    working_dir:\n  db: npm start\n";
    mistake_duplicates: "services:\n  web:\n    command: a\n    command: b\n    environment: [A=1, B=2, A=3]\n  web:\n    command: c\n";
    mistake_tabs: "services:\n  web:\n\tcommand: x\n\tports: [80]\n";
    mistake_unknown_dependency: "services:\n  web: {command: x, depends_on: [postgers, zzz]}\n  postgres: {command: x}\n";
    mistake_cycle: "services:\n  web:\n    command: x\n    depends_on: [api]\n  api:\n    command: x\n    depends_on:\n      db: healthy\n  db: {command: x, depends_on: {web: started}}\n  self: {command: x, depends_on: [self]}\n";
    mistake_unset_variable: "services:\n  web:\n    command: echo ${HOM} ${DB:?start the database first}\n    working_dir: \"a/${NOPE}/b\"\n    environment:\n      X: ${bad%suffix} ${open\n";
    mistake_values: "services:\n  web:\n    command: x\n    stop_grace_period: 10\n    start_timeout: soon\n    stop_signal: SIGTREM\n    restart: on_failure\n    logs: {max_size: 10, max_files: 0}\n    health: {http: 'localhost:3000', retries: many, interval: 0s, status: [200, ok]}\n    ready: {log: '(', tcp: db}\n";
    mistake_ports: "services:\n  web: {command: x, ports: [3000, 70000, '5432:5432', auto]}\n  api: {command: x, ports: {http: 3000, 'a b': 1}}\n";
    mistake_commands: "services:\n  a: {command: ''}\n  b: {command: []}\n  c: {command: }\n  d: {working_dir: x}\n  e:\n  f: {command: [a, [b]]}\n";
    mistake_tasks: "services:\n  t: {type: task, command: x, restart: always, health: http://localhost/}\n  s: {command: x, depends_on: {t: completed, u: completed}}\n  u: {command: x}\n";
    mistake_names: "name: a/b\nservices:\n  -x: {command: a}\n  'a\tb': {command: a}\n  '': {command: a}\n";
    mistake_references: "services:\n  a: {command: '${services.b.port} ${services.c.port} ${services.b.ports.htp} ${services.b.x}'}\n  b: {command: x, ports: {http: 1, grpc: 2}}\n";
    mistake_env_files: "env_file: missing.env\nservices:\n  a: {command: x, env_file: [{required: true}, {path: also.env}]}\n";
    mistake_not_yet: "dashboard: {port: 1}\nservices:\n  db: {command: x, tty: true, watch: {paths: [src]}}\n  a: {command: x, health: 'https://localhost/'}\n";
    mistake_checks: "services:\n  a: {command: x, health: {}}\n  b: {command: x, ready: notify}\n  c: {command: x, health: {status: 200, tcp: 80}}\n  d: {command: x, health: {http: {status: 200}, notify: false}}\n";
    mistake_yaml: "services:\n  web:\n    command: echo a: b\n";
    mistake_unclosed: "services: {web: {command: x}\n";
    mistake_unquoted_substitution: "services:\n  a: {command: x, ports: [${API_PORT}]}\n";
    mistake_anchors: "x-a: &a [*a]\nservices: {}\n";
    mistake_merge: "x-a: &a hello\nservices:\n  a: {<<: *a, command: !env x}\n  b: {<<: *nope, command: x}\n";
    mistake_documents: "services: {a: {command: x}}\n---\nservices: {}\n";
    mistake_empty: "\n";
    mistake_list: "- a\n- b\n";
    mistake_no_services: "name: x\n";
    mistake_sweep: "services: {a: {command: x}}\nsweep: {patterns: ['', 'a|', '('], scope: stac}\n";
    mistake_monitor: "services: {a: {command: x}}\nmonitor: {interval: 10ms, alert: {memory: 6, pids: 0, cpu: 3}}\nbudgets: {up: 30, down: 0s, memory: much, processes: -1, start: 3s}\n";
    mistake_container_keys_of_a_process: "services:\n  web:\n    command: npm start\n    volumes: [\"pgdata:/data\"]\n    entrypoint: sh\n    pull_policy: always\n    ports: [\"5432:5432\"]\n    health: {image: true}\n  api: {entrypoint: node api.js}\n";
    mistake_process_keys_of_a_container: "defaults: {image: x}\nservices:\n  db:\n    image: postgres:16\n    stop_command: pg_ctl stop\n    working_dir: data\n    ready: {notify: true}\n  t: {type: task, image: x, health: {image: true}}\n";
    mistake_container_ports: "services:\n  a: {image: x, ports: [\"53:53/udp\", \"localhost:80:80\", \":81\", auto, \"8000-8010:8000-8010\", \"::1:90:90\", \"70000:1\"]}\n  b: {image: x, ports: [\"5432:1\", \"0.0.0.0:5432:2\", \"[::1]:5432:1\"]}\n  c: {image: x, ports: {sql: \"5432:5432\"}}\n  d: {image: x, network: host, ports: [99]}\n";
    mistake_volumes: "services:\n  db:\n    image: postgres:16\n    volumes: [pgdata, \"conf/x:/etc\", \"pgdata:data\", \"pgdata:/data:r0\", \"~root:/r\", \"a1:/x\", \"b1:/x\", {type: bind, target: /y}, {source: c1}, {type: tmpfs, target: /z}, {target: /v, read_only: true}, {typ: bind}]\n  b: {image: x, volumes: \"a:/b\"}\n  c: {image: x, volumes: {data: /x}}\n";
    mistake_images: "services:\n  a: {image: Postgres}\n  b: {image: }\n  c: {image: ''}\n  d: {image: 'postgres:'}\n  e: {build: [x]}\n  f: {build: {contxt: .}}\n  g: {build: 'https://example.com/x.git'}\n  h: {image: x, pull_policy: build}\n  i: {build: ., pull_policy: never}\n  j: {image: x, pull_policy: sometimes}\n";
    mistake_container_values: "services:\n  a: {image: x, container_name: 'a b', context: '', network: 'a b', user: -x, command: 'a && b', entrypoint: \"sh -c 'x\", stop_signal: SIGTREM}\n  b: {image: x, limits: {memory: 1M, cpus: many, pids: 0, runtime: 8h}}\n  c: {image: x, container_name: same, command: [], entrypoint: ''}\n  d: {image: x, container_name: same, limits: 5}\n  e: {image: x, user: '', working_dir: ''}\n";
    mistake_limits: "limits: {memory: 8, cpus: 0, pids: many, jobs: 0, job_timeout: 10, runtime: 1h}\ndefaults: {limits: {memry: 1G}}\nservices:\n  a: {command: x, limits: {memory: 1K, cpus: 1.2345, pids: 0, runtime: 0s, idle: soon, open_files: 3, on_breach: kill, for: 3}}\n  b: {command: x, limits: 1G}\n  c: {image: x, limits: {memory: 8M, idle: 1m, open_files: 64, on_breach: kill-culprit}}\n";
    mistake_container_names: "services:\n  a: {image: x, container_name: same}\n  b: {image: x, container_name: same}\n  c: {image: x, container_name: one, profiles: [p]}\n  d: {image: x, container_name: one, profiles: [q]}\n";
    mistake_fallbacks: "services:\n  a: {image: x, fallback: {comand: x}}\n  b: {image: x, fallback: {}}\n  c: {image: x, fallback: {command: x, image: y, ports: ['80:80'], health: {image: true}}}\n  d: {image: x, fallback: }\n  e: {image: x, fallback: exec x}\n  f: {command: x, fallback: y}\n  g: {image: x, restart: maybe, fallback: {command: y, working_dir: ''}}\n";
    mistake_named_volumes: "volumes:\n  a b: {}\n  db: {name: -x, driver: nfs, external: maybe}\n  ok: hello\nservices: {a: {image: x}}\n";
    mistake_volume_list: "volumes: [pgdata]\nservices: {a: {image: x}}\n";
    mistake_own_names: "services: {a: {command: x, environment: {DEVSTACK_LIFE: x, 'A B': c}}}\n";
}

const CONTAINERS: &str = r#"
name: shop
environment: { STAGE: dev }
defaults: { user: dev, working_dir: packages, stop_signal: INT, stop_grace_period: 3s }
services:
  postgres:
    image: postgres:16
    ports: { sql: "5433:5432" }
    environment: { POSTGRES_PASSWORD: hunter2-hunter2, HOME: , NOWHERE: }
    volumes: ["pgdata:/var/lib/postgresql/data", "./conf:/etc/pg:ro", "~/dumps:/dumps", /tmp/pg]
    command: postgres -c 'log_line_prefix=%m ' -c shared_buffers=64MB
    health: { exec: [pg_isready, -U, postgres], interval: 500ms }
    limits: { memory: 512M, cpus: 1.5, pids: 64 }
    stop_signal: SIGINT
  redis:
    image: redis:7
    ports: ["127.0.0.1:6379:6379", "[::1]:6379:6379", "auto:6380"]
    entrypoint: [redis-server]
    command: [--save, "", "$HOME"]
    restart: always
    fallback:
      command: exec target/redis --port $PORT
      environment: { REDIS_TOKEN: canary-redis }
      ready: { log: ready, timeout: 1s }
  api:
    build: { context: ./api, dockerfile: dev.Dockerfile, args: { NPM_TOKEN: "canary-canary", USER: }, target: dev }
    pull_policy: build
    user: "1000:1000"
    working_dir: /app
    network: shop
    context: rootless
    health: { on_failure: restart }
    environment: { DB: "postgres://x:y@postgres/${services.postgres.ports.sql}" }
    volumes: [{ type: bind, source: src, target: /app/src, read_only: true }, { type: volume, target: /app/node_modules }]
    depends_on: [postgres]
    fallback: { command: [npm, start], ports: { http: 3000 }, working_dir: api, health: http://localhost:3000/ }
  migrate: { type: task, volumes: ["shared:/s", "theirs:/t", "pgdata:/p"], image: "shop/migrate", container_name: shop-migrate, pull_policy: never, x-note: y }
volumes: { pgdata: , shared: { name: team-shared }, theirs: { external: true }, unused: }
"#;

/// A place with the automatic port of [`CONTAINERS`] chosen.
fn containers_context() -> Context {
    let mut context = context();
    context.auto_ports.insert(plan::auto_port_key(&name("redis"), "6380"), 20_123);
    context
}

fn containers_plan() -> Plan {
    check_bytes(CONTAINERS.as_bytes(), &containers_context()).expect("good")
}

fn container<'p>(plan: &'p Plan, service: &str) -> &'p ContainerPlan {
    let unit = plan.units.iter().find(|unit| unit.name.as_str() == service).expect("the service");
    unit.container.as_deref().expect("a container")
}

#[test]
fn containers_are_planned_as_written() {
    insta::assert_snapshot!(plan::render_yaml(&containers_plan(), false));
}

#[test]
fn what_config_shows_of_containers_is_a_manifest_of_the_same_plan() {
    let plan = containers_plan();
    let shown = plan::render_yaml(&plan, true);
    assert_eq!(good(&shown), plan, "{shown}");
    assert!(shown.contains("hunter2") && shown.contains("canary"));
    let json = serde_json::to_string(&plan::masked(plan.clone(), false)).expect("data");
    for shown in [plan::render_yaml(&plan, false), json] {
        assert!(
            !shown.contains("hunter2") && !shown.contains("canary") && !shown.contains("x:y@"),
            "{shown}"
        );
    }
}

#[test]
fn a_container_has_the_directory_and_the_user_inside_and_its_shim_those_of_this_machine() {
    let plan = containers_plan();
    for unit in &plan.units {
        assert_eq!((unit.working_dir.to_str(), &unit.user), (Some("/home/dev/shop"), &None), "{}", unit.name);
        assert_eq!(unit.stop.signal.to_string(), "SIGTERM", "the shim is asked so");
        assert_eq!(unit.stop.grace, Duration::from_secs(3));
    }
    let api = container(&plan, "api");
    assert_eq!((api.user.as_deref(), api.working_dir.as_deref()), (Some("1000:1000"), Some("/app")));
    assert_eq!(container(&plan, "postgres").stop_signal.as_deref(), Some("SIGINT"));
    let redis = container(&plan, "redis");
    let own = (&redis.user, &redis.working_dir, &redis.stop_signal);
    assert_eq!(own, (&None, &None, &None), "those defaults are of this machine: the image knows its own");
}

#[test]
fn a_container_is_given_what_the_manifest_says_and_nothing_of_the_caller() {
    let plan = containers_plan();
    let unit = plan.units.iter().find(|unit| unit.name.as_str() == "postgres").expect("it");
    let names: Vec<&str> = unit.environment.keys().map(String::as_str).collect();
    assert_eq!(names, ["DEVSTACK_SERVICE", "DEVSTACK_STACK", "HOME", "POSTGRES_PASSWORD", "STAGE"]);
    assert_eq!(unit.environment["HOME"], "/home/dev", "a name alone is taken from the caller");
}

#[test]
fn ports_without_an_address_are_published_on_this_machine_only() {
    let plan = containers_plan();
    let told = |service: &str| {
        let ports = container(&plan, service).publish.iter();
        ports.map(|port| format!("{} {} {}", port.address, port.host, port.inside)).collect::<Vec<_>>()
    };
    assert_eq!(told("postgres"), ["127.0.0.1 5433 5432"]);
    assert_eq!(told("redis"), ["127.0.0.1 6379 6379", "::1 6379 6379", "127.0.0.1 20123 6380"]);
    let ports = |service: &str| {
        let unit = plan.units.iter().find(|unit| unit.name.as_str() == service).expect("it");
        unit.ports.iter().map(|port| (port.name.as_deref(), port.number)).collect::<Vec<_>>()
    };
    assert_eq!(ports("postgres"), [(Some("sql"), 5433)]);
    assert_eq!(ports("redis"), [(None, 6379), (None, 20_123)], "one number once");
    assert!(plan.units.iter().any(|unit| unit.environment.values().any(|value| value.ends_with("/5433"))));
}

#[test]
fn where_a_manifest_asks_nothing_the_image_is_asked() {
    let asked = |keys: &str| {
        let unit = good(&format!("services: {{a: {{image: x{keys}}}}}")).units.remove(0);
        (unit.gate, unit.health.map(|health| (health.probes, health.restart_on_failure)))
    };
    let own = || vec![Probe::Own];
    let log = || vec![Probe::Log("up".to_owned())];
    assert_eq!(asked(""), (own(), Some((own(), false))));
    assert_eq!(asked(", health: {on_failure: restart}"), (own(), Some((own(), true))));
    assert_eq!(asked(", health: {image: true}"), (own(), Some((own(), false))));
    assert_eq!(asked(", ready: {log: up}"), (log(), Some((own(), false))));
    assert_eq!(asked(", health: {log: up}"), (log(), Some((own(), false))));
    let exec = vec![Probe::Exec(plan::CommandPlan::Shell("x".to_owned()))];
    assert_eq!(asked(", health: {exec: x}"), (exec.clone(), Some((exec, false))));
    assert_eq!(asked(", type: task"), (vec![], None), "a task is ready when it has ended");
}

#[test]
fn the_stack_can_say_what_its_volumes_are_called() {
    let plan = containers_plan();
    let told: Vec<String> =
        container(&plan, "migrate").volumes.iter().map(|volume| format!("{:?}", volume.source)).collect();
    let named = |written, name, external| {
        format!("Named {{ written: {written:?}, name: {name:?}, external: {external} }}")
    };
    assert_eq!(
        told,
        [
            named("shared", "team-shared", false),
            named("theirs", "theirs", true),
            named("pgdata", "shop-pgdata-a57929", false),
        ]
    );
    assert_eq!(codes("volumes:\nservices: {a: {command: x}}"), []);
}

#[test]
fn a_fallback_is_a_process_with_all_that_is_not_of_the_container() {
    let plan = containers_plan();
    let unit = |plan: &Plan, service: &str| {
        plan.units.iter().find(|unit| unit.name.as_str() == service).expect("it").clone()
    };
    let redis = *unit(&plan, "redis").fallback.expect("one");
    assert_eq!(
        redis.ports.iter().map(|port| port.number).collect::<Vec<_>>(),
        [6379, 20_123],
        "the same ports"
    );
    assert_eq!((redis.restart, redis.user.as_deref()), (RestartPolicy::Always, Some("dev")));
    assert_eq!(redis.environment.get("STAGE").map(String::as_str), Some("dev"));
    assert_eq!((redis.gate, redis.health), (vec![Probe::Log("ready".to_owned())], None));
    let api = *unit(&plan, "api").fallback.expect("one");
    assert_eq!(api.working_dir, PathBuf::from("/home/dev/shop/api"));
    assert_eq!(api.environment["PORT"], "3000");
    assert_eq!(api.stop.signal.to_string(), "SIGINT", "a default of this machine");
    assert!(!api.environment.contains_key("DB"), "the environment of the image is not its own");
    assert_eq!(api.depends_on.len(), 1);

    let wanted: Vec<UnitName> = ["postgres", "redis"].map(name).into();
    let docker = (EngineKind::Docker, None);
    assert_eq!(plan::engines_to_ask(&plan, &wanted), std::slice::from_ref(&docker));
    assert_eq!(plan::engines_to_ask(&plan, &[name("postgres")]), [], "it has none");
    let rootless = (EngineKind::Docker, Some("rootless".to_owned()));
    assert_eq!(plan::engines_to_ask(&plan, &[name("api"), name("redis")]), [docker.clone(), rootless]);
    let held = plan::without_engines(plan.clone(), std::slice::from_ref(&docker), &[name("redis")]);
    assert_eq!(held, (plan.clone(), vec![]), "its container runs");
    let (fallen, names) = plan::without_engines(plan.clone(), &[docker], &[]);
    assert_eq!(names, [name("redis")]);
    assert_eq!(fallen.secrets, plan.secrets);
    for before in &plan.units {
        let after = unit(&fallen, before.name.as_str());
        if after.name == name("redis") {
            assert_eq!((after.container, after.instead_of.as_deref()), (None, Some("redis:7")));
            assert_ne!(after.definition, before.definition, "with an engine it is made anew");
        } else {
            assert_eq!(&after, before);
        }
    }
}

#[test]
fn a_task_is_another_one_where_what_it_works_on_is_another() {
    let plan = good(
        "services:
  db: { image: 'postgres:16', fallback: exec postgres }
  api: { command: x, depends_on: [db] }
  migrate: { type: task, command: y, depends_on: [db] }
  seed: { type: task, command: z, depends_on: [api] }
  assets: { type: task, command: w }
",
    );
    let (fallen, _) = plan::without_engines(plan.clone(), &[(EngineKind::Docker, None)], &[]);
    let changed = |service: &str| {
        let of = |plan: &Plan| {
            let mut units = plan.units.iter();
            units.find(|unit| unit.name.as_str() == service).expect("it").definition.clone()
        };
        of(&plan) != of(&fallen)
    };
    assert_eq!(["db", "migrate", "seed"].map(changed), [true; 3], "near and far");
    assert_eq!(
        ["api", "assets"].map(changed),
        [false; 2],
        "a service goes on, and so does what needs nothing"
    );
}

#[test]
fn names_of_containers_and_volumes_are_of_this_checkout() {
    let at = |manifest: &str| {
        let context = Context { manifest: PathBuf::from(manifest), ..containers_context() };
        check_bytes(CONTAINERS.as_bytes(), &context).expect("good")
    };
    let (here, there) = (at("/home/dev/shop/devstack.yaml"), at("/home/dev/other/devstack.yaml"));
    assert_eq!(container(&here, "postgres").name, "shop-postgres-a57929");
    assert_ne!(container(&there, "postgres").name, container(&here, "postgres").name);
    let volume = |plan: &Plan| match &container(plan, "postgres").volumes[0].source {
        VolumeSource::Named { written, name, .. } => (written.clone(), name.clone()),
        other => panic!("{other:?}"),
    };
    assert_eq!(volume(&here), ("pgdata".to_owned(), "shop-pgdata-a57929".to_owned()));
    assert_ne!(volume(&here), volume(&there));
    assert_eq!(container(&here, "migrate").name, "shop-migrate", "as the manifest says");
    assert_eq!(container(&here, "api").image, "shop-api-a57929", "what is built has a name");
}

#[test]
fn the_engine_is_the_installed_one_unless_the_caller_says_which() {
    let engine = |word: Option<&str>, installed| {
        let mut context = Context { engine: installed, ..context() };
        context.variables.extend(word.map(|word| ("DEVSTACK_ENGINE".to_owned(), word.to_owned())));
        check_bytes(b"services: {a: {image: x}}", &context).map(|plan| container(&plan, "a").engine)
    };
    assert_eq!(engine(None, EngineKind::Podman), Ok(EngineKind::Podman));
    assert_eq!(engine(Some("docker"), EngineKind::Podman), Ok(EngineKind::Docker));
    assert_eq!(engine(Some("podman"), EngineKind::Docker), Ok(EngineKind::Podman));
    let problems = engine(Some("lxc"), EngineKind::Docker).expect_err("none of them");
    assert_eq!(problems[0].message, "`DEVSTACK_ENGINE` is `lxc`, which is no engine");
    let mut context = context();
    context.variables.insert("DEVSTACK_ENGINE".to_owned(), "lxc".to_owned());
    assert!(check_bytes(b"services: {a: {command: x}}", &context).is_ok(), "nothing here needs one");
}

#[test]
fn the_definition_changes_with_all_that_a_container_is_made_of() {
    let definition =
        |keys: &str| good(&format!("services: {{a: {{image: x{keys}}}}}")).units[0].definition.clone();
    let base = definition("");
    assert_eq!(
        base, "df1d6ce620187d4e",
        "stable across versions: a change makes everybody's containers anew"
    );
    for same in [
        ", pull_policy: always",
        ", restart: always",
        ", health: {tcp: 80}",
        ", stop_grace_period: 1s",
        ", labels: {a: b}",
    ] {
        assert_eq!(definition(same), base, "{same}");
    }
    for other in [
        ", ports: [80]",
        ", ports: ['0.0.0.0:80:80']",
        ", volumes: [/x]",
        ", volumes: ['aa:/x:ro']",
        ", environment: {A: b}",
        ", command: x",
        ", entrypoint: x",
        ", user: root",
        ", working_dir: /x",
        ", network: n",
        ", context: c",
        ", container_name: other",
        ", stop_signal: INT",
        ", build: .",
        ", limits: {memory: 64M}",
        ", limits: {cpus: 1}",
        ", limits: {pids: 9}",
    ] {
        assert_ne!(definition(other), base, "{other}");
    }
}

#[test]
fn limits_stand_over_their_defaults_and_only_that_of_files_needs_a_new_process() {
    let plan = good(
        "limits: {memory: 8G, pids: 400, cpus: 6, jobs: 3, job_timeout: 20m}
defaults: {limits: {pids: 100, idle: 1h, on_breach: warn, for: 10s}}
services:
  a: {command: x, limits: {memory: 1G, cpus: 1.5, runtime: 8h, on_breach: kill-culprit}}
  b: {command: x, limits: {open_files: 64}}
  c: {image: x, limits: {memory: 64M, runtime: 1h}}
",
    );
    let stack = &plan.limits;
    assert_eq!((stack.memory, stack.cpus_milli, stack.pids), (Some(8 << 30), Some(6000), Some(400)));
    assert_eq!((stack.jobs, stack.job_timeout), (Some(3), Some(Duration::from_secs(1200))));
    let hour = Duration::from_secs(3600);
    let a = Limits {
        memory: Some(1 << 30),
        cpus_milli: Some(1500),
        pids: Some(100),
        runtime: Some(8 * hour),
        idle: Some(hour),
        open_files: None,
        on_breach: OnBreach::KillCulprit,
        sustained: Duration::from_secs(10),
    };
    assert_eq!(plan.units[0].limits, a);
    assert_eq!((plan.units[1].limits.open_files, plan.units[1].limits.on_breach), (Some(64), OnBreach::Warn));
    // Of a container its engine holds what it can.
    let held = container(&plan, "c");
    assert_eq!((held.memory, held.pids, held.cpus_milli), (Some(64 << 20), Some(100), None));
    let rest = Limits { runtime: Some(hour), on_breach: OnBreach::Warn, ..Limits::default() };
    assert_eq!(plan.units[2].limits, rest);
    let again = good(&plan::render_yaml(&plan, true));
    assert_eq!((again.limits, &again.units[0].limits), (plan.limits.clone(), &a));

    let definition =
        |limits: &str| good(&format!("services: {{a: {{command: x{limits}}}}}")).units[0].definition.clone();
    assert_eq!(
        definition(", limits: {memory: 1G, cpus: 1, pids: 9, runtime: 1h, on_breach: stop}"),
        definition("")
    );
    assert_ne!(definition(", limits: {open_files: 64}"), definition(""));
}

#[test]
fn control_characters_of_a_manifest_do_not_reach_the_terminal() {
    let text = "services:\n  \"a\\e[31m\": {command: x}\n  b: {command: x, \"k\\e]0;t\\a\\u202E\": 1, \"l\\n\\u2028\": 2}\n";
    let problems = check(text).expect_err("it is wrong");
    let shown = manifest::render(&problems, "dev\u{1b}[2Jstack.yaml", text, false);
    assert!(!shown.contains(['\u{1b}', '\u{7}', '\u{202e}', '\u{2028}']), "{shown}");
    assert!(shown.contains(r"`l\n\u{2028}`"), "{shown}");
}

#[test]
fn only_the_first_fifty_problems_are_shown() {
    let text = "services:\n".to_owned() + &each(0..200, |n| format!("  s{n}: {{}}\n"));
    let shown = report(&text);
    assert_eq!(shown.matches("error[DS062]").count(), 50);
    assert!(shown.ends_with("and 150 more: 200 problems in devstack.yaml\n"), "{shown}");
}

/// Processor time of this thread: other tests at work beside it do not count.
fn processor_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).expect("less than a second"))
}

/// In a release build on a quiet machine each ends within a second; a busy one is given three. A debug build is many
/// times slower.
fn within_time(what: &str, text: &[u8]) -> Result<Plan, Vec<Problem>> {
    let begin = processor_time();
    let result = check_bytes(text, &context());
    if let Err(problems) = &result {
        let shown = manifest::render(problems, "devstack.yaml", &String::from_utf8_lossy(text), true);
        assert!(shown.contains("DS0") && shown.len() < 1 << 20, "{what}: {}", shown.len());
    }
    let took = processor_time().saturating_sub(begin);
    let limit = if cfg!(debug_assertions) { 60 } else { 3 };
    assert!(took < Duration::from_secs(limit), "{what} took {took:?}");
    result
}

fn first_code(result: Result<Plan, Vec<Problem>>) -> Option<Code> {
    result.err().and_then(|problems| problems.first().map(|problem| problem.code))
}

/// One text for each number, joined.
fn each(numbers: std::ops::Range<usize>, text: impl Fn(usize) -> String) -> String {
    numbers.map(text).collect::<Vec<_>>().concat()
}

#[test]
fn hostile_shapes_end_in_a_clear_error() {
    let deep = |open: &str| open.repeat(100_000);
    let shapes = [("lists", deep("[")), ("maps", deep("{a: ")), ("blocks", deep("- ")), ("keys", deep("? "))];
    for (what, text) in shapes {
        let code = first_code(within_time(what, text.as_bytes()));
        assert!(matches!(code, Some(Code::TooMuch | Code::Syntax)), "{what}: {code:?}");
    }
    let indented = each(0..2_000, |n| format!("{}a:\n", " ".repeat(n)));
    assert_eq!(first_code(within_time("indentation", indented.as_bytes())), Some(Code::TooMuch));
    let ten = |n: usize| vec![format!("*a{}", n - 1); 10].join(",");
    let bomb = "a0: &a0 [x]\n".to_owned() + &each(1..40, |n| format!("a{n}: &a{n} [{}]\n", ten(n)));
    assert_eq!(first_code(within_time("alias bomb", bomb.as_bytes())), Some(Code::TooMuch));
    let chain =
        "x-a0: &a0 [x]\n".to_owned() + &each(1..100_000, |n| format!("x-a{n}: &a{n} [*a{}]\n", n - 1));
    assert_eq!(first_code(within_time("alias chain", chain.as_bytes())), Some(Code::TooMuch));
    let short = "x-a0: &a0 [x]\n".to_owned() + &each(1..100, |n| format!("x-a{n}: &a{n} [*a{}]\n", n - 1));
    let problems = within_time("short alias chain", short.as_bytes()).expect_err("too deep");
    assert!(problems[0].message.contains("levels deep"), "{problems:?}");
    let keys = each(0..1_000, |n| format!("k{n}: v, "));
    let merges =
        format!("x: &x {{{keys}}}\nservices:\n") + &each(0..20_000, |n| format!("  s{n}: {{<<: *x}}\n"));
    assert_eq!(first_code(within_time("merges", merges.as_bytes())), Some(Code::TooMuch));
}

#[test]
fn what_is_no_text_is_told_with_its_place() {
    for (what, bytes) in [
        ("latin1", b"services:\n  a: {command: \xfc}".as_slice()),
        ("utf16", b"\xff\xfes\0e\0r\0"),
        ("nul", b"services:\n  a: {command: \0}"),
    ] {
        assert_eq!(first_code(within_time(what, bytes)), Some(Code::NotText), "{what}");
    }
    assert_eq!(
        first_code(within_time("escaped nul", b"services: {a: {command: \"x\\0y\"}}")),
        Some(Code::BadValue)
    );
    assert!(within_time("bom", b"\xef\xbb\xbfservices: {a: {command: x}}\r\n").is_ok());
    let bom = "\u{feff}services:\n  a: {comand: x}\n";
    let problem = &check(bom).expect_err("unknown key")[0];
    let span = problem.span.expect("a place");
    assert_eq!(&bom[span.start as usize..span.end as usize], "comand");
}

#[test]
fn large_manifests_end_in_time() {
    let services = |count: usize, body: &dyn Fn(usize) -> String| {
        "services:\n".to_owned() + &each(0..count, |n| format!("  s{n}: {}\n", body(n)))
    };
    let plain = services(100_000, &|_| "{command: x}".to_owned());
    assert_eq!(
        within_time("100,000 services", plain.as_bytes()).map(|plan| plan.units.len()).ok(),
        Some(100_000)
    );
    // The shape is what matters from here on: a debug build need not do it all.
    let many = if cfg!(debug_assertions) { 20_000 } else { 100_000 };
    let chain = services(many, &|n| format!("{{command: x, depends_on: [s{}]}}", (n + 1).min(many - 1)));
    assert_eq!(first_code(within_time("a chain into a cycle", chain.as_bytes())), Some(Code::Cycle));
    let ring = services(many, &|n| format!("{{command: x, depends_on: [s{}]}}", (n + 1) % many));
    assert_eq!(first_code(within_time("a ring", ring.as_bytes())), Some(Code::Cycle));
    let wrong = services(many, &|n| format!("{{comand: x, depends_on: [t{n}], restart: maybe}}"));
    assert!(within_time("wrong everywhere", wrong.as_bytes()).is_err());
    let ports = services(many / 2, &|n| format!("{{command: x, ports: [{}], profiles: [p{n}]}}", n % 7 + 1));
    assert!(within_time("one port for many profiles", ports.as_bytes()).is_ok());
    let keys = each(0..many, |n| format!("k{n}: 1\n"));
    assert!(within_time("unknown keys", keys.as_bytes()).is_err());
    let one_line = format!("services: {{a: {{command: \"{}\", zzz: 1}}}}", "x".repeat(many * 150));
    assert_eq!(first_code(within_time("one long line", one_line.as_bytes())), Some(Code::UnknownKey));
    let values = format!("x: [{}]", "a,".repeat(many * 70));
    assert_eq!(first_code(within_time("millions of values", values.as_bytes())), Some(Code::TooMuch));
    let huge = vec![b'#'; (16 << 20) + 1];
    assert_eq!(first_code(within_time("too large", &huge)), Some(Code::TooMuch));
    let comment = vec![b'#'; 16 << 20];
    assert_eq!(first_code(within_time("one comment", &comment)), Some(Code::Missing));
    let multiplied = "environment:\n".to_owned() + &each(0..10_000, |n| format!("  V{n}: value\n")) + &plain;
    assert_eq!(first_code(within_time("environments", multiplied.as_bytes())), Some(Code::TooMuch));
}

mod never_panics {
    use super::{CONTAINERS, SHOP, check_bytes, context};
    use devstack::{manifest, plan};
    use proptest::prelude::*;

    fn run(bytes: &[u8]) {
        match check_bytes(bytes, &context()) {
            Err(problems) => {
                assert!(!problems.is_empty());
                let _ = manifest::render(&problems, "x", &String::from_utf8_lossy(bytes), false);
            }
            Ok(plan) => {
                let shown = plan::render_yaml(&plan, true);
                let again = check_bytes(shown.as_bytes(), &context());
                assert_eq!(again.as_ref(), Ok(&plan), "{shown}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, ..super::chance::config() })]

        #[test]
        fn on_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            run(&bytes);
        }

        #[test]
        fn on_yaml_like_text(text in "([a-z]{1,3}|services|command|depends_on|ports|[:\\[\\]{},&*!|>'\"$\\-?#%@ \n\t~]|\n  |<<|\\$\\{|ü|\u{feff}){0,60}") {
            run(text.as_bytes());
        }

        #[test]
        fn on_a_good_manifest_with_faults(containers: bool, edits in proptest::collection::vec((any::<prop::sample::Index>(), 0_usize..12, any::<u8>()), 1..6)) {
            // Its automatic port is chosen by nobody here.
            let text = if containers { CONTAINERS.replace("auto:", "81:") } else { SHOP.to_owned() };
            let mut bytes = text.into_bytes();
            for (index, cut, byte) in edits {
                let at = index.index(bytes.len());
                match cut {
                    0 => bytes[at] = byte,
                    1 => bytes.insert(at, b"\n\t {}[]:&*$\"'#-"[usize::from(byte) % 15]),
                    cut => { bytes.drain(at..(at + cut).min(bytes.len())); }
                }
            }
            run(&bytes);
        }

        #[test]
        fn and_any_value_survives_being_shown(command in "\\PC{1,30}", value in any::<String>(), pattern in "[a-z$]{1,9}") {
            prop_assume!(!command.trim().is_empty() && !value.contains('\0'));
            let quote = |text: &str| serde_json::to_string(&text.replace('$', "$$")).expect("JSON is YAML");
            let text = format!("services: {{a: {{command: {}, environment: {{X: {}}}, ready: {{log: {}}}}}}}", quote(&command), quote(&value), quote(&pattern));
            let plan = check_bytes(text.as_bytes(), &context()).expect("good");
            prop_assert_eq!(&plan.units[0].environment["X"], &value);
            run(text.as_bytes());
        }
    }
}
