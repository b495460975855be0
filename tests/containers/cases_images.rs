//! Images that are not here: pulled and shown to be, or told as what cannot be had.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::cases::told;
use crate::engine::{daemon, registry};
use crate::stack::{Stack, kill_all};
use crate::world::{Started, command_line, finish, numbers, runs, until};

fn of(image: &str, more: &str) -> String {
    format!("services:\n  db: {{ image: '{image}'{more} }}\n")
}

#[test]
fn an_image_that_cannot_be_had_is_told_as_what_it_is() {
    let Some(stack) = Stack::new(&of("devstack-test/nono", ", pull_policy: never")) else { return };
    let words = ["error[DS037]: the image devstack-test/nono (db) is not here, and is not to be pulled"];
    told(stack.run(&["up"]), 1, &words);
    // Nobody listens there: that is known at once.
    stack.world.write(&of("127.0.0.1:1/nono", ""));
    let words =
        ["error[DS037]: the image 127.0.0.1:1/nono (db) is not here, and its registry cannot be reached"];
    let ran = told(stack.run(&["up"]), 1, &words);
    assert!(ran.took < Duration::from_secs(30), "{:?}", ran.took);
    let Some(registry) = daemon().and_then(|_| registry()) else { return };
    stack.world.write(&of(&format!("{registry}/devstack-test/nono"), ""));
    told(stack.run(&["up"]), 1, &["error[DS037]", "is not here, and not in its registry"]);
    stack.down();
}

#[test]
fn an_image_is_pulled_and_that_is_shown_while_it_lasts() {
    let Some(stack) = Stack::new(&of("none", "")) else { return };
    let Some(registry) = daemon().and_then(|_| registry()) else { return };
    let engine = stack.engine;
    let gate = Gate::before(registry);
    let name = format!("cases/pulled-{}", std::process::id());
    let (image, here) = (format!("{}/{name}", gate.address), format!("{registry}/{name}"));
    push(&stack, &here);
    stack.world.write(&of(&image, ""));
    std::thread::scope(|scope| {
        let up = scope.spawn(|| stack.run(&["up"]));
        until("it is shown", || {
            let note = stack.run(&["ps"]).out;
            note.contains("pulling") && note.contains(&name) && note.contains("layers")
        });
        gate.open();
        // Without a terminal too.
        told(up.join().expect("it ends"), 0, &["1 of 1 ready", "pulling "]);
    });
    stack.down();
    engine.docker(&["rmi", &image]);
}

#[test]
fn killed_in_the_middle_of_a_pull_nothing_of_it_goes_on() {
    let Some(stack) = Stack::new(&of("none", "")) else { return };
    let Some(registry) = daemon().and_then(|_| registry()) else { return };
    let gate = Gate::before(registry);
    let name = format!("cases/killed-{}", std::process::id());
    let image = format!("{}/{name}", gate.address);
    push(&stack, &format!("{registry}/{name}"));
    stack.world.write(&of(&image, ""));
    let pulls = || -> Vec<i32> {
        let mut all = numbers();
        all.retain(|pid| runs(*pid) && command_line(*pid).contains(&image));
        all
    };
    for then in ["down", "up"] {
        let up = Started::by(&stack.command(&["up"]), false);
        until("it is pulled", || stack.told().is_some_and(|told| told["step"]["pulling"].is_string()));
        let parts = stack.parts();
        kill_all(&[vec![parts.supervisor], parts.keepers, parts.leaders].concat());
        drop(up);
        if then == "up" {
            gate.open();
            stack.up();
            stack.only();
        }
        stack.down();
        assert_eq!(pulls(), Vec::<i32>::new(), "then {then}");
    }
    stack.engine.docker(&["rmi", &image]);
}

/// Makes an image with a layer of its own, that only the registry has in the end.
fn push(stack: &Stack, image: &str) {
    let dir = stack.world.beside("image");
    std::fs::write(dir.join("Dockerfile"), "FROM devstack-test/idle\nADD blob /blob\n").expect("written");
    let mut noise = vec![0; 4 << 20];
    std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut noise)).expect("noise");
    std::fs::write(dir.join("blob"), noise).expect("written");
    let mut build = stack.engine.command(&["build", "-q", "-t", image]);
    finish({
        build.env("DOCKER_BUILDKIT", "0").arg(&dir);
        build
    })
    .expect(0);
    stack.engine.docker(&["push", "-q", image]);
    stack.engine.docker(&["rmi", image]);
}

/// A way to the registry that lets big answers through only once it is open.
struct Gate {
    address: String,
    open: Arc<AtomicBool>,
}

impl Gate {
    fn before(registry: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = listener.local_addr().expect("bound").to_string();
        let open = Arc::new(AtomicBool::new(false));
        let (to, shared) = (registry.to_owned(), Arc::clone(&open));
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let Ok(far) = TcpStream::connect(&to) else { continue };
                let (asks, answers) = (near.try_clone().expect("cloned"), far.try_clone().expect("cloned"));
                std::thread::spawn(move || pass(asks, far, None));
                let open = Arc::clone(&shared);
                std::thread::spawn(move || pass(answers, near, Some(&open)));
            }
        });
        Self { address, open }
    }

    fn open(&self) {
        self.open.store(true, Ordering::SeqCst);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.open();
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, gate: Option<&AtomicBool>) {
    let (mut part, mut passed) = (vec![0; 64 << 10], 0);
    while let Ok(size @ 1..) = from.read(&mut part) {
        passed += size;
        while passed > 1 << 20 && gate.is_some_and(|open| !open.load(Ordering::SeqCst)) {
            std::thread::sleep(Duration::from_millis(5));
        }
        if to.write_all(&part[..size]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
