//! `stream_recovery: continue`: a stream that breaks is gone on with by another target, in one answer.

use serde_json::{Value, json};
use towpath_testkit::{Ended as Upstream, Fault, Script};
use towpath_wire::routing::Envelope;
use towpath_wire::signals::Signals;
use towpath_wire::usage::{CountedBy, Ended};

use crate::support::client::Answer;
use crate::support::{World, streamed, tables};

const TEXT: &str = "t0 t1 t2 t3 t4 t5 t6 t7 ";

/// `m` with the targets `one`, `two` and `three`, in this order, all of them servers that can go on.
async fn world(changes: &Value, more: Vec<Envelope>) -> World {
    let mut spec = json!({
        "stream_recovery": "continue",
        "targets": [{"target": "dep_one", "weight": 1}],
        "fallback": [{"target": "dep_two"}, {"target": "dep_three"}],
        "timeouts": {"connect_ms": 1000, "first_byte_ms": 5000, "silence_ms": 200, "total_ms": 9000},
    });
    for (field, change) in changes.as_object().unwrap() {
        spec[field] = change.clone();
    }
    World::with(&[], |base| {
        let able = json!({"quirks": ["continue_final_message"]});
        let prefills = json!({"quirks": ["assistant_prefill"]});
        let mut all = vec![
            tables::target("one", base, &able),
            tables::target("two", base, &able),
            tables::target("three", base, &prefills),
            tables::endpoint("m", &spec),
        ];
        all.extend(more);
        all
    })
    .await
}

async fn simple() -> World {
    world(&json!({}), Vec::new()).await
}

fn breaks(world: &World, model: &str, fault: Fault) {
    world.upstream.script(model, Script::fault(fault));
}

/// The `data:` lines of a stream, `[DONE]` as a string.
fn events(answer: &Answer) -> Vec<Value> {
    let text = answer.text();
    let lines = text.lines().filter_map(|line| line.strip_prefix("data: "));
    lines.map(|data| serde_json::from_str(data).unwrap_or_else(|_| json!(data))).collect()
}

/// What a stream's deltas say, of all three dialects of callers.
fn said(answer: &Answer) -> String {
    let piece = |event: &Value| {
        let delta =
            [&event["choices"][0]["delta"]["content"], &event["delta"]["text"], &event["delta"]];
        delta.into_iter().find_map(Value::as_str).unwrap_or_default().to_owned()
    };
    events(answer).iter().map(piece).collect()
}

/// The body of the n-th request that the upstream saw.
fn asked(world: &World, n: usize) -> Value {
    serde_json::from_str(&world.upstream.requests()[n].body).unwrap()
}

fn with_usage() -> Value {
    let mut body = streamed("m");
    body["stream_options"] = json!({"include_usage": true});
    body
}

#[tokio::test]
async fn a_broken_stream_is_gone_on_with_as_one_answer() {
    for fault in [
        Fault::Cut { after: 3 },
        Fault::CutInChunk { after: 3 },
        Fault::ResetAfter { after: 3 },
        Fault::Stall { after: 3 },
        Fault::ErrorEventAfter { after: 3 },
        Fault::BadEvent { after: 3 },
    ] {
        let world = simple().await;
        breaks(&world, "one", fault.clone());
        let answer = world.gateway.stream(&with_usage()).await.rest().await;
        let record = world.control.record(answer.id()).await;
        let events = events(&answer);
        let chunks = &events[..events.len() - 1];

        assert_eq!(said(&answer), TEXT, "{fault:?}");
        assert_eq!(events.last().unwrap(), "[DONE]", "{fault:?}");
        for field in ["id", "model", "created", "object"] {
            assert!(chunks.iter().all(|chunk| chunk[field] == events[0][field]), "{chunks:?}");
        }
        let roles = chunks.iter().filter(|chunk| chunk["choices"][0]["delta"]["role"].is_string());
        assert_eq!(roles.count(), 1, "{chunks:?}");
        let reasons: Vec<_> = chunks
            .iter()
            .filter_map(|chunk| chunk["choices"][0]["finish_reason"].as_str())
            .collect();
        assert_eq!(reasons, ["stop"], "{fault:?}");
        assert_eq!((record.ended, record.error_code.as_deref()), (Ended::Complete, None));
        assert_eq!((record.target.as_deref(), record.attempts), (Some("two"), 2), "{fault:?}");
        // Read twice: first as the gateway estimates it, then the words of both parts; written once.
        let used = (record.input_tokens, record.output_tokens);
        assert_eq!(used, (Some(4 + 6), Some(8)), "{fault:?}");
        let usage = &events[events.len() - 2]["usage"];
        assert_eq!(
            (usage["prompt_tokens"].as_u64(), usage["completion_tokens"].as_u64()),
            used,
            "{fault:?}"
        );
    }
}

#[tokio::test]
async fn the_rest_is_asked_for_as_each_server_wants_it() {
    let world = simple().await;
    breaks(&world, "one", Fault::Cut { after: 3 });
    breaks(&world, "two", Fault::Cut { after: 2 });
    let mut body = streamed("m");
    body["max_tokens"] = 7.into();
    body["seed"] = 5.into();
    let answer = world.gateway.stream(&body).await.rest().await;
    let record = world.control.record(answer.id()).await;
    let (second, third) = (asked(&world, 1), asked(&world, 2));
    let begun = |text: &str| json!({"role": "assistant", "content": text});

    assert_eq!(second["messages"][0], body["messages"][0]);
    assert_eq!(second["messages"][1], begun("t0 t1 t2"));
    assert_eq!(
        (&second["add_generation_prompt"], &second["continue_final_message"]),
        (&json!(false), &json!(true))
    );
    assert_eq!((&second["max_tokens"], &second["seed"]), (&json!(4), &json!(5)));
    assert_eq!(third["messages"][1], begun("t0 t1 t2 t3 t4"));
    assert!(third["continue_final_message"].is_null() && third["add_generation_prompt"].is_null());
    assert_eq!(third["max_tokens"], 2);
    assert_eq!(said(&answer), "t0 t1 t2 t3 t4 t5 t6 ");
    assert_eq!((record.target.as_deref(), record.attempts), (Some("three"), 3));
    assert_eq!(record.output_tokens, Some(7));
    assert!(record.decision.unwrap().contains("continues one; continues two"));
}

/// White space that has left is not written again by a model that begins with it.
#[tokio::test]
async fn two_parts_of_an_answer_meet_with_one_space() {
    let world = simple().await;
    breaks(&world, "one", Fault::Cut { after: 3 });
    let script = Script { text: Some(" t3 t4".to_owned()), ..Script::default() };
    world.upstream.script("two", script);
    let answer = world.gateway.stream(&streamed("m")).await.rest().await;

    assert_eq!(said(&answer), "t0 t1 t2 t3 t4");
}

#[tokio::test]
async fn callers_of_every_dialect_get_one_answer_from_targets_of_either() {
    const PAIRS: [(&str, &str, &str); 4] = [
        ("oo", "openai", "openai"),
        ("oc", "openai", "anthropic"),
        ("co", "anthropic", "openai"),
        ("cc", "anthropic", "anthropic"),
    ];
    let world = World::with(&[], |base| {
        // Two targets for each pair, so that no breaker takes one out.
        let speaking = |name: &str, dialect: &str, model: &str| {
            let prefix = if dialect == "openai" { "/v1" } else { "" };
            let replicas =
                json!([{"id": format!("rep_{name}"), "address": format!("{base}{prefix}")}]);
            let changes = json!({"dialect": dialect, "operations": ["chat"], "replicas": replicas,
                "quirks": ["assistant_prefill"], "upstream_model": model});
            tables::target(name, base, &changes)
        };
        let pair = |(name, first, second): (&str, &str, &str)| {
            let fallback = json!([{"target": format!("dep_{name}-rest")}]);
            let spec = json!({"stream_recovery": "continue", "fallback": fallback});
            [
                speaking(name, first, "cut"),
                speaking(&format!("{name}-rest"), second, "whole"),
                tables::endpoint(name, &spec),
            ]
        };
        PAIRS.into_iter().flat_map(pair).collect()
    })
    .await;
    breaks(&world, "cut", Fault::Cut { after: 3 });
    for (endpoint, first, _) in PAIRS {
        // Anthropic's servers say at once what they have read; else it is estimated when the rest is lost.
        let read = if first == "anthropic" { 3 } else { 4 };
        let messages = json!([{"role": "user", "content": "one two three"}]);
        let callers = [
            ("/v1/chat/completions", json!({"messages": messages})),
            ("/v1/messages", json!({"messages": messages, "max_tokens": 64})),
            ("/v1/responses", json!({"input": "one two three"})),
        ];
        for (path, mut body) in callers {
            body["model"] = endpoint.into();
            body["stream"] = true.into();
            let answer = world.gateway.post_with(path, &[], &body).await;
            let record = world.control.record(answer.id()).await;
            let text = answer.text();

            assert_eq!(said(&answer), TEXT, "{endpoint} {path}: {text}");
            assert_eq!((record.ended, record.attempts), (Ended::Complete, 2), "{endpoint} {path}");
            assert_eq!(
                (record.input_tokens, record.output_tokens),
                (Some(read + 6), Some(8)),
                "{text}"
            );
            let one = |event: &str| text.matches(&format!("event: {event}\n")).count() == 1;
            match path {
                "/v1/chat/completions" => assert!(text.ends_with("data: [DONE]\n\n"), "{text}"),
                "/v1/messages" => {
                    let all = [
                        "message_start",
                        "content_block_start",
                        "content_block_stop",
                        "message_delta",
                        "message_stop",
                    ];
                    assert!(all.into_iter().all(one), "{text}");
                }
                _ => {
                    let whole = events(&answer).pop().unwrap();
                    assert!(one("response.created") && one("response.completed"), "{text}");
                    assert_eq!(whole["response"]["output"][0]["content"][0]["text"], TEXT);
                }
            }
        }
    }
}

/// Another replica of the same target is the nearest to one model's answer.
#[tokio::test]
async fn another_replica_of_the_same_target_goes_on_first() {
    let replicas = |base: &str| {
        json!({"quirks": ["assistant_prefill"], "replicas": [
            {"id": "rep_a", "address": format!("{base}/v1")},
            {"id": "rep_b", "address": format!("{base}/v1")}]})
    };
    let world = World::with(&[], |base| {
        let spec = json!({"stream_recovery": "continue", "fallback": [{"target": "dep_other"}]});
        let able = json!({"quirks": ["assistant_prefill"]});
        vec![
            tables::target("m", base, &replicas(base)),
            tables::target("other", base, &able),
            tables::endpoint("m", &spec),
        ]
    })
    .await;
    breaks(&world, "m", Fault::Cut { after: 3 });
    let answer = world.gateway.stream(&streamed("m")).await.rest().await;
    let record = world.control.record(answer.id()).await;

    // Both replicas are cut after three words of theirs: the third has the rest.
    assert_eq!(said(&answer), TEXT);
    assert_eq!((record.target.as_deref(), record.attempts), (Some("other"), 3));
    assert_eq!(asked(&world, 1)["model"], "m");
}

#[tokio::test]
async fn without_anybody_who_can_go_on_it_ends_in_an_error_event() {
    let mut tools = streamed("m");
    tools["logprobs"] = true.into();
    let mut shaped = streamed("m");
    shaped["response_format"] = json!({"type": "json_object"});
    let mut several = streamed("m");
    several["n"] = 2.into();
    let mut prefilled = streamed("m");
    prefilled["messages"] = json!([
        {"role": "user", "content": "one two three"}, {"role": "assistant", "content": "well"}]);
    let mut used_up = streamed("m");
    used_up["max_tokens"] = 3.into();
    let none = json!({"fallback": []});
    let off = json!({"stream_recovery": "none"});
    let once = json!({"retries": {"attempts": 1}});
    let cases = [
        (json!({}), tools),
        (json!({}), shaped),
        (json!({}), several),
        (json!({}), prefilled),
        (json!({}), used_up),
        (none, streamed("m")),
        (off, streamed("m")),
        (once, streamed("m")),
    ];
    for (changes, body) in cases {
        let world = world(&changes, Vec::new()).await;
        breaks(&world, "one", Fault::Cut { after: 3 });
        let answer = world.gateway.stream(&body).await.rest().await;
        let record = world.control.record(answer.id()).await;
        let last = events(&answer).pop().unwrap();

        assert_eq!(last["error"]["code"], "upstream_cut", "{changes} {body}");
        assert!(!answer.text().contains("[DONE]"), "{changes} {body}");
        assert_eq!((record.ended, record.attempts), (Ended::UpstreamCut, 1), "{changes} {body}");
        assert_eq!(world.upstream.requests().len(), 1, "{changes} {body}");
    }
}

#[tokio::test]
async fn targets_that_cannot_go_on_are_not_asked() {
    let spec = json!({"fallback": [{"target": "dep_unable"}, {"target": "dep_three"}]});
    let base = World::simple().await;
    let unable = tables::target("unable", base.upstream.base_url(), &json!({}));
    let world = world(&spec, vec![unable]).await;
    breaks(&world, "one", Fault::Cut { after: 3 });
    let answer = world.gateway.stream(&streamed("m")).await.rest().await;

    assert_eq!(said(&answer), TEXT);
    assert_eq!(base.upstream.requests().len(), 0);
    assert_eq!(world.control.record(answer.id()).await.target.as_deref(), Some("three"));
}

#[tokio::test]
async fn when_all_who_go_on_fail_the_caller_is_told_of_the_break() {
    let world = simple().await;
    breaks(&world, "one", Fault::Cut { after: 3 });
    breaks(&world, "two", Fault::Status { code: 500, retry_after: None });
    breaks(&world, "three", Fault::Status { code: 400, retry_after: None });
    let answer = world.gateway.stream(&streamed("m")).await.rest().await;
    let record = world.control.record(answer.id()).await;

    assert_eq!(said(&answer), "t0 t1 t2 ");
    assert_eq!(events(&answer).pop().unwrap()["error"]["code"], "upstream_cut");
    assert_eq!((record.ended, record.attempts), (Ended::UpstreamCut, 3));
    assert_eq!((record.input_tokens, record.output_tokens), (Some(4), Some(3)));
    assert_eq!(record.counted_by, CountedBy::Gateway);
}

#[tokio::test]
async fn a_caller_that_leaves_while_the_rest_is_asked_for_cancels_that() {
    let world = simple().await;
    breaks(&world, "one", Fault::Cut { after: 3 });
    let gates = [("headers".to_owned(), "gate".to_owned())].into();
    world.upstream.script("two", Script { gates, ..Script::default() });
    let mut head = world.gateway.stream(&streamed("m")).await;
    let id = head.headers["x-request-id"].to_str().unwrap().to_owned();
    let mut seen = String::new();
    while !seen.contains("t2") {
        seen.push_str(&String::from_utf8_lossy(&head.chunk().await.unwrap()));
    }
    // What has come leaves before anybody is asked to go on: nothing more is due until the gate opens.
    let more = head.chunk();
    tokio::select! {
        more = more => panic!("{more:?}"),
        () = world.upstream.wait_until(|seen, _| seen.len() == 2) => {}
    }
    drop(head);
    world.upstream.wait_until(|seen, _| seen[1].ended == Upstream::ClientGone).await;
    let record = world.control.record(&id).await;

    assert_eq!((record.ended, record.status), (Ended::ClientGone, Some(200)));
    assert_eq!((record.output_tokens, record.attempts), (Some(3), 2));
}

/// A hard budget holds what both parts may use, and is settled once by what they used.
#[tokio::test]
async fn a_hard_budget_is_never_over_and_is_settled_once() {
    let budget = |tokens: u64| {
        let value = json!({"subject": {"team": "team_1"}, "label": "team care", "period": "month",
            "mode": "hard", "tokens": tokens});
        tables::entity("budget", "bud_1", &value)
    };
    let mut body = streamed("m");
    body["max_tokens"] = 8.into();
    let world = world(&json!({}), vec![budget(200)]).await;
    breaks(&world, "one", Fault::Cut { after: 3 });
    let (mut whole, mut broken, mut recorded) = (0, 0, 0);
    loop {
        let answer = world.gateway.stream(&body).await.rest().await;
        if answer.status != 200 {
            break;
        }
        let record = world.control.record(answer.id()).await;
        recorded += record.input_tokens.unwrap() + record.output_tokens.unwrap();
        match record.ended {
            Ended::Complete => whole += 1,
            Ended::UpstreamCut => broken += 1,
            other => panic!("{other:?}"),
        }
        assert!(recorded <= 200, "{recorded}");
    }
    let settled = |signals: &Signals| {
        let shown = signals.budgets.get("bud_1");
        shown.is_some_and(|shown| (shown.reserved, shown.unshipped) == (0, recorded))
    };
    world.control.wait_until(|control| control.signals().iter().any(settled)).await;

    // Near its end there is room for a call, and none for what the rest of its answer may use.
    assert!(whole > 1 && broken > 0, "{whole} and {broken}");
}

#[tokio::test]
async fn what_two_models_said_is_not_kept() {
    let world = world(&json!({"cache": {"ttl_ms": 60_000}}), Vec::new()).await;
    breaks(&world, "one", Fault::Cut { after: 3 });
    let first = world.gateway.stream(&streamed("m")).await.rest().await;
    let second = world.gateway.stream(&streamed("m")).await.rest().await;

    assert_eq!((said(&first), said(&second)), (TEXT.to_owned(), TEXT.to_owned()));
    assert_eq!(
        (first.header("x-towpath-cache"), second.header("x-towpath-cache")),
        ("miss", "miss")
    );
}
