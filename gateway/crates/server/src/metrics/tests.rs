use towpath_policy::Id;
use towpath_wire::routing::Operation;

use crate::live::Live;

use super::{Gauges, Labels, Metrics, Sample, seconds};

fn gauges() -> Gauges {
    Gauges {
        in_flight: 3,
        body_memory_bytes: 0,
        cache_bytes: 0,
        access_log_lost: 0,
        table_revision: 7,
        table_keys: 1,
        journal_used_bytes: 0,
        journal_max_bytes: 0,
        journal_open: 0,
        journal_unshipped: 0,
    }
}

fn labels(endpoint: &str) -> Labels {
    let (team, target) = (Id::from("demo"), Id::from("dep"));
    Labels { team, endpoint: Id::from(endpoint), target, operation: Operation::Chat, class: 2 }
}

#[test]
fn requests_are_counted_by_team_endpoint_target_and_class() {
    let metrics = Metrics::default();
    let sample = Sample { count: 2, input_tokens: Some(5), ..Sample::default() };
    metrics.series(&labels("a\"b")).add(&sample);

    let text = metrics.render(&gauges(), &Live::default());
    let series =
        r#"team="demo",endpoint="a\"b",target="dep",gen_ai_operation_name="chat",status="2xx""#;
    assert!(text.contains(&format!("towpath_gateway_requests_total{{{series}}} 2\n")), "{text}");
    assert!(text.contains(r#"gen_ai_token_type="input"} 5"#));
    assert!(
        !text.contains(r#"gen_ai_token_type="output""#),
        "an unknown count is absent, not zero"
    );
}

#[test]
fn buckets_are_cumulative_and_bounds_are_seconds() {
    let metrics = Metrics::default();
    metrics.overhead.observe_us(10);
    metrics.overhead.observe_us(11);
    metrics.overhead.observe_us(5_000_000);

    let text = metrics.render(&gauges(), &Live::default());
    for line in [
        r#"towpath_gateway_overhead_seconds_bucket{le="0.00001"} 1"#,
        r#"towpath_gateway_overhead_seconds_bucket{le="0.00002"} 2"#,
        r#"towpath_gateway_overhead_seconds_bucket{le="+Inf"} 3"#,
        "towpath_gateway_overhead_seconds_sum{} 5.000021",
    ] {
        assert!(text.contains(line), "{line} is missing from:\n{text}");
    }
}

#[test]
fn series_beyond_the_bound_are_counted_together() {
    let metrics = Metrics::default();
    for index in 0..10_010 {
        metrics
            .series(&labels(&format!("e{index}")))
            .add(&Sample { count: 1, ..Sample::default() });
    }

    assert!(metrics.render(&gauges(), &Live::default()).contains(
        r#"endpoint="other",target="other",gen_ai_operation_name="chat",status="2xx"} 10"#
    ));
}

#[test]
fn seconds_are_exact() {
    assert_eq!((seconds(0).as_str(), seconds(1_500_000).as_str()), ("0", "1.5"));
}
