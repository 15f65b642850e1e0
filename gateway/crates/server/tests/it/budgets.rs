//! Budgets: never over, never counted twice, and refused so that client libraries stop asking.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use towpath_testkit::Script;
use towpath_wire::routing::Envelope;
use towpath_wire::usage::{Ended, UsageRecord};

use crate::support::client::{self, Answer};
use crate::support::{World, chat, streamed, tables};

const CHAT: &str = "/v1/chat/completions";
const MONTH: &str = "month";

fn budget(amount: &Value, mode: &str) -> Envelope {
    let mut value = json!({
        "subject": {"team": "team_1"}, "label": "team care", "period": MONTH, "mode": mode,
    });
    for (name, amount) in amount.as_object().unwrap() {
        value[name] = amount.clone();
    }
    tables::entity("budget", "bud_1", &value)
}

async fn with(budget: Envelope) -> World {
    World::with(&[], |base| {
        let target = json!({"context_length": 1_000});
        vec![tables::target("m", base, &target), tables::endpoint("m", &json!({})), budget]
    })
    .await
}

fn month() -> i64 {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let now = i64::try_from(since.as_millis()).unwrap();
    towpath_policy::period_start(towpath_wire::routing::Period::Month, now)
}

fn small(stream: bool) -> Value {
    let mut body = if stream { streamed("m") } else { chat("m") };
    body["max_tokens"] = 8.into();
    body
}

/// Ask until a budget refuses; returns how many calls passed, and the refusal.
async fn exhaust(world: &World) -> (u64, Answer) {
    for passed in 0..2_000 {
        let answer = world.gateway.post(CHAT, &small(false)).await;
        if answer.status != 200 {
            return (passed, answer);
        }
    }
    panic!("the budget was never used up");
}

#[tokio::test]
async fn a_used_up_budget_is_refused_so_that_clients_stop_asking() {
    let world = with(budget(&json!({"tokens": 200}), "hard")).await;
    let (passed, refused) = exhaust(&world).await;
    let record = world.control.record(refused.id()).await;

    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (429, "insufficient_quota"));
    assert_eq!(refused.json()["error"]["type"], "insufficient_quota");
    assert_eq!(refused.header("x-should-retry"), "false");
    assert!(!refused.headers.contains_key("retry-after"));
    let next = towpath_policy::rfc3339(towpath_policy::period_end(
        towpath_wire::routing::Period::Month,
        month(),
    ));
    assert_eq!(refused.header("x-towpath-retry-at"), next);
    assert_eq!(refused.header("x-towpath-limit"), "team care tokens per month");
    let message = refused.message();
    assert!(message.starts_with("Team care used the 200 tokens it has per month"), "{message}");
    assert!(message.contains(&next), "{message}");
    assert_eq!(record.error_code.as_deref(), Some("insufficient_quota"));
    // 3 words in and 8 out: 11 tokens a call; what a call is held at beyond that is given back.
    assert!((8..=18).contains(&passed), "{passed}");
}

/// 64 callers at once, streams and plain answers: what the records add up to is never over.
#[tokio::test]
async fn concurrent_exhaustion_is_never_over() {
    let world = with(budget(&json!({"tokens": 3_000}), "hard")).await;
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..64 {
        let address = world.gateway.address;
        callers.spawn(async move {
            let headers = [("authorization", "Bearer tp_sandbox_good")];
            for call in 0..1_000 {
                let body = small((caller + call) % 2 == 0).to_string();
                let head = client::send(address, Method::POST, CHAT, &headers, body).await;
                let answer = head.rest().await;
                match answer.status.as_u16() {
                    200 => {}
                    429 if answer.code() == "insufficient_quota" => return,
                    429 => tokio::task::yield_now().await,
                    other => panic!("{other}: {}", answer.text()),
                }
            }
            panic!("the budget was never used up");
        });
    }
    while let Some(done) = callers.join_next().await {
        done.unwrap();
    }
    let produced = world.upstream.counts();
    let used = produced.input_tokens + produced.output_tokens;

    assert!(used <= 3_000, "{used} of 3,000");
    assert!(used >= 2_800, "{used} of 3,000: it was given up too early");
}

#[tokio::test]
async fn money_is_counted_at_the_dearest_of_the_targets() {
    // 3 tokens in at 20 and 8 out at 80: 700 nano a call.
    let world = with(budget(&json!({"cost_nano": 20_000}), "hard")).await;
    let (passed, refused) = exhaust(&world).await;

    assert_eq!(refused.code(), "insufficient_quota");
    assert_eq!(refused.header("x-towpath-limit"), "team care money per month");
    assert!(refused.message().contains("0.00002 EUR"), "{}", refused.message());
    assert!((10..=28).contains(&passed), "{passed}");
}

#[tokio::test]
async fn near_its_end_a_budget_bounds_the_answer_instead_of_refusing_the_call() {
    let world = with(budget(&json!({"tokens": 4_000}), "hard")).await;
    // What the key's calls really use is learned first.
    for _ in 0..20 {
        assert_eq!(world.gateway.post(CHAT, &small(false)).await.status, 200);
    }
    let mut large = chat("m");
    large["max_tokens"] = 900.into();
    let answer = world.gateway.post(CHAT, &large).await;
    let sent: Value =
        serde_json::from_str(&world.upstream.requests().last().unwrap().body).unwrap();

    assert_eq!(answer.status, 200);
    let most = sent["max_tokens"].as_u64().unwrap();
    assert!((16..900).contains(&most), "{most}");
}

#[tokio::test]
async fn a_soft_budget_warns_and_serves() {
    let world = with(budget(&json!({"tokens": 50, "warn_percent": 60}), "soft")).await;
    let mut answers = Vec::new();
    for _ in 0..6 {
        answers.push(world.gateway.post(CHAT, &small(false)).await);
    }
    let warnings: Vec<_> = answers.iter().map(|a| a.header("x-towpath-budget-warning")).collect();

    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(warnings[..3], ["", "", ""]);
    assert!(
        warnings[5].starts_with("team care tokens per month; used=110%; reset="),
        "{warnings:?}"
    );
}

/// Used by others too: the control plane's word counts as soon as it is heard.
#[tokio::test]
async fn what_other_gateways_used_counts() {
    // So large that no number of calls before that word could use it up.
    let world = with(budget(&json!({"tokens": 1_000_000_000}), "hard")).await;
    world.control.budget("bud_1", month(), 999_999_995);
    let refused = async {
        loop {
            let answer = world.gateway.post(CHAT, &small(false)).await;
            if answer.status == 429 {
                return answer;
            }
        }
    };
    let refused = tokio::time::timeout(Duration::from_secs(20), refused).await.unwrap();

    assert_eq!(refused.code(), "insufficient_quota");
    let own = world.upstream.counts();
    assert!(own.input_tokens + own.output_tokens < 1_000_000_000, "{own:?}");
}

/// Kills of the gateway in between, with calls in flight and a control plane that is away for a while:
/// what was used is what the upstream produced for whole answers, and for cut ones what had been
/// counted; the budget neither starts anew nor charges anything twice.
#[tokio::test]
async fn a_killed_gateway_neither_resets_a_budget_nor_charges_twice() {
    let mut world = with(budget(&json!({"tokens": 1_500}), "hard")).await;
    world.control.budget("bud_1", month(), 0);
    for round in 0..3 {
        for _ in 0..10 {
            assert_eq!(world.gateway.post(CHAT, &small(false)).await.status, 200);
        }
        // What is used now is known to the gateway alone.
        world.control.sick(Some(503));
        for _ in 0..10 {
            assert_eq!(world.gateway.post(CHAT, &small(false)).await.status, 200);
        }
        let gate = format!("gate-{round}");
        let gates = [("token:4".to_owned(), gate.clone())].into();
        world.upstream.script_next("m", Script { gates, ..Script::default() }, 1);
        let mut open = world.gateway.stream(&small(true)).await;
        open.chunk().await.unwrap();
        world.gateway.signal("-KILL");
        world.gateway.ended().await;
        world.upstream.release(&gate);
        drop(open);
        world.restart();
        if round < 2 {
            world.control.sick(None);
        }
    }
    // The control plane is still away: the gateway knows by its own folder what is left.
    let (passed, refused) = exhaust(&world).await;
    world.control.sick(None);
    let last = refused.id().to_owned();
    world.control.record(&last).await;
    // What a killed gateway did not hear acknowledged comes twice.
    let records = world.control.records().into_iter().map(|record| (record.sequence, record));
    let records: std::collections::BTreeMap<_, _> = records.collect();
    let tokens =
        |record: &UsageRecord| record.input_tokens.unwrap_or(0) + record.output_tokens.unwrap_or(0);
    let used: u64 = records.values().map(tokens).sum();

    assert_eq!(refused.code(), "insufficient_quota");
    assert_eq!(world.control.used("bud_1"), used);
    // 60 whole calls of 11 tokens, three lost ones of a few, and what was left for the last.
    assert!(used <= 1_500, "{used}");
    assert!(used + 120 >= 1_500, "{used}: charged twice");
    assert!((66..=76).contains(&passed), "{passed}");
    let lost = records.values().filter(|record| record.ended == Ended::GatewayLost).count();
    assert_eq!(lost, 3);
}
