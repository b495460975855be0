//! Answers of real engines, shortened to what is read and what lies beside it.

use super::*;

/// docker 28.2 of a container that runs, with a health check, a published and an exposed port, and a named volume.
const DOCKER: &str = r#"{"Id":"b127e16cc82d","Created":"2026-11-21T10:57:34.678600815Z","Path":"entrypoint","Args":["redis-server"],"State":{"Status":"running","Running":true,"Paused":false,"Restarting":false,"OOMKilled":false,"Dead":false,"Pid":10353,"ExitCode":0,"Error":"","StartedAt":"2026-11-21T10:57:35.646631148Z","FinishedAt":"0001-01-01T00:00:00Z","Health":{"Status":"healthy","FailingStreak":0,"Log":[{"Start":"2026-11-21T10:57:36.647971627Z","End":"2026-11-21T10:57:36.78550748Z","ExitCode":0,"Output":""}]}},"Image":"sha256:bb45d512dca6","Name":"/ds-a","RestartCount":0,"HostConfig":{"Binds":["vola:/data"]},"Mounts":[{"Type":"volume","Name":"vola","Source":"/x/data/volumes/vola/_data","Destination":"/data","Driver":"local","Mode":"z","RW":true,"Propagation":""}],"Config":{"Hostname":"b127e16cc82d","Cmd":["redis-server"],"Image":"devstack-test/redis","Labels":{"dev.devstack.stack":"x"}},"NetworkSettings":{"Bridge":"","Ports":{"6379/tcp":null,"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"17777"}]}}}"#;

/// docker 28.2 of one whose port was taken.
const NOT_STARTED: &str = r#"{"Id":"d841","State":{"Status":"created","Running":false,"Pid":0,"ExitCode":128,"Error":"driver failed programming external connectivity on endpoint ds-b: Bind for 127.0.0.1:17777 failed: port is already allocated","StartedAt":"0001-01-01T00:00:00Z","FinishedAt":"0001-01-01T00:00:00Z"},"Image":"sha256:f6b7","Name":"/ds-b","RestartCount":0,"Mounts":[],"Config":{"Labels":null},"NetworkSettings":{"Ports":{}}}"#;

/// docker 28.2 of one that was killed.
const KILLED: &str = r#"{"Id":"b1fd","State":{"Status":"exited","Running":false,"Paused":false,"Restarting":false,"OOMKilled":false,"Dead":false,"Pid":0,"ExitCode":137,"Error":"","StartedAt":"2026-11-21T10:59:59.59719981Z","FinishedAt":"2026-11-21T10:59:59.720196539Z"},"Image":"sha256:f6b7","Name":"/ds-e","Config":{"Labels":{}}}"#;

/// podman 4.3: a list, other words for nothing, an entrypoint that is no list, a signal that is a number.
const PODMAN: &str = r#"[
     {"Id": "ab8170857f0b", "Name": "aa", "Image": "f6b7480a6189", "ImageName": "localhost/devstack-test/idle:latest", "State": {"OciVersion": "1.0.2-dev", "Status": "running", "Running": true, "Pid": 5297, "ConmonPid": 5284, "ExitCode": 0, "Error": "", "StartedAt": "2026-11-21T10:54:26.674788008Z", "FinishedAt": "0001-01-01T00:00:00Z", "Health": {"Status": "", "FailingStreak": 0, "Log": null}}, "RestartCount": 0, "Mounts": [], "Config": {"Entrypoint": "entrypoint", "Labels": {"devstack.test.key": "493008026"}, "StopSignal": 15}, "NetworkSettings": {"Ports": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "18777"}]}}}
]
"#;

fn one(text: &str) -> Container {
    let mut all = containers(text).expect("it can be read");
    assert_eq!(all.len(), 1);
    all.remove(0)
}

#[test]
fn a_container_of_docker_is_read() {
    let container = one(DOCKER);
    assert_eq!(
        (&*container.id, &*container.name, &*container.image),
        ("b127e16cc82d", "ds-a", "bb45d512dca6")
    );
    assert_eq!(container.labels["dev.devstack.stack"], "x");
    let since = "2026-11-21T10:57:35.646631148Z".to_owned();
    assert_eq!(container.status, Status::Running { pid: Pid::new(10353), since });
    assert_eq!(container.health, Some(Health::Healthy));
    let address = Some([127, 0, 0, 1].into());
    assert_eq!(container.published, [Published { address, host: 17777, inside: 80 }]);
    assert_eq!(container.mounts[0].name.as_deref(), Some("vola"));
}

#[test]
fn a_container_that_could_not_be_started_tells_why() {
    let Status::Created { error } = one(NOT_STARTED).status else { panic!("it was never started") };
    assert!(error.contains("port is already allocated"));
}

#[test]
fn a_container_that_was_killed_is_known_as_such() {
    let Status::Exited(ended) = one(KILLED).status else { panic!("it has ended") };
    assert!(ended.was_killed() && !ended.out_of_memory && ended.at.starts_with("2026-11-21T10:59:59"));
}

#[test]
fn a_container_of_podman_is_read() {
    let container = one(PODMAN);
    assert_eq!((&*container.name, container.health), ("aa", None));
    assert!(matches!(container.status, Status::Running { pid: Some(_), .. }));
    assert_eq!(container.published[0].host, 18777);
}

#[test]
fn an_unhealthy_container_has_its_last_answer() {
    let text = DOCKER.replace("\"healthy\",\"FailingStreak\":0", "\"unhealthy\",\"FailingStreak\":3");
    let text = text.replace("\"ExitCode\":0,\"Output\":\"\"", "\"ExitCode\":1,\"Output\":\"refused\"");
    let last = Some(Check { exit_code: 1, output: "refused".to_owned() });
    assert_eq!(one(&text).health, Some(Health::Unhealthy { streak: 3, last }));
}

#[test]
fn images_of_both_are_read() {
    let docker = r#"{"Id":"sha256:bb45","RepoTags":["devstack-test/redis:latest"],"Config":{"ExposedPorts":{"6379/tcp":{}},"Healthcheck":{"Test":["CMD-SHELL","x"]}}}"#;
    let image_of = |text| image(text).expect("it can be read");
    assert_eq!(image_of(docker), Image { id: "bb45".into(), has_health: true, ports: vec![6379] });
    let podman = r#"[{"Id":"f6b7","Config":{"Entrypoint":["entrypoint"]},"Healthcheck":{"Test":["x"]}}]"#;
    assert_eq!(image_of(podman), Image { id: "f6b7".into(), has_health: true, ports: vec![] });
}

#[test]
fn versions_of_both_are_read() {
    let docker =
        r#"{"Client":{"Version":"28.2.2","ApiVersion":"1.41"},"Server":{"Version":"20.10.24+dfsg1"}}"#;
    let both = version(docker).expect("it can be read");
    assert_eq!((&*both.client, &*both.engine), ("28.2.2", "20.10.24+dfsg1"));
    let podman = r#"{"Client":{"APIVersion":"4.3.1","Version":"4.3.1"}}"#;
    assert_eq!(version(podman).expect("it can be read").engine, "4.3.1");
}

#[test]
fn what_cannot_be_read_is_trouble_and_no_panic() {
    for text in ["{", "[]x", "{\"Id\":3}", "null", "\"\""] {
        assert_eq!(containers(text).expect_err("nonsense").kind, TroubleKind::Unreadable, "{text}");
    }
    assert_eq!(containers("").expect("nothing"), []);
}

proptest::proptest! {

    #![proptest_config(crate::chance::config())]

    #[test]
    fn any_answer_is_read_without_panic(text in "\\PC{0,200}") {
        let _ = (containers(&text), image(&text), version(&text));
    }
}

#[test]
fn processes_inside_are_read_as_both_engines_tell_them() {
    let docker = "PID                 PPID                COMMAND\n11765               11719               /bin/sh /usr/bin/entrypoint idle\n11948               11765               sleep 3600\n";
    let podman = "HPID        PID         PPID        COMMAND\n11765       1           0           /bin/sh /usr/bin/entrypoint idle \n11948       6           1           sleep 3600 \n";
    let one = |pid, parent, command: &str| Inside {
        pid: Pid::new(pid).expect("a number"),
        parent,
        command: command.to_owned(),
    };
    let (first, second) = ("/bin/sh /usr/bin/entrypoint idle", "sleep 3600");
    assert_eq!(inside(docker).expect("read"), [one(11765, 11719, first), one(11948, 11765, second)]);
    assert_eq!(inside_by_own(podman).expect("read"), [one(11765, 0, first), one(11948, 11765, second)]);
    assert!(inside("PID PPID COMMAND\nno number\n").is_err());
    assert_eq!(inside("PID PPID COMMAND\n").expect("none runs"), []);
}
