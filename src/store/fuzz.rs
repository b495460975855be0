//! What a fuzzer throws at the ledger and the journal: files that anything may have happened to.

use super::journal::Line;
use super::journal_reader::{Text, read_line};
use super::ledger::{RecordLine, parse_record};
use super::{STATE_VERSION, StackDir, StackFile};

/// `stack.json` and the record of a life: as they stand there, and with the seals that they lack.
pub(crate) fn ledger(data: &[u8]) {
    let dir = StackDir { hash: "0123456789abcdef".into(), state: "/state".into(), runtime: "/run/x".into() };
    stack(&dir, data);
    let _ = parse_record(&dir, data);
    let mut lines = data.split(|byte| *byte == b'\n');
    let Some(intent) = lines.next().and_then(|line| match serde_json::from_slice(line) {
        Ok(RecordLine::Intent(intent)) => Some(*intent),
        _ => None,
    }) else {
        return;
    };
    let seal = intent.seal(&dir);
    let mut text = RecordLine::Intent(Box::new(intent.clone())).to_bytes(&seal).expect("it is data");
    let first = text.len();
    for line in lines {
        match serde_json::from_slice::<RecordLine>(line) {
            Ok(line) => text.extend(line.to_bytes(&seal).expect("it is data")),
            Err(_) => text.extend([line, b"\n"].concat()),
        }
    }
    let whole = parse_record(&dir, &text).expect("its intent is whole");
    assert_eq!(whole.intent, intent, "what is sealed reads back the same");
    // A record only ever grows: what its beginning tells, the whole of it tells as well.
    let torn = parse_record(&dir, &text[..first.max(text.len() / 2)]).expect("its intent is whole");
    assert!(torn.members.is_subset(&whole.members) && (whole.emptied || !torn.emptied));
    // Without a seal nothing but the intent is believed.
    let bare = [&text[..first], data].concat();
    let believed = parse_record(&dir, &bare).expect("its intent is whole");
    assert!(data.windows(6).any(|part| part == b"\"seal\"") || believed.members.is_empty());
}

fn stack(dir: &StackDir, data: &[u8]) {
    match dir.parse_stack(data) {
        Ok(stack) => assert!(stack.is_none_or(|stack| stack.version <= STATE_VERSION)),
        Err(version) => assert!(version > STATE_VERSION),
    }
    let Ok(stack) = serde_json::from_slice::<StackFile>(data) else { return };
    let text = serde_json::to_vec(&stack).expect("it is data");
    let sealed = dir.seal(&stack.secret).close(text.clone());
    if let Ok(again) = dir.parse_stack(&sealed) {
        assert_eq!(serde_json::to_vec(&again.expect("it is sealed")).expect("it is data"), text);
    }
}

/// The journal, read at once and as it grows.
pub(crate) fn journal(data: &[u8]) {
    let mut at_once = Vec::new();
    let torn =
        Text::default().take(data, &mut |line| read_line(line).map(|line| at_once.push(line)).is_some());
    let step = usize::from(data.first().copied().unwrap_or(1)).max(data.len() / 64 + 1);
    let (mut text, mut grown, mut torn_as_it_grew) = (Text::default(), Vec::new(), 0);
    for piece in data.chunks(step) {
        torn_as_it_grew +=
            text.take(piece, &mut |line| read_line(line).map(|line| grown.push(line)).is_some());
    }
    assert_eq!((&grown, torn_as_it_grew), (&at_once, torn));
    assert!(text.end() <= 1);
    for line in &at_once {
        let text = serde_json::to_vec(line).expect("it is data");
        assert!(!text.contains(&b'\n'), "a line of the journal is one line");
        assert_eq!(&serde_json::from_slice::<Line>(&text).expect("it reads back"), line);
    }
}
