//! The database of a stack, as people use it: written to through its published port, stopped, and there again.

use crate::cases::told;
use crate::stack::{Stack, image};
use crate::world::{answers, free_port};

#[test]
fn a_row_outlives_its_container() {
    let port = free_port();
    let manifest = format!(
        "services:\n  postgres:\n    image: devstack-test/postgres\n    ports: ['{port}:5432']\n    \
         environment: {{ POSTGRES_PASSWORD: dev, POSTGRES_DB: shop }}\n    \
         volumes: ['pgdata:/var/lib/postgresql/data']\n"
    );
    let Some(stack) = Stack::new(&manifest) else { return };
    if !image("postgres") {
        return;
    }
    // A client of this machine's network, with the program of the image; it asks once.
    let at = port.to_string();
    let sql = |text: &str| {
        let client =
            ["run", "--rm", "--network=host", "--env=PGPASSWORD=dev", "devstack-test/postgres", "psql"];
        let reach =
            ["-h", "127.0.0.1", "-p", &at, "-U", "postgres", "-d", "shop", "-v", "ON_ERROR_STOP=1", "-qtAc"];
        stack.engine.docker(&[&client[..], &reach, &[text]].concat()).out.trim().to_owned()
    };
    stack.up();
    sql("create table kept (word text)");
    sql("insert into kept values ('here')");
    assert_eq!(sql("select word from kept"), "here");
    let id = stack.only();
    told(stack.run(&["down"]), 0, &["1 container removed · 0 left", "volumes kept: pgdata"]);
    assert!(stack.containers().is_empty() && !answers(port));
    stack.up();
    assert_ne!(stack.only(), id);
    assert_eq!(sql("select word from kept"), "here");
    told(stack.run(&["down", "--volumes", "--yes"]), 0, &["0 left"]);
}
