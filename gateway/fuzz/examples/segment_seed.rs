//! Writes the segment that the fuzzing of segments starts from: `… > seeds/segment/records`.

use std::error::Error;
use std::fs;
use std::io::{Write, stdout};

use towpath_journal::{Config, Journal, Outcome, Progress, RecordHead, TargetPart};
use towpath_wire::routing::Operation;
use towpath_wire::usage::{CallerDialect, CountedBy, Ended};

/// The header, four closed records and two open ones.
const KEPT: usize = 4096 + 6 * 1024;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let journal =
        Journal::open(Config { segment_bytes: 64 << 10, ..Config::new(dir.path()) }, "gw_fuzz")?;
    let ids: Vec<String> = (1..=6).map(|number| format!("req_{number}")).collect();
    let mut open = Vec::new();
    for (number, id) in ids.iter().enumerate() {
        let mut slot = journal.begin(&head(id))?;
        slot.target(&TargetPart {
            target: Some("smollm2"),
            model_version: Some(1),
            ..TargetPart::default()
        });
        let progress = Progress {
            attempts: 1,
            output_tokens: Some(5),
            counted_by: CountedBy::Upstream,
            ..Progress::default()
        };
        slot.progress(&progress);
        if number < 4 {
            let outcome = Outcome::new(Ended::Complete, progress);
            slot.close(&Outcome { status: Some(200), error_code: Some("none"), ..outcome });
        } else {
            open.push(slot);
        }
    }
    journal.flush()?;
    let segment = dir.path().join("0000000000000001.segment");
    stdout().write_all(&fs::read(segment)?[..KEPT])?;
    Ok(())
}

fn head(id: &str) -> RecordHead<'_> {
    RecordHead {
        id,
        time_ms: 1_790_000_000_000,
        client_request_id: None,
        trace_id: None,
        team: Some("team_1"),
        project: Some("prj_1"),
        application: None,
        key_id: Some("key_1"),
        user: None,
        labels: &[("run", "nightly")],
        environment: None,
        operation: Operation::Chat,
        dialect: CallerDialect::Openai,
        stream: true,
        endpoint: Some("smollm2"),
        endpoint_id: None,
    }
}
