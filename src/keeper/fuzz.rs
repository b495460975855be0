//! What a fuzzer throws at the keeper's ears: what supervisor and keeper say to each other, and `sd_notify`.

use super::notify::says_ready;
use super::{FromKeeper, Spec};

/// A spec, a keeper's line, a datagram of a service.
pub(crate) fn keeper(data: &[u8]) {
    if let Ok(spec) = serde_json::from_slice::<Spec>(data) {
        let text = serde_json::to_vec(&spec).expect("it is data");
        assert!(!text.contains(&b'\n'), "a spec is one line");
        assert_eq!(serde_json::from_slice::<Spec>(&text).expect("it reads back"), spec);
    }
    if let Ok(told) = serde_json::from_slice::<FromKeeper>(data) {
        let text = serde_json::to_vec(&told).expect("it is data");
        assert!(!text.contains(&b'\n'), "what is told is one line");
        assert_eq!(serde_json::from_slice::<FromKeeper>(&text).expect("it reads back"), told);
    }
    if says_ready(data) {
        assert!(data.windows(7).any(|part| part == b"READY=1"));
    }
}
