use serde_json::json;

use super::*;

#[test]
fn a_file_is_put_aside_when_it_is_full_and_no_line_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.jsonl");
    let log = AccessLog::open(path.to_str(), 1_000).unwrap();
    for number in 0..100 {
        log.line(&json!({"number": number, "padding": "x".repeat(40)}));
    }
    log.close();

    let (now, before) = (
        fs::read_to_string(&path).unwrap(),
        fs::read_to_string(folder.path().join("access.jsonl.1")).unwrap(),
    );
    assert!(now.len() <= 1_000 && before.len() <= 1_000);
    let last: Value = serde_json::from_str(now.lines().last().unwrap()).unwrap();
    assert_eq!(last["number"], 99);
    for line in now.lines().chain(before.lines()) {
        assert!(serde_json::from_str::<Value>(line).is_ok(), "{line}");
    }
    assert_eq!(log.lost(), 0);
}

#[test]
fn a_log_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.jsonl");
    for number in 0..2 {
        let log = AccessLog::open(path.to_str(), 1_000).unwrap();
        log.line(&json!({"number": number}));
        log.close();
    }

    assert_eq!(fs::read_to_string(&path).unwrap(), "{\"number\":0}\n{\"number\":1}\n");
}

#[test]
fn without_a_place_there_is_no_log() {
    let log = AccessLog::open(None, 1_000).unwrap();
    log.line(&json!({}));
    log.close();

    assert!(!log.wanted());
}
