//! The gauntlet: every shape in which real programs leave their parents, with devstack alive, its supervisor killed, its
//! keepers killed, and all of it killed; as root with and without cgroups, and as a plain user. Each specimen is shown
//! to live, then comes `devstack down`, and a judge that knows nothing of devstack says what is left.
//!
//! `GAUNTLET=shape,mode,user` runs a selection: `GAUNTLET=redis,both,plain cargo test --test gauntlet`.

mod arena;
mod judge;
mod promise;
mod shapes;
mod table;
mod tools;
#[path = "../stop/world.rs"]
#[expect(dead_code, reason = "it is shared with other tests, which use all of it")]
mod world;

use arena::{Arena, eprint};
use promise::{Mode, User};
use shapes::{PLAYED, REAL, Shape, TOLD};
use table::Row;

/// What the environment selects of these, or all of them where it names none.
fn selected<T>(all: Vec<T>, name: impl Fn(&T) -> &str) -> Vec<T> {
    let asked = std::env::var("GAUNTLET").unwrap_or_default();
    let asked: Vec<&str> = asked.split(',').collect();
    let named = all.iter().any(|one| asked.contains(&name(one)));
    all.into_iter().filter(|one| !named || asked.contains(&name(one))).collect()
}

fn gauntlet(user: User) {
    if !selected(User::ALL.to_vec(), |user| user.name()).contains(&user) {
        return;
    }
    if user != User::Plain && !world::is_root() {
        return world::skip("only root is root");
    }
    let played: Vec<&'static Shape> = PLAYED.iter().chain(REAL).collect();
    let all: Vec<&'static Shape> = selected(played.into_iter().chain(TOLD).collect(), |shape| shape.name);
    let (told, quiet): (Vec<&Shape>, Vec<&Shape>) = all.into_iter().partition(|shape| shape.catch.is_told());
    let mut rows: Vec<Row> = Vec::new();
    for shapes in [quiet, told] {
        if shapes.iter().any(|shape| shape.is_for(user)) {
            let mut arena = Arena::new(user, &shapes);
            for mode in selected(Mode::of(user).to_vec(), |mode| mode.name()) {
                rows.extend(arena.run(mode));
            }
        }
    }
    table::write(user, &rows);
    eprint(&format!("\nThe gauntlet as {user}:\n\n{}\n", table::short(user, &rows)));
    let broken: Vec<&Row> = rows.iter().filter(|row| !row.holds()).collect();
    assert!(broken.is_empty(), "broken as {user}: {broken:#?}");
}

#[test]
fn as_root() {
    gauntlet(User::Root);
}

#[test]
fn as_root_without_cgroups() {
    gauntlet(User::RootWithoutCgroup);
}

#[test]
fn as_a_plain_user() {
    gauntlet(User::Plain);
}
