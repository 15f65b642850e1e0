//! Segments of the usage journal, as a failing disk or a hand may leave them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use towpath_journal::{Config, Journal, scan};

/// A segment with closed and open records, cut after its last one.
static SEGMENT: LazyLock<&[u8]> = LazyLock::new(|| include_bytes!("../seeds/segment/records"));

/// The gateway that wrote it.
const GATEWAY: &str = "gw_fuzz";

/// The bytes as a segment; and as places and values to change in a sound one, which gets further. A
/// record that is found is one that was written: checksums are seeded, not only there.
pub fn fuzz_segment(data: &[u8]) {
    let _ = scan(data);
    let written = ids(&SEGMENT);
    let found = ids(&changed(data));
    assert!(found.is_subset(&written), "a damaged segment yields a record nobody wrote");
}

/// A journal whose folder holds the changed segment: it opens, and goes on working.
pub fn fuzz_recovery(data: &[u8]) {
    let Ok(dir) = tempfile::tempdir() else { return };
    let (segment, state) = (dir.path().join("0000000000000001.segment"), dir.path().join("state"));
    let (state_bytes, segment_bytes) = data.split_at(data.len().min(64));
    if fs::write(segment, changed(segment_bytes)).and(fs::write(state, state_bytes)).is_err() {
        return;
    }
    // A change may make it another gateway's or a newer format's, which is refused.
    if let Ok(journal) = open(dir.path()) {
        let _ = journal.flush();
        let batch = journal.next_batch(1_000);
        assert!(batch.is_sorted_by(|a, b| a.sequence < b.sequence), "sequences repeat");
        if let Some(last) = batch.last() {
            journal.acknowledge(last.sequence);
            assert_eq!(journal.status().unshipped, 0);
        }
    }
}

fn open(dir: &Path) -> Result<Journal, towpath_journal::OpenError> {
    let config = Config { segment_bytes: 64 << 10, max_bytes: 256 << 10, ..Config::new(dir) };
    Journal::open(config, GATEWAY)
}

fn ids(bytes: &[u8]) -> BTreeSet<String> {
    scan(bytes).map(|scan| scan.records.into_iter().map(|r| r.id).collect()).unwrap_or_default()
}

/// The sound segment with changes: three bytes each, a place and a value.
fn changed(data: &[u8]) -> Vec<u8> {
    let mut bytes = SEGMENT.to_vec();
    for change in data.chunks_exact(3) {
        let place = usize::from(u16::from_le_bytes([change[0], change[1]]));
        if let Some(byte) = bytes.get_mut(place) {
            *byte = change[2];
        }
    }
    bytes
}
