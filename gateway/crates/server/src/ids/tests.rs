use super::new;

#[test]
fn an_id_is_its_prefix_and_26_characters() {
    let id = new("req", 1_790_000_000_000, u128::MAX);

    assert_eq!(id.len(), 30);
    assert!(id.starts_with("req_0"));
}

/// The first 10 characters hold the time, so ids sort by it.
#[test]
fn later_ids_sort_after_earlier_ones() {
    assert!(new("req", 1_790_000_000_000, u128::MAX) < new("req", 1_790_000_000_001, 0));
}

#[test]
fn version_and_variant_are_those_of_uuid_v7() {
    // 01900000-0000-7000-8000-000000000000
    assert_eq!(new("x", 0x0190_0000_0000, 0), "x_01j0000000e008000000000000");
}
