//! `down --volumes` and `down --containers`: is data only removed where somebody said so, and only the stack's own?
//! The engine is a script that writes down what it was asked: no container runs here.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::world::{Out, Running, World, alive, finish};

const STACK: &str = "
name: shop
services:
  db: { image: 'postgres:16', volumes: ['pgdata:/var/lib/postgresql/data'] }
  api: { command: exec sleep 600 }
";

/// Answers `volume ls` with what stands in a file, and fails to remove what is called `busy`.
const ENGINE: &str = r#"#!/bin/sh
cd "$(dirname "$0")" || exit 1
echo "$*" >>asked
case "$*" in
*'volume ls'*'label=devstack.owner='*) cat volumes ;;
*'volume rm'*busy*) echo 'Error response from daemon: remove busy: volume is in use - [b127]' >&2; exit 1 ;;
esac
"#;

struct Shop(World);

impl Shop {
    fn with(volumes: &str) -> Self {
        let world = World::new(STACK);
        fs::create_dir(world.path("bin")).expect("a directory");
        fs::write(world.path("bin/docker"), ENGINE).expect("a script");
        fs::set_permissions(world.path("bin/docker"), fs::Permissions::from_mode(0o755)).expect("its mode");
        fs::write(world.path("bin/volumes"), volumes).expect("a list");
        Self(world)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.0.command(args);
        let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/bin:/bin".to_owned());
        command
            .env("PATH", format!("{}:{path}", self.0.path("bin").display()))
            .env("DEVSTACK_ENGINE", "docker");
        command
    }

    fn run(&self, code: i32, args: &[&str]) -> Out {
        finish(self.command(args)).expect(code, &args.join(" "))
    }

    /// What the engine was told to remove.
    fn removed(&self) -> Vec<String> {
        let asked = fs::read_to_string(self.0.path("bin/asked")).unwrap_or_default();
        let of = |line: &str| line.strip_prefix("volume rm -- ").map(str::to_owned);
        asked.lines().filter_map(of).collect()
    }
}

#[test]
fn volumes_go_only_where_somebody_said_yes() {
    let shop = Shop::with("shop-pgdata-1a2b3c\nshop-cache-1a2b3c\n");
    shop.run(0, &["start", "api"]);
    let api = shop.0.pid("api");
    let refused = shop.run(2, &["down", "--volumes"]);
    refused.complains(&["DS053", "--yes", "shop-cache-1a2b3c, shop-pgdata-1a2b3c"]);
    assert!(alive(api), "nothing was ended before the question");
    shop.run(2, &["down", "--yes"]);
    shop.run(2, &["down", "--volumes", "--yes", "api"]);
    assert_eq!(shop.removed(), [""; 0]);
    shop.run(0, &["down", "--volumes", "--yes"])
        .says(&["volumes removed: shop-cache-1a2b3c, shop-pgdata-1a2b3c"]);
    assert_eq!(shop.removed(), ["shop-cache-1a2b3c", "shop-pgdata-1a2b3c"]);
    assert!(!alive(api));
}

#[test]
fn a_volume_that_stays_is_told_and_is_no_success() {
    let shop = Shop::with("busy\n");
    let told = shop.run(6, &["down", "--volumes", "--yes", "--json"]).json();
    assert_eq!(told["volumes"]["left"][0]["name"], "busy");
    assert!(
        told["volumes"]["left"][0]["reason"].as_str().is_some_and(|why| why.contains("in use")),
        "{told}"
    );
    assert_eq!(told["volumes"]["removed"], serde_json::json!([]));
    shop.run(6, &["down", "--volumes", "--yes"])
        .says(&["volume not removed: busy (remove busy: volume is in use"]);
}

#[test]
fn without_an_engine_nothing_is_begun() {
    let shop = Shop::with("");
    shop.run(0, &["start", "api"]);
    let api = shop.0.pid("api");
    let mute = "#!/bin/sh\necho 'Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?' >&2; exit 1\n";
    fs::write(shop.0.path("bin/docker"), mute).expect("a script");
    shop.run(69, &["down", "--volumes", "--yes"]).complains(&["DS046", "Cannot connect", "doctor"]);
    assert!(alive(api));
    fs::write(shop.0.path("bin/docker"), ENGINE).expect("a script");
    shop.run(0, &["down", "--volumes"]);
    assert_eq!(shop.removed(), [""; 0], "there is none: nobody has to be asked");
}

#[test]
fn only_containers_can_be_ended() {
    let shop = Shop::with("");
    shop.run(0, &["start", "api"]);
    let api = shop.0.pid("api");
    shop.run(0, &["down", "--containers"]);
    let none = shop.run(0, &["down", "--containers", "api"]);
    none.complains(&["nothing to do"]);
    assert!(alive(api), "a process is no container");
    let told = shop.run(0, &["down", "--containers", "--dry-run"]);
    assert_eq!(told.stdout, "nothing is running\n");
    // A stack without any is not ended as a whole.
    let plain = World::new("name: plain\nservices: { api: { command: exec sleep 600 } }\n");
    plain.ok(&["up"]);
    let running = plain.pid("api");
    Running::start(plain.command(&["down", "--containers"]))
        .finish()
        .expect(0, "down")
        .complains(&["nothing to do"]);
    assert!(alive(running));
}
