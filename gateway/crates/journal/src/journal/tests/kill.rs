//! `kill -9` at moments nobody chose.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use super::*;

/// What the killed processes said before they died.
#[derive(Default)]
struct Said {
    begun: BTreeSet<String>,
    closed: BTreeSet<String>,
    shipped: BTreeSet<String>,
}

impl Said {
    fn hear(&mut self, line: &str) {
        let Some((what, id)) = line.split_once(' ') else { return };
        let heard = match what {
            "begun" => &mut self.begun,
            "closed" => &mut self.closed,
            "shipped" => &mut self.shipped,
            _ => return,
        };
        heard.insert(id.to_owned());
    }
}

/// Start the storm, listen to `lines` lines, kill it, and hear what is left in the pipe.
fn storm(dir: &Path, lines: usize, said: &mut Said) {
    let mut child = Command::new(example("journal_storm"))
        .arg(dir)
        .arg("4")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    for _ in 0..lines {
        line.clear();
        assert!(output.read_line(&mut line).unwrap() > 0, "the storm ended by itself");
        said.hear(line.trim_end());
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let mut rest = Vec::new();
    output.read_to_end(&mut rest).unwrap();
    // The last line may have been cut by the kill: what was not said whole was not said.
    let whole = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    String::from_utf8_lossy(&rest[..whole]).lines().for_each(|line| said.hear(line));
}

/// The path of an example of this crate, which cargo builds before it runs the tests.
fn example(name: &str) -> std::path::PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(Path::parent).unwrap().join("examples").join(name)
}

#[test]
fn every_record_is_there_once_after_ten_kills() {
    let dir = tempfile::tempdir().unwrap();
    let mut said = Said::default();
    // How far each run comes differs by a factor of twenty; the instant of the kill is the scheduler's.
    for round in 0..10 {
        storm(dir.path(), 200 + 997 * round % 4_000, &mut said);
    }

    let config = Config { segment_bytes: 256 << 10, max_bytes: 8 << 20, ..Config::new(dir.path()) };
    let journal = Journal::open(config, "gw_storm").unwrap();
    let mut found: BTreeMap<String, Ended> = BTreeMap::new();
    for record in batch(&journal) {
        assert_eq!(found.insert(record.id.clone(), record.ended), None, "{} twice", record.id);
    }

    let lost = |id: &&String| !found.contains_key(*id) && !said.shipped.contains(*id);
    assert_eq!(said.closed.iter().filter(lost).collect::<Vec<_>>(), Vec::<&String>::new());
    let vanished: Vec<_> = said.begun.iter().filter(lost).collect();
    assert_eq!(vanished, Vec::<&String>::new());
    let changed: Vec<_> = said
        .closed
        .iter()
        .filter(|id| found.get(*id).is_some_and(|ended| *ended != Ended::Complete))
        .collect();
    assert_eq!(changed, Vec::<&String>::new());
    assert_eq!(journal.status().recovered.torn, 0);
    assert!(!said.closed.is_empty() && found.values().any(|ended| *ended == Ended::GatewayLost));
}
