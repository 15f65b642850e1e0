use super::closest;

#[test]
fn a_slip_of_the_finger_finds_the_name() {
    assert_eq!(closest("smolm2", ["minilm", "smollm2"]), Some("smollm2"));
}

#[test]
fn swapped_neighbours_count_as_one_slip() {
    assert_eq!(closest("mniilm", ["minilm"]), Some("minilm"));
}

#[test]
fn a_different_word_finds_nothing() {
    assert_eq!(closest("gpt-4o", ["smollm2", "minilm"]), None);
}

#[test]
fn names_longer_than_any_endpoint_find_nothing() {
    assert_eq!(closest(&"a".repeat(5_000), ["aaaa"]), None);
}

#[test]
fn upper_case_finds_the_lower_case_name() {
    assert_eq!(closest("SmolLM2", ["smollm2"]), Some("smollm2"));
}
