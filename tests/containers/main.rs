//! Services in containers, on a real engine: held, known, ended and proven gone like any other.

mod behind;
mod cases;
mod cases_engine;
mod cases_images;
mod cases_postgres;
mod crash;
#[path = "../engine/engine.rs"]
#[expect(dead_code, reason = "it is shared with other tests, which use all of it")]
mod engine;
mod life;
mod lost;
mod podman;
mod stack;
mod trouble;
mod unreachable;
mod verbs;
#[path = "../stop/world.rs"]
#[expect(dead_code, reason = "it is shared with other tests, which use all of it")]
mod world;
