//! What happens to containers, as the engine tells it while it happens.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::facts::read;
use super::trouble::Trouble;

/// Something happened to a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Which.
    pub container: String,
    /// Its name.
    pub name: String,
    /// What.
    pub what: Happened,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    /// It was made.
    Created,
    /// It runs.
    Started,
    /// Its first process ended; the code where it was told.
    Died {
        /// The exit code.
        code: Option<i32>,
    },
    /// The kernel ended a process of it for want of memory.
    OutOfMemory,
    /// Its health check changed its mind.
    Health {
        /// Whether it is good.
        healthy: bool,
    },
    /// It was taken away.
    Removed,
    /// Anything else: each run of a health check, signals, mounts.
    Other(String),
}

#[derive(Deserialize)]
struct Raw {
    /// `id` of docker, `ID` of podman.
    #[serde(alias = "ID")]
    id: Option<String>,
    #[serde(alias = "Status")]
    status: Option<String>,
    #[serde(rename = "Action")]
    action: Option<String>,
    #[serde(rename = "Actor")]
    actor: Option<Actor>,
    #[serde(rename = "Name")]
    name: Option<String>,
    #[serde(rename = "ContainerExitCode")]
    exit_code: Option<i32>,
    #[serde(rename = "HealthStatus")]
    health: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Actor {
    #[serde(rename = "ID")]
    id: String,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

/// Reads one line of `events`.
pub(super) fn event(line: &str) -> Result<Event, Trouble> {
    let raw: Raw = read(line)?;
    let actor = raw.actor.unwrap_or(Actor { id: String::new(), attributes: BTreeMap::new() });
    let action = raw.action.or(raw.status).unwrap_or_default();
    let code = raw.exit_code.or_else(|| actor.attributes.get("exitCode")?.parse().ok());
    let health = raw.health.as_deref().or_else(|| action.strip_prefix("health_status: "));
    let what = match action.as_str() {
        "create" => Happened::Created,
        "start" => Happened::Started,
        "die" | "died" => Happened::Died { code },
        "oom" => Happened::OutOfMemory,
        "destroy" | "remove" => Happened::Removed,
        _ => match (action.starts_with("health_status"), health) {
            (true, Some("healthy")) => Happened::Health { healthy: true },
            (true, Some("unhealthy")) => Happened::Health { healthy: false },
            _ => Happened::Other(action),
        },
    };
    let name = raw.name.or_else(|| actor.attributes.get("name").cloned()).unwrap_or_default();
    let container = raw.id.filter(|id| !id.is_empty()).unwrap_or(actor.id);
    Ok(Event { container, name, what })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines as docker 28.2 and podman 4.3 wrote them, with shorter ids.
    #[test]
    fn lines_of_real_engines_are_read() {
        let of = |line: &str| event(line).expect("it can be read");
        let die = of(
            r#"{"status":"die","id":"d989","from":"devstack-test/idle","Type":"container","Action":"die","Actor":{"ID":"d989","Attributes":{"a":"b","exitCode":"3","image":"devstack-test/idle","name":"ds-d"}},"scope":"local","time":1795258796,"timeNano":1795258796996994863}"#,
        );
        assert_eq!((&*die.container, &*die.name), ("d989", "ds-d"));
        assert_eq!(die.what, Happened::Died { code: Some(3) });
        let health = of(
            r#"{"status":"health_status: healthy","id":"b127","Type":"container","Action":"health_status: healthy","Actor":{"ID":"b127","Attributes":{"name":"ds-a"}}}"#,
        );
        assert_eq!(health.what, Happened::Health { healthy: true });
        // docker 29 leaves the old fields out.
        let newer =
            of(r#"{"Type":"container","Action":"start","Actor":{"ID":"b127","Attributes":{"name":"ds-a"}}}"#);
        assert_eq!((newer.container.as_str(), newer.what), ("b127", Happened::Started));
        let check = of(
            r#"{"status":"exec_create: /bin/sh -c x","id":"b127","Action":"exec_create: /bin/sh -c x","Actor":{"ID":"b127","Attributes":{}}}"#,
        );
        assert_eq!(check.what, Happened::Other("exec_create: /bin/sh -c x".to_owned()));
        let podman = of(
            r#"{"ID":"69b3","Image":"localhost/devstack-test/idle:latest","Name":"aa","Status":"remove","Time":"2026-11-21T10:54:03.577777072Z","Type":"container","Attributes":{"devstack.test.key":"493008026"}}"#,
        );
        assert_eq!((&*podman.container, &*podman.name, podman.what), ("69b3", "aa", Happened::Removed));
    }
}
