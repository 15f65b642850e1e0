use super::{Parent, Sampled};

const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[test]
fn a_traceparent_is_continued_only_when_it_is_one() {
    let parent = Parent {
        trace: "4bf92f3577b34da6a3ce929d0e0e4736",
        span: "00f067aa0ba902b7",
        flags: *b"01",
    };

    assert_eq!(Parent::parse(GOOD), Some(parent));
    for bad in [
        "",
        "00-x-y-z",
        &GOOD.to_uppercase(),
        &GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
        &GOOD.replace("00f067aa0ba902b7", &"0".repeat(16)),
    ] {
        assert_eq!(Parent::parse(bad), None, "{bad}");
    }
}

#[test]
fn the_lowest_flag_says_whether_a_trace_is_sampled() {
    let sampled = |flags| {
        let text = GOOD.replace("-01", flags);
        Parent::parse(&text).map(Parent::sampled)
    };

    assert_eq!(sampled("-01"), Some(Sampled::Yes));
    assert_eq!(sampled("-03"), Some(Sampled::Yes));
    assert_eq!(sampled("-00"), Some(Sampled::No));
    assert_eq!(sampled("-02"), Some(Sampled::No));
}
