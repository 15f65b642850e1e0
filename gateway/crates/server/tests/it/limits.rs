//! Limits: what passes, what callers are told, and that a rate is its formula under fire.

use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};
use towpath_testkit::Script;
use towpath_wire::routing::{Batch, Envelope, TABLE_VERSION};

use crate::support::client::Answer;
use crate::support::{World, chat, streamed, tables};

const CHAT: &str = "/v1/chat/completions";

fn limit(id: &str, subject: &Value, rates: &Value) -> Envelope {
    let mut value = json!({"subject": subject, "label": "project care/triage"});
    for (name, rate) in rates.as_object().unwrap() {
        value[name] = rate.clone();
    }
    tables::entity("limit", id, &value)
}

async fn with(limits: Vec<Envelope>) -> World {
    World::with(&[], |base| {
        let mut all = vec![
            tables::target("m", base, &json!({})),
            tables::endpoint("m", &json!({})),
            tables::target("n", base, &json!({})),
            tables::endpoint("n", &json!({})),
            tables::key("key_2", "tp_sandbox_other"),
        ];
        all.extend(limits);
        all
    })
    .await
}

fn batch(from: u64, upserts: Vec<Envelope>) -> Batch {
    Batch { version: TABLE_VERSION, from, to: from + 1, advisory: vec![], upserts, deletes: vec![] }
}

#[tokio::test]
async fn a_rate_is_refused_as_client_libraries_expect_it() {
    let rate = json!({"requests_per_minute": {"limit": 20, "burst": 1}});
    let world = with(vec![limit("lim_1", &json!({"project": "prj_1"}), &rate)]).await;
    let passed = world.gateway.post(CHAT, &chat("m")).await;
    let refused = world.gateway.post(CHAT, &chat("m")).await;
    let record = world.control.record(refused.id()).await;

    assert_eq!(passed.status, 200);
    assert_eq!(passed.header("x-ratelimit-limit-requests"), "20");
    assert_eq!(passed.header("x-ratelimit-remaining-requests"), "0");
    assert_eq!(passed.header("x-towpath-limit"), "project care/triage requests per minute");
    assert!(!passed.headers.contains_key("x-ratelimit-limit-tokens"));
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (429, "rate_limit_exceeded"));
    assert_eq!(refused.json()["error"]["type"], "rate_limit_error");
    assert_eq!(refused.header("retry-after"), "3");
    assert_eq!(refused.header("x-ratelimit-remaining-requests"), "0");
    let reset = refused.header("x-ratelimit-reset-requests");
    assert!(reset.ends_with('s') && reset.starts_with(['2', '3']), "{reset}");
    assert_eq!(refused.header("x-towpath-limit"), "project care/triage requests per minute");
    let message = refused.message();
    assert!(
        message.starts_with(
            "Project care/triage used its 20 requests per minute; there is room again in "
        ),
        "{message}"
    );
    assert!(message.contains("GET /api/v1/usage?project=prj_1"), "{message}");
    assert_eq!(record.error_code.as_deref(), Some("rate_limit_exceeded"));
    let figures = world.gateway.get("/metrics").await.text();
    assert!(
        figures.contains("towpath_gateway_limit_refusals_total{limit=\"requests per minute\"} 1")
    );
}

#[tokio::test]
async fn calls_without_a_limit_are_told_of_none() {
    let world = World::simple().await;
    let answer = world.gateway.post(CHAT, &chat("m")).await;

    let told = |name: &&http::HeaderName| {
        name.as_str().contains("ratelimit") || name.as_str() == "x-towpath-limit"
    };
    assert_eq!(answer.headers.keys().find(told), None);
}

#[tokio::test]
async fn a_limit_on_a_pair_holds_for_both_together_alone() {
    let pair = json!({"key": "key_1", "endpoint": "end_m"});
    let world = with(vec![limit("lim_1", &pair, &json!({"concurrency": 1}))]).await;
    let gates = [("token:1".to_owned(), "gate".to_owned())].into();
    world.upstream.script("m", Script { gates, ..Script::default() });
    let mut first = world.gateway.stream(&streamed("m")).await;
    first.chunk().await.unwrap();
    let same = world.gateway.post(CHAT, &chat("m")).await;
    let other_endpoint = world.gateway.post(CHAT, &chat("n")).await;
    let mut other_key = world
        .gateway
        .send(
            Method::POST,
            CHAT,
            &[("authorization", "Bearer tp_sandbox_other")],
            streamed("m").to_string(),
        )
        .await;
    other_key.chunk().await.unwrap();
    world.upstream.release("gate");
    first.rest().await;
    let after = world.gateway.post(CHAT, &chat("m")).await;

    assert_eq!((same.status.as_u16(), same.header("retry-after")), (429, "1"));
    assert_eq!(same.header("x-towpath-limit"), "project care/triage calls at a time");
    assert!(same.message().contains("has 1 call in flight"), "{}", same.message());
    assert_eq!(
        (other_endpoint.status, other_key.status, after.status),
        (200.try_into().unwrap(), 200.try_into().unwrap(), 200.try_into().unwrap())
    );
}

/// What was reserved beyond what was used comes back: many small calls pass where their bounds would not.
#[tokio::test]
async fn tokens_are_settled_to_what_was_used() {
    let rate = json!({"tokens_per_minute": {"limit": 6_000, "burst": 1_500}});
    let world = with(vec![limit("lim_1", &json!({"team": "team_1"}), &rate)]).await;
    let mut answers = Vec::new();
    for _ in 0..10 {
        let mut body = chat("m");
        body["max_tokens"] = 1_000.into();
        answers.push(world.gateway.post(CHAT, &body).await);
    }
    let mut large = chat("m");
    large["max_tokens"] = 9_000.into();
    large["messages"][0]["content"] = "word ".repeat(20_000).into();
    let large = world.gateway.post(CHAT, &large).await;

    assert!(answers.iter().all(|answer| answer.status == 200), "{}", answers[9].text());
    // 3 words in and 8 out, ten times; the burst comes back at 100 a second.
    let left: u64 = answers[9].header("x-ratelimit-remaining-tokens").parse().unwrap();
    assert!((300..1_500).contains(&left), "{left}");
    assert_eq!((large.status.as_u16(), large.code().as_str()), (429, "larger_than_limit"));
    assert_eq!(large.header("x-should-retry"), "false");
    assert!(!large.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn a_changed_limit_keeps_what_was_used() {
    let subject = json!({"endpoint": "end_m"});
    let world = with(vec![limit(
        "lim_1",
        &subject,
        &json!({"requests_per_minute": {"limit": 5, "burst": 2}}),
    )])
    .await;
    for _ in 0..2 {
        assert_eq!(world.gateway.post(CHAT, &chat("m")).await.status, 200);
    }
    world.control.batch(batch(
        1,
        vec![limit("lim_1", &subject, &json!({"requests_per_minute": {"limit": 6, "burst": 2}}))],
    ));
    world.control.applied(2).await;
    let refused = world.gateway.post(CHAT, &chat("m")).await;
    world.control.batch(batch(
        2,
        vec![limit("lim_1", &subject, &json!({"requests_per_minute": {"limit": 6_000_000}}))],
    ));
    world.control.applied(3).await;
    let passed = world.gateway.post(CHAT, &chat("m")).await;

    assert_eq!((refused.status.as_u16(), passed.status.as_u16()), (429, 200));
}

#[tokio::test]
async fn signals_say_where_used_limits_stand() {
    let rate = json!({"requests_per_minute": {"limit": 20, "burst": 2}});
    let idle = limit("lim_2", &json!({"endpoint": "end_n"}), &json!({"concurrency": 1}));
    let world = with(vec![limit("lim_1", &json!({"key": "key_1"}), &rate), idle]).await;
    for _ in 0..3 {
        world.gateway.post(CHAT, &chat("m")).await;
    }
    let refused = |control: &crate::support::control::Control| {
        control
            .signals()
            .iter()
            .filter_map(|s| s.limits.get("lim_1"))
            .map(|l| l.refused)
            .sum::<u64>()
    };
    world.control.wait_until(|control| refused(control) == 1).await;
    let signals = world.control.signals();
    let last = signals.iter().rev().find_map(|s| s.limits.get("lim_1")).unwrap();

    assert_eq!((last.in_flight, last.tokens_left), (0, None));
    assert!(last.requests_left.is_some_and(|left| left <= 1));
    assert!(signals.iter().all(|signals| !signals.limits.contains_key("lim_2")));
}

/// How long the fire test fires, in seconds: `make storm` sets 30.
fn seconds() -> f64 {
    let given = std::env::var_os("TOWPATH_FIRE_SECONDS");
    given.and_then(|text| text.to_str()?.parse().ok()).unwrap_or(2.0)
}

/// 64 connections against 100 requests per second: as many pass as the formula says, measured over the
/// window from before the first request to after the last answer. No pace is asserted, only counts.
#[tokio::test]
async fn a_rate_under_fire_is_its_formula() {
    let rate = json!({"requests_per_second": {"limit": 100, "burst": 10}});
    let world = with(vec![limit("lim_1", &json!({"key": "key_1"}), &rate)]).await;
    let fire = Duration::from_secs_f64(seconds());
    let started = Instant::now();
    let mut connections = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let address = world.gateway.address;
        connections.spawn(async move {
            let (mut passed, mut refused) = (Vec::new(), 0_u64);
            while started.elapsed() < fire {
                let headers = [("authorization", "Bearer tp_sandbox_good")];
                let sent = started.elapsed();
                let head = crate::support::client::send(
                    address,
                    Method::POST,
                    CHAT,
                    &headers,
                    chat("m").to_string(),
                );
                let answer: Answer = head.await.rest().await;
                match answer.status.as_u16() {
                    200 => passed.push((sent, started.elapsed())),
                    429 => refused += 1,
                    other => panic!("{other}: {}", answer.text()),
                }
            }
            (passed, refused)
        });
    }
    let (mut passed, mut refused) = (Vec::new(), 0);
    while let Some(done) = connections.join_next().await {
        let done = done.unwrap();
        passed.extend(done.0);
        refused += done.1;
    }
    let window = started.elapsed().as_secs_f64();

    #[expect(clippy::cast_precision_loss, reason = "a count of requests")]
    let count = passed.len() as f64;
    assert!(refused > 0, "nothing was refused: the fire was no fire");
    assert!(count <= 10.0 + 100.0 * window, "{count} passed in {window} s");
    // Every window: what was sent after its begin and answered before its end was let through inside it.
    for (begin, _) in &passed {
        let inside = passed.iter().filter(|(sent, _)| sent >= begin);
        let mut ends: Vec<_> =
            inside.map(|(_, answered)| answered.saturating_sub(*begin)).collect();
        ends.sort_unstable();
        for (count, length) in (1_u32..).zip(ends) {
            let length = length.as_secs_f64();
            assert!(f64::from(count) <= 10.0 + 100.0 * length, "{count} passed in {length} s");
        }
    }
}
