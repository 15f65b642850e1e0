//! Appends from several threads until it is killed, and prints what it did: the child of the kill test.
//!
//! `journal_storm DIR THREADS` writes `begun ID` before a record's request would be dispatched and
//! `closed ID` after its record was closed, one line each.

use std::error::Error;
use std::io::{Write, stdout};
use std::thread;

use towpath_journal::{BeginError, Config, Journal, Outcome, Progress, RecordHead, TargetPart};
use towpath_wire::routing::Operation;
use towpath_wire::usage::{CallerDialect, CountedBy, Ended};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().ok_or("which folder?")?;
    let threads: u32 = arguments.next().ok_or("how many threads?")?.parse()?;
    let journal = Journal::open(
        Config { segment_bytes: 256 << 10, max_bytes: 8 << 20, ..Config::new(dir) },
        "gw_storm",
    )?;
    let run = std::process::id();
    thread::scope(|scope| {
        for thread in 0..threads {
            let journal = journal.clone();
            scope.spawn(move || {
                for step in 0.. {
                    if one(&journal, &format!("{run}-{thread}-{step}"), step).is_err() {
                        // The storm's reader is gone, or it is so slow that the journal filled up.
                        break;
                    }
                }
            });
        }
    });
    Ok(())
}

fn one(journal: &Journal, id: &str, step: u64) -> Result<(), Box<dyn Error>> {
    let mut slot = match journal.begin(&head(id)) {
        Ok(slot) => slot,
        Err(BeginError::Full { .. }) => {
            // The shipper's part: the oldest tenth is stored, says the control plane.
            return acknowledge_some(journal);
        }
        Err(error) => return Err(error.into()),
    };
    writeln!(stdout(), "begun {id}")?;
    slot.target(&TargetPart {
        target: Some("smollm2"),
        replica: Some("rep_1"),
        ..TargetPart::default()
    });
    let mut progress =
        Progress { attempts: 1, counted_by: CountedBy::Gateway, ..Progress::default() };
    for tokens in 0..step % 7 {
        progress.output_tokens = Some(tokens);
        slot.progress(&progress);
    }
    progress.output_tokens = Some(step % 7);
    slot.close(&Outcome { status: Some(200), ..Outcome::new(Ended::Complete, progress) });
    writeln!(stdout(), "closed {id}")?;
    Ok(())
}

fn acknowledge_some(journal: &Journal) -> Result<(), Box<dyn Error>> {
    let batch = journal.next_batch(1_000);
    for record in &batch {
        writeln!(stdout(), "shipped {}", record.id)?;
    }
    if let Some(last) = batch.last() {
        journal.acknowledge(last.sequence);
    }
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
        labels: &[],
        environment: None,
        operation: Operation::Chat,
        dialect: CallerDialect::Openai,
        stream: true,
        endpoint: Some("smollm2"),
        endpoint_id: None,
    }
}
