//! Routing tables, as they come over the link and from the gateway's own disk.

use towpath_policy::{Table, examine};
use towpath_wire::link::RoutingReply;
use towpath_wire::routing::{Batch, Snapshot};

/// The bytes as a reply, a snapshot and a batch.
pub fn fuzz_table(data: &[u8]) {
    let empty = Table::default();
    if let Ok(reply) = serde_json::from_slice::<RoutingReply>(data) {
        let (revoked, _) = empty.revoke(&reply.revocations);
        assert_eq!(revoked.revision(), empty.revision(), "a revocation changes the revision");
        reply.snapshot.iter().for_each(apply_snapshot);
        reply.batch.iter().for_each(|batch| apply_batch(&empty, batch));
    }
    if let Ok(snapshot) = serde_json::from_slice::<Snapshot>(data) {
        apply_snapshot(&snapshot);
    }
    if let Ok(batch) = serde_json::from_slice::<Batch>(data) {
        apply_batch(&empty, &batch);
    }
}

fn apply_snapshot(snapshot: &Snapshot) {
    let Ok(table) = Table::default().apply_snapshot(snapshot) else { return };
    assert_eq!(table.revision(), snapshot.revision);
    assert!(
        examine(&snapshot.advisory, &snapshot.entities).is_ok(),
        "the validator refuses what the gateway takes"
    );
}

fn apply_batch(table: &Table, batch: &Batch) {
    if let Ok(next) = table.apply(batch) {
        assert_eq!(next.revision(), batch.to);
    }
}
