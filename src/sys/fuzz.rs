//! What a fuzzer throws at everything that is read of the kernel and of foreign processes.

use super::proc::{parse_stat, raw, variable, visible};
use super::{cgroup, ports};

/// Every reader of `/proc` and of `sock_diag`. Most of what stands there was chosen by the processes themselves.
pub(crate) fn proc(data: &[u8]) {
    stat(data);
    let (first, second) = cut(data);
    let (v2, v1) = (cgroup::own_dirs(first, second, None), cgroup::own_dirs(first, second, Some("pids")));
    for dir in v2.into_iter().chain(v1).flatten() {
        let climbs = |text: &[u8]| text.windows(2).any(|two| two == b"..") || text.contains(&b'\\');
        assert!(!dir.components().any(|part| part.as_os_str() == "..") || climbs(first));
    }
    let _ = raw::number_in::<u32>(data, b"Uid:", 1);
    let _ = raw::number_in::<i32>(data, b"Tgid:", 0);
    if let Some(name) = raw::memfd_name(data, "devstack:") {
        assert!(name.starts_with("devstack:"));
    }
    let _ = raw::socket_inode(data);
    if let Some(value) = variable(data, "DEVSTACK_LIFE") {
        assert!(!value.contains(&0));
    }
    let _ = raw::words(data);
    let shown = raw::command(data, &visible(&String::from_utf8_lossy(second)));
    crate::domain::assert_nothing_acts(&shown);
    assert!(!shown.is_empty() && !shown.contains('\n'));
    let _ = ports::parse_line(data);
    let mut found = Vec::new();
    let _ = ports::read_datagram(data, &mut found);
    assert!(found.len() <= data.len() / 16);
}

fn stat(data: &[u8]) {
    if let Some(stat) = parse_stat(data, 4096) {
        crate::domain::assert_nothing_acts(&stat.comm);
    }
    // Whatever a process calls itself: the fields behind the name stay where they are.
    let name = data.get(..15).unwrap_or(data);
    let tail =
        b") T 1 2 3 34816 -1 4194304 100 0 0 0 7 5 0 0 20 0 4 0 98765 1000000 250 18446744073709551615";
    let line = [b"42 (", name, tail].concat();
    let stat = parse_stat(&line, 1).expect("a line of the kernel's");
    assert_eq!((stat.pid, stat.ppid, stat.start, stat.threads), (42, 1, 98_765, 4));
}

/// Two texts, the first ending at the first NUL.
fn cut(data: &[u8]) -> (&[u8], &[u8]) {
    let at = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    let (first, second) = data.split_at(at);
    (first, second.get(1..).unwrap_or_default())
}
