use super::*;

#[test]
fn before_anything_is_learned_a_token_has_four_bytes() {
    let ratio = BytesPerToken::default();

    assert_eq!((ratio.estimate(0), ratio.estimate(1), ratio.estimate(400)), (0, 1, 100));
}

#[test]
fn the_ratio_follows_what_upstreams_report() {
    let ratio = BytesPerToken::default();
    for _ in 0..100 {
        ratio.observe(3_000, 1_500);
    }

    assert_eq!(ratio.estimate(2_000), 1_000);
}

#[test]
fn implausible_and_tiny_observations_teach_nothing() {
    let ratio = BytesPerToken::default();
    for (bytes, tokens) in [(4_000_000, 10), (100, 0), (31, 31), (40, 4_000)] {
        ratio.observe(bytes, tokens);
    }

    assert_eq!(ratio.estimate(400), 100);
}
