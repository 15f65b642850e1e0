//! The journal through its public face. `model` compares it with a model over random histories, `kill`
//! kills a process that uses it.

mod kill;
mod model;

use std::path::Path;
use std::sync::Barrier;
use std::task::{Context, Poll, Waker};

use towpath_wire::Environment;
use towpath_wire::routing::{DataClass, Operation, TargetKind};
use towpath_wire::usage::{Cache, CallerDialect, CountedBy, Ended, USAGE_VERSION};

use super::*;
use crate::record::Progress;

const GATEWAY: &str = "gw_test";

fn config(dir: &Path) -> Config {
    Config { segment_bytes: 64 << 10, max_bytes: 1 << 20, ..Config::new(dir) }
}

fn open(dir: &Path) -> Journal {
    Journal::open(config(dir), GATEWAY).unwrap()
}

/// A record with every field set.
fn full_record(id: &str) -> UsageRecord {
    UsageRecord {
        schema: USAGE_VERSION,
        id: id.to_owned(),
        gateway_id: GATEWAY.to_owned(),
        sequence: 1,
        time_ms: 1_790_000_000_123,
        client_request_id: Some("théirs".to_owned()),
        trace_id: Some("4bf92f3577b34da6a3ce929d0e0e4736".to_owned()),
        team: Some("team_1".to_owned()),
        project: Some("prj_1".to_owned()),
        application: Some("app_1".to_owned()),
        key_id: Some("key_1".to_owned()),
        user: Some("a1b2".to_owned()),
        labels: [("cost-centre", "42"), ("run", "nightly")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        environment: Some(Environment::Staging),
        operation: Operation::Predict,
        dialect: CallerDialect::Predict,
        stream: true,
        endpoint: Some("smollm2".to_owned()),
        endpoint_id: Some("end_1".to_owned()),
        target_kind: Some(TargetKind::Provider),
        target: Some("big-vendor".to_owned()),
        provider: Some("vendor".to_owned()),
        model: Some("smollm2".to_owned()),
        model_version: Some(3),
        model_digest: Some(format!("sha256:{}", "ab".repeat(32))),
        replica: Some("rep_1".to_owned()),
        region: Some("eu".to_owned()),
        data_class: Some(DataClass::Confidential),
        decision: Some("tier cheap: short".to_owned()),
        status: Some(200),
        attempts: 2,
        input_tokens: Some(11),
        output_tokens: Some(0),
        cached_input_tokens: Some(5),
        cache_write_tokens: Some(7),
        reasoning_tokens: Some(6),
        audio_input_tokens: Some(8),
        audio_output_tokens: Some(9),
        gpu_us: Some(10),
        counted_by: CountedBy::Upstream,
        cost_nano: Some(123_456),
        saved_nano: Some(-7),
        currency: Some("EUR".to_owned()),
        price_id: Some("prc_1".to_owned()),
        cache: Cache::Miss,
        latency_ms: Some(250),
        first_byte_ms: Some(20),
        queue_ms: Some(1),
        cold_start_ms: Some(2),
        overhead_us: Some(40),
        ended: Ended::UpstreamCut,
        error_code: Some("upstream_cut".to_owned()),
        count: 3,
    }
}

fn head(id: &str) -> RecordHead<'_> {
    RecordHead {
        id,
        time_ms: 5,
        client_request_id: None,
        trace_id: None,
        team: None,
        project: None,
        application: None,
        key_id: None,
        user: None,
        labels: &[],
        environment: None,
        operation: Operation::Chat,
        dialect: CallerDialect::Openai,
        stream: false,
        endpoint: None,
        endpoint_id: None,
    }
}

fn complete() -> Outcome<'static> {
    Outcome::new(Ended::Complete, Progress::default())
}

fn batch(journal: &Journal) -> Vec<UsageRecord> {
    journal.flush().unwrap();
    journal.next_batch(usize::MAX)
}

fn ids(records: &[UsageRecord]) -> Vec<&str> {
    records.iter().map(|record| record.id.as_str()).collect()
}

/// Files as a killed process would leave them: copied while the journal is in use.
fn crash_copy(dir: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    copy
}

#[test]
fn a_record_comes_back_as_it_went_in() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    let record = full_record("req_1");

    let sequence = journal.append(&record).unwrap();

    assert_eq!(sequence, 1);
    assert_eq!(batch(&journal), [record]);
}

#[test]
fn what_is_not_known_is_absent() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());

    journal.begin(&head("req_1")).unwrap().close(&complete());

    let record = batch(&journal).remove(0);
    let json = serde_json::to_value(&record).unwrap();
    let mut names: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "attempts",
            "cache",
            "count",
            "counted_by",
            "dialect",
            "ended",
            "gateway_id",
            "id",
            "operation",
            "schema",
            "sequence",
            "stream",
            "time_ms"
        ]
    );
}

#[test]
fn what_is_not_acknowledged_can_be_looked_at_and_still_ships() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    for id in ["a", "b", "c", "d"] {
        journal.append(&full_record(id)).unwrap();
    }
    journal.flush().unwrap();
    assert_eq!(journal.next_batch(2).len(), 2);
    journal.acknowledge(1);
    let mut seen = Vec::new();
    journal.unacknowledged(|record| seen.push((record.id.clone(), record.sequence)));

    let expected = [("b", 2), ("c", 3), ("d", 4)].map(|(id, number)| (id.to_owned(), number));
    assert_eq!(seen, expected);
    assert_eq!(journal.next_batch(10).len(), 3);
}

#[test]
fn an_open_slot_is_lost_with_what_was_counted() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    let mut slot = journal.begin(&head("req_1")).unwrap();
    slot.target(&TargetPart { target: Some("first"), ..TargetPart::default() });
    slot.target(&TargetPart {
        target: Some("second"),
        price_id: Some("prc_1"),
        ..TargetPart::default()
    });
    slot.progress(&Progress {
        attempts: 2,
        output_tokens: Some(7),
        cost_nano: Some(70),
        counted_by: CountedBy::Gateway,
        ..Progress::default()
    });

    let copy = crash_copy(dir.path());
    let after = open(copy.path());

    let record = batch(&after).remove(0);
    assert_eq!(record.ended, Ended::GatewayLost);
    assert_eq!((record.status, record.attempts), (None, 2));
    assert_eq!((record.output_tokens, record.cost_nano), (Some(7), Some(70)));
    assert_eq!(record.counted_by, CountedBy::Gateway);
    assert_eq!(
        (record.target.as_deref(), record.price_id.as_deref()),
        (Some("second"), Some("prc_1"))
    );
    assert_eq!(after.status().recovered, Recovered { lost: 1, ..Recovered::default() });
}

#[test]
fn a_dropped_slot_closes_as_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    let mut slot = journal.begin(&head("req_1")).unwrap();
    slot.progress(&Progress { input_tokens: Some(3), ..Progress::default() });

    drop(slot);

    let record = batch(&journal).remove(0);
    assert_eq!(record.ended, Ended::Error);
    assert_eq!(record.error_code.as_deref(), Some(crate::ABANDONED));
    assert_eq!(record.input_tokens, Some(3));
}

#[test]
fn records_ship_in_the_order_they_closed_until_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    let (first, second) = (journal.begin(&head("a")).unwrap(), journal.begin(&head("b")).unwrap());
    second.close(&complete());
    first.close(&complete());
    journal.append(&full_record("c")).unwrap();

    let all = batch(&journal);
    let again = journal.next_batch(2);
    journal.acknowledge(all[1].sequence);
    let rest = journal.next_batch(10);

    assert_eq!(ids(&all), ["b", "a", "c"]);
    assert_eq!(ids(&again), ["b", "a"]);
    assert_eq!(ids(&rest), ["c"]);
    assert_eq!(journal.status().unshipped, 1);
}

#[test]
fn nothing_is_shipped_before_it_is_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());

    let syncing = lock(&journal.inner.syncing);
    let sequence = journal.append(&full_record("a")).unwrap();
    let before = (journal.shippable(), journal.next_batch(10).len());
    drop(syncing);
    journal.flush().unwrap();

    assert_eq!(before, (0, 0));
    assert_eq!((journal.shippable(), journal.next_batch(10).len()), (sequence, 1));
}

#[test]
fn a_disk_that_takes_no_segment_is_named_and_tried_again() {
    let parent = tempfile::tempdir().unwrap();
    let (dir, elsewhere) = (parent.path().join("journal"), parent.path().join("elsewhere"));
    let journal = open(&dir);
    std::fs::rename(&dir, &elsewhere).unwrap();
    let refused = loop {
        if let Err(error) = journal.append(&full_record("a")) {
            break error;
        }
    };
    let unready = journal.status().unready;
    std::fs::rename(&elsewhere, &dir).unwrap();

    sync::keep_up(&journal.inner);

    assert_eq!(refused.code(), "journal_no_space");
    assert!(refused.to_string().contains("No such file or directory"), "{refused}");
    assert_eq!(unready, Some(refused));
    assert_eq!(journal.status().unready, None);
    assert!(journal.append(&full_record("b")).is_ok());
}

#[test]
fn after_a_failed_sync_nothing_begins_and_all_is_shipped() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    let slot = journal.begin(&head("a")).unwrap();
    journal.inner.fail(&io::Error::other("medium error"));

    let refused = journal.begin(&head("b")).unwrap_err();
    slot.close(&complete());

    assert_eq!(refused, BeginError::Failed { reason: "medium error".to_owned() });
    assert_eq!(journal.status().unready, Some(refused));
    assert_eq!(ids(&journal.next_batch(10)), ["a"]);
}

#[test]
fn acknowledgements_and_sequences_survive_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    for id in ["a", "b", "c"] {
        journal.append(&full_record(id)).unwrap();
    }
    journal.flush().unwrap();
    journal.acknowledge(2);

    let after = open(crash_copy(dir.path()).path());
    let next = after.append(&full_record("d")).unwrap();

    assert_eq!(ids(&batch(&after)), ["c", "d"]);
    assert!(next > 3, "{next} may have been given out before");
    assert_eq!(after.status().acknowledged, 2);
}

#[test]
fn an_orderly_end_leaves_no_gap() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).append(&full_record("a")).unwrap();

    let sequence = open(dir.path()).append(&full_record("b")).unwrap();

    assert_eq!(sequence, 2);
}

#[test]
fn a_full_journal_says_so_and_recovers_when_shipped() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { max_bytes: 64 << 10, ..config(dir.path()) };
    let journal = Journal::open(config, GATEWAY).unwrap();
    let mut last = 0;
    let refused = loop {
        match journal.append(&full_record("a")) {
            Ok(sequence) => last = sequence,
            Err(error) => break error,
        }
    };
    let full = journal.status();
    journal.acknowledge(last);
    let after = journal.status();

    assert_eq!(refused, BeginError::Full { unshipped: 60, open: 0, max_bytes: 64 << 10 });
    assert_eq!(full.unready, Some(refused));
    assert_eq!((after.unready, after.used_bytes, after.unshipped), (None, 0, 0));
    assert!(journal.append(&full_record("b")).is_ok());
}

#[test]
fn one_open_record_does_not_hold_a_segment() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    let slow = journal.begin(&head("slow")).unwrap();
    for _ in 0..20 {
        for _ in 0..1000 {
            let sequence = journal.append(&full_record("quick")).unwrap();
            if sequence.is_multiple_of(50) {
                journal.acknowledge(sequence);
            }
        }
    }

    assert!(journal.status().allocated_bytes <= 3 * (64 << 10), "{:?}", journal.status());
    slow.close(&complete());
    assert_eq!(ids(&batch(&journal)).last(), Some(&"slow"));
}

#[test]
fn labels_make_a_record_larger_up_to_a_limit() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    let (long, too_long) = ("v".repeat(800), "v".repeat(8_000));
    let names: Vec<String> = (0..8).map(|number| format!("label-{number}")).collect();
    let labels: Vec<(&str, &str)> =
        names.iter().map(|name| (name.as_str(), long.as_str())).collect();

    journal.begin(&RecordHead { labels: &labels, ..head("a") }).unwrap().close(&complete());
    let refused =
        journal.begin(&RecordHead { labels: &[("x", &too_long)], ..head("b") }).unwrap_err();

    assert_eq!(batch(&journal)[0].labels["label-7"], long);
    assert_eq!(refused.code(), "record_too_large");
}

#[test]
fn a_text_without_room_is_cut_between_characters() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    let long = "é".repeat(2_000);

    let mut slot = journal.begin(&head("a")).unwrap();
    slot.target(&TargetPart { target: Some(&long), region: Some("eu"), ..TargetPart::default() });
    slot.close(&Outcome { error_code: Some(&long), ..complete() });

    let record = batch(&journal).remove(0);
    assert!(long.starts_with(record.target.as_deref().unwrap()));
    assert_eq!(record.error_code.unwrap().len(), 64);
}

#[test]
fn many_threads_get_distinct_places_and_rising_sequences() {
    let dir = tempfile::tempdir().unwrap();
    let journal =
        Journal::open(Config { max_bytes: 16 << 20, ..config(dir.path()) }, GATEWAY).unwrap();
    let start = Barrier::new(8);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (journal, start) = (journal.clone(), &start);
            scope.spawn(move || {
                start.wait();
                for step in 0..500 {
                    journal.append(&full_record(&format!("{thread}-{step}"))).unwrap();
                }
            });
        }
    });

    let records = batch(&journal);
    let sequences: Vec<u64> = records.iter().map(|record| record.sequence).collect();
    let distinct: std::collections::BTreeSet<&str> = ids(&records).into_iter().collect();
    assert_eq!(sequences, (1..=4_000).collect::<Vec<u64>>());
    assert_eq!(distinct.len(), 4_000);
}

#[test]
fn without_an_interval_a_record_is_on_disk_before_its_wait_ends() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(Config { sync_ms: 0, ..config(dir.path()) }, GATEWAY).unwrap();

    let sequence = journal.append(&full_record("a")).unwrap();
    let waited = wait(journal.durable(sequence));

    assert_eq!(waited, Ok(()));
    assert_eq!(journal.next_batch(1).len(), 1);
}

/// Run a future on this thread, parked while it waits.
fn wait<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let mut future = std::pin::pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

#[test]
fn a_journal_in_use_is_not_opened_twice() {
    let dir = tempfile::tempdir().unwrap();
    let _journal = open(dir.path());

    let refused = Journal::open(config(dir.path()), GATEWAY).unwrap_err();

    assert!(matches!(refused, OpenError::InUse(_)), "{refused}");
}

#[test]
fn a_newer_or_foreign_journal_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).append(&full_record("a")).unwrap();
    let foreign = Journal::open(config(dir.path()), "gw_other").unwrap_err();
    let segment = segments(dir.path()).remove(0);
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[8] = 3;
    std::fs::write(&segment, bytes).unwrap();

    let newer = Journal::open(config(dir.path()), GATEWAY).unwrap_err();

    assert!(matches!(foreign, OpenError::Foreign { .. }), "{foreign}");
    assert!(matches!(newer, OpenError::Other { found: 3, known: 2, .. }), "{newer}");
}

#[test]
fn torn_slots_and_damaged_segments_are_counted_and_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    for id in ["a", "b", "c"] {
        journal.append(&full_record(id)).unwrap();
    }
    drop(journal);
    let segment = segments(dir.path()).remove(0);
    let mut bytes = std::fs::read(&segment).unwrap();
    let middle = layout::HEADER_BYTES + layout::STRIDES[0] + 200;
    bytes[middle] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    std::fs::write(dir.path().join("00000000000000ff.segment"), b"not a segment").unwrap();

    let after = open(dir.path());

    assert_eq!(ids(&batch(&after)), ["a", "c"]);
    let recovered = after.status().recovered;
    assert_eq!((recovered.torn, recovered.damaged_segments), (1, 1));
    assert!(dir.path().join("00000000000000ff.damaged").exists());
}

#[test]
fn a_slot_used_before_cannot_pass_for_its_former_record() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { max_bytes: 64 << 10, ..config(dir.path()) };
    let journal = Journal::open(config, GATEWAY).unwrap();
    for round in 0..10 {
        for step in 0..60 {
            let sequence = journal.append(&full_record(&format!("{round}-{step}"))).unwrap();
            if round < 9 {
                journal.acknowledge(sequence);
            }
        }
    }

    let after = open(crash_copy(dir.path()).path());

    let records = batch(&after);
    assert_eq!(records.len(), 60);
    assert!(ids(&records).iter().all(|id| id.starts_with("9-")), "{:?}", ids(&records));
}

#[test]
fn settings_out_of_range_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let small = Config { segment_bytes: 1, ..config(dir.path()) };
    let tight = Config { max_bytes: 1, ..config(dir.path()) };

    let messages =
        [small, tight].map(|config| Journal::open(config, GATEWAY).unwrap_err().to_string());

    assert_eq!(
        messages,
        [
            "journal setting `journal_segment_bytes`: must be from 65536 to 1073741824",
            "journal setting `journal_max_bytes`: must be at least one segment, 65536 bytes"
        ]
    );
}

fn segments(dir: &Path) -> Vec<std::path::PathBuf> {
    crate::segment::list(dir).unwrap()
}
