//! What the journal costs a request: time of begin, target, eight progress updates and close.
//!
//! `append_rate [DIR] [SYNC_MS] [SECONDS]`, a shipper acknowledging beside it: first paced, as under a
//! load that a gateway can have, then as fast as one, two and four threads can. Quote figures of a release
//! build, with the machine and the file system:
//! `cargo run --release -p towpath-journal --example append_rate -- /some/disk`.

use std::error::Error;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use towpath_journal::{Config, Journal, Outcome, Progress, RecordHead, TargetPart};
use towpath_wire::Environment;
use towpath_wire::routing::{DataClass, Operation, TargetKind};
use towpath_wire::usage::{CallerDialect, CountedBy, Ended};

/// Updates while a record is open: a short streamed answer.
const CHUNKS: u64 = 8;
/// Between two records of a paced thread: 10,000 per second.
const PACE: Duration = Duration::from_micros(100);

/// What is measured.
struct Load {
    threads: usize,
    /// Time from record to record; `None`: no pause.
    pace: Option<Duration>,
    length: Duration,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from).join("append-rate");
    let sync_ms = arguments.next().map_or(Ok(50), |text| text.parse())?;
    let seconds = arguments.next().map_or(Ok(3), |text| text.parse())?;
    for (threads, pace) in [(1, Some(PACE)), (2, Some(PACE)), (1, None), (2, None), (4, None)] {
        let load = Load { threads, pace, length: Duration::from_secs(seconds) };
        let figures = measure(&dir, sync_ms, &load);
        std::fs::remove_dir_all(&dir)?;
        writeln!(stdout(), "{}", figures?)?;
    }
    Ok(())
}

fn measure(dir: &Path, sync_ms: u64, load: &Load) -> Result<String, Box<dyn Error>> {
    let journal = Journal::open(Config { sync_ms, ..Config::new(dir) }, "gw_rate")?;
    let done = AtomicBool::new(false);
    let mut nanos = thread::scope(|scope| {
        let workers: Vec<_> = (0..load.threads)
            .map(|_| {
                let journal = journal.clone();
                scope.spawn(move || work(&journal, load))
            })
            .collect();
        let shipper = scope.spawn(|| ship(&journal, &done));
        let nanos: Vec<u32> =
            workers.into_iter().flat_map(|w| w.join().unwrap_or_default()).collect();
        done.store(true, Ordering::Relaxed);
        shipper.join().map(|()| nanos).map_err(|_| "the shipper died")
    })?;
    nanos.sort_unstable();
    let at = |share: f64| nanos.get((nanos.len() as f64 * share) as usize).copied().unwrap_or(0);
    let rate = nanos.len() as f64 / load.length.as_secs_f64();
    Ok(format!(
        "threads {}, sync_ms {sync_ms}: {rate:.0} records/s; per record p50 {} ns, p99 {} ns, p99.9 {} ns; {} bytes on disk",
        load.threads,
        at(0.5),
        at(0.99),
        at(0.999),
        journal.status().allocated_bytes,
    ))
}

/// One worker: its time per record, without the pause that keeps the journal from filling up.
fn work(journal: &Journal, load: &Load) -> Vec<u32> {
    let (start, mut nanos) = (Instant::now(), Vec::with_capacity(1 << 22));
    let mut due = Duration::ZERO;
    while start.elapsed() < load.length {
        while start.elapsed() < due {
            std::hint::spin_loop();
        }
        due += load.pace.unwrap_or_default();
        let before = Instant::now();
        if one(journal) {
            nanos.push(before.elapsed().as_nanos().try_into().unwrap_or(u32::MAX));
        } else {
            thread::yield_now();
        }
    }
    nanos
}

fn one(journal: &Journal) -> bool {
    let Ok(mut slot) = journal.begin(&head()) else { return false };
    slot.target(&target());
    let mut progress =
        Progress { attempts: 1, counted_by: CountedBy::Gateway, ..Progress::default() };
    for tokens in 0..CHUNKS {
        progress.output_tokens = Some(tokens);
        slot.progress(&progress);
    }
    slot.close(&Outcome { status: Some(200), ..Outcome::new(Ended::Complete, progress) });
    true
}

fn ship(journal: &Journal, done: &AtomicBool) {
    while !done.load(Ordering::Relaxed) {
        match journal.next_batch(1_000).last() {
            Some(last) => journal.acknowledge(last.sequence),
            None => thread::sleep(Duration::from_millis(5)),
        }
    }
}

fn head() -> RecordHead<'static> {
    RecordHead {
        id: "req_01k6c8z3f7e4tv5w0k4f8h2j9m",
        time_ms: 1_790_000_000_000,
        client_request_id: Some("3f0a2f0e-8f6b-4c5e-9d57-6a9a2f6f7c11"),
        trace_id: Some("4bf92f3577b34da6a3ce929d0e0e4736"),
        team: Some("team_01k6c8z3f7e4tv5w0k4f8h2j9m"),
        project: Some("prj_01k6c8z3f7e4tv5w0k4f8h2j9m"),
        application: Some("app_01k6c8z3f7e4tv5w0k4f8h2j9m"),
        key_id: Some("key_01k6c8z3f7e4tv5w0k4f8h2j9m"),
        user: Some("9f86d081884c7d65"),
        labels: &[],
        environment: Some(Environment::Production),
        operation: Operation::Chat,
        dialect: CallerDialect::Openai,
        stream: true,
        endpoint: Some("smollm2"),
        endpoint_id: None,
    }
}

fn target() -> TargetPart<'static> {
    TargetPart {
        target_kind: Some(TargetKind::Deployment),
        target: Some("smollm2"),
        provider: None,
        model: Some("smollm2"),
        model_version: Some(1),
        model_digest: Some(
            "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
        ),
        replica: Some("rep_01k6c8z3f7e4tv5w0k4f8h2j9m"),
        region: None,
        data_class: Some(DataClass::Internal),
        currency: Some("EUR"),
        price_id: Some("prc_01k6c8z3f7e4tv5w0k4f8h2j9m"),
        decision: None,
    }
}
