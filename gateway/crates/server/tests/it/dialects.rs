//! Callers and targets that speak different dialects: every pair answers, streams, fails and is counted.

use serde_json::{Value, json};
use towpath_testkit::{Fault, Script};
use towpath_wire::usage::{CallerDialect, CountedBy, Ended};

use crate::support::client::Answer;
use crate::support::{World, chat, tables};

/// `open` speaks OpenAI's dialect, `anth` Anthropic's.
async fn world() -> World {
    World::with(&[], |base| {
        let anthropic = json!({
            "dialect": "anthropic", "operations": ["chat"],
            "replicas": [{"id": "rep_anth", "address": base}],
        });
        vec![
            tables::target("open", base, &json!({})),
            tables::endpoint("open", &json!({})),
            tables::target("anth", base, &anthropic),
            tables::endpoint("anth", &json!({})),
        ]
    })
    .await
}

fn messages(model: &str, stream: bool) -> Value {
    json!({"model": model, "max_tokens": 64, "stream": stream,
        "messages": [{"role": "user", "content": "one two three"}]})
}

fn response(model: &str, stream: bool) -> Value {
    json!({"model": model, "input": "one two three", "stream": stream})
}

/// Path and body of each caller's dialect.
fn callers(model: &str, stream: bool) -> [(&'static str, Value, CallerDialect); 3] {
    let mut asked = chat(model);
    if stream {
        asked["stream"] = json!(true);
    }
    [
        ("/v1/chat/completions", asked, CallerDialect::Openai),
        ("/v1/messages", messages(model, stream), CallerDialect::Anthropic),
        ("/v1/responses", response(model, stream), CallerDialect::Responses),
    ]
}

const TEXT: &str = "t0 t1 t2 t3 t4 t5 t6 t7 ";

/// The text of a plain answer, wherever the dialect has it.
fn said(body: &Value) -> String {
    let places = ["/choices/0/message/content", "/content/0/text", "/output/0/content/0/text"];
    let found = places.iter().find_map(|place| body.pointer(place)).and_then(Value::as_str);
    found.unwrap_or_else(|| panic!("no text: {body}")).to_owned()
}

/// The text of a stream's deltas.
fn streamed(answer: &Answer) -> String {
    let text = answer.text();
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let delta = |data: &str| {
        let value: Value = serde_json::from_str(data).ok()?;
        let kind = value["type"].as_str().unwrap_or_default();
        let delta = match kind {
            "" => &value["choices"][0]["delta"]["content"],
            "content_block_delta" => &value["delta"]["text"],
            "response.output_text.delta" => &value["delta"],
            _ => return None,
        };
        delta.as_str().map(str::to_owned)
    };
    data.filter_map(delta).collect()
}

#[tokio::test]
async fn every_caller_gets_an_answer_of_every_target_and_is_counted_the_same() {
    let world = world().await;
    for target in ["open", "anth"] {
        for (path, body, dialect) in callers(target, false) {
            let answer = world.gateway.post(path, &body).await;
            let record = world.control.record(answer.id()).await;

            assert_eq!(
                (answer.status.as_u16(), said(&answer.json()).as_str()),
                (200, TEXT),
                "{path}"
            );
            assert_eq!((record.ended, record.dialect), (Ended::Complete, dialect));
            assert_eq!((record.input_tokens, record.output_tokens), (Some(3), Some(8)), "{path}");
            assert_eq!(record.counted_by, CountedBy::Upstream);
        }
    }
}

#[tokio::test]
async fn every_caller_gets_a_stream_of_every_target_and_is_counted_the_same() {
    let world = world().await;
    for target in ["open", "anth"] {
        for (path, body, dialect) in callers(target, true) {
            let answer = world.gateway.post(path, &body).await;
            let record = world.control.record(answer.id()).await;

            assert!(answer.whole && answer.status == 200, "{}", answer.text());
            assert_eq!(streamed(&answer), TEXT, "{path}");
            let last = answer.text().trim_end().lines().last().unwrap_or_default().to_owned();
            let ends = ["data: [DONE]", "message_stop", "response.completed"];
            assert!(ends.iter().any(|end| last.contains(end)), "{last}");
            assert_eq!((record.ended, record.dialect), (Ended::Complete, dialect));
            assert_eq!((record.input_tokens, record.output_tokens), (Some(3), Some(8)), "{path}");
            assert_eq!((record.counted_by, record.stream), (CountedBy::Upstream, true));
        }
    }
}

/// An upstream that fails before real content is a status; after it, an error event and no end.
#[tokio::test]
async fn a_stream_that_breaks_ends_in_the_callers_own_error() {
    let world = world().await;
    for target in ["open", "anth"] {
        world.upstream.script(target, Script::fault(Fault::ErrorEvent));
        for (path, body, _) in callers(target, true) {
            let answer = world.gateway.post(path, &body).await;
            assert_eq!(answer.status.as_u16(), 502, "{path}: {}", answer.text());
        }
        for fault in [Fault::Cut { after: 3 }, Fault::ErrorEventAfter { after: 3 }] {
            world.upstream.script(target, Script::fault(fault));
            for (path, body, _) in callers(target, true) {
                let answer = world.gateway.post(path, &body).await;
                let record = world.control.record(answer.id()).await;

                let text = answer.text();
                assert_eq!(
                    (answer.status.as_u16(), streamed(&answer).as_str()),
                    (200, "t0 t1 t2 ")
                );
                assert!(!text.contains("[DONE]") && !text.contains("message_stop"), "{text}");
                assert!(
                    !text.contains("response.completed") && text.contains("\"error\""),
                    "{text}"
                );
                assert_eq!(
                    (record.output_tokens, record.counted_by),
                    (Some(3), CountedBy::Gateway)
                );
                assert_ne!(record.ended, Ended::Complete);
            }
        }
    }
}

#[tokio::test]
async fn anthropics_callers_get_its_errors_with_our_code_and_the_request_id_twice() {
    let world = world().await;
    let unknown = world.gateway.post("/v1/messages", &messages("nobody", false)).await;
    let body = unknown.json();
    assert_eq!((unknown.status.as_u16(), unknown.code().as_str()), (404, "model_not_found"));
    assert_eq!(
        (&body["type"], &body["error"]["type"]),
        (&json!("error"), &json!("not_found_error"))
    );
    assert_eq!(
        (body["request_id"].as_str(), unknown.header("request-id")),
        (Some(unknown.id()), unknown.id())
    );

    world.upstream.script("anth", Script::fault(Fault::Status { code: 529, retry_after: None }));
    let busy = world.gateway.post("/v1/messages", &messages("anth", false)).await;
    assert_eq!(
        (busy.status.as_u16(), &busy.json()["error"]["type"]),
        (529, &json!("overloaded_error"))
    );
    assert_eq!(world.control.record(busy.id()).await.status, Some(529));
    let busy = world.gateway.post("/v1/chat/completions", &chat("anth")).await;
    assert_eq!(busy.status.as_u16(), 503);

    let mut body = messages("open", false);
    body["container"] = json!("c");
    let refused = world.gateway.post("/v1/messages", &body).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (400, "unsupported_field"));
    assert_eq!(refused.json()["error"]["param"], "container");
}

/// Dropping beta headers breaks tools.
#[tokio::test]
async fn anthropics_headers_reach_its_servers_and_no_others() {
    let world = world().await;
    let headers = [("anthropic-version", "2024-01-01"), ("anthropic-beta", "one,two")];
    for target in ["anth", "open"] {
        world.gateway.post_with("/v1/messages", &headers, &messages(target, false)).await;
    }
    world.gateway.post("/v1/chat/completions", &chat("anth")).await;

    let seen = world.upstream.requests();
    let sent = |at: usize, name: &str| {
        let found = seen[at].headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    assert_eq!(
        (sent(0, "anthropic-version"), sent(0, "anthropic-beta")),
        ("2024-01-01".into(), "one,two".into())
    );
    assert_eq!(
        (sent(1, "anthropic-version"), sent(1, "anthropic-beta")),
        (String::new(), String::new())
    );
    assert_eq!(sent(2, "anthropic-version"), "2023-06-01");
}

#[tokio::test]
async fn tokens_are_counted_by_the_target_or_by_an_estimate_that_says_so() {
    let world = world().await;
    let ask = |model: &str| json!({"model": model, "messages": [{"role": "user", "content": "one two three"}]});

    let counted = world.gateway.post("/v1/messages/count_tokens", &ask("anth")).await;
    assert_eq!((counted.status.as_u16(), counted.json()), (200, json!({"input_tokens": 3})));
    assert_eq!(counted.header("x-towpath-counted-by"), "");
    let record = world.control.record(counted.id()).await;
    assert_eq!((record.input_tokens, record.cost_nano), (None, None));

    let estimated = world.gateway.post("/v1/messages/count_tokens", &ask("open")).await;
    // 13 bytes at four each, before anything is learned.
    assert_eq!((estimated.status.as_u16(), estimated.json()), (200, json!({"input_tokens": 4})));
    assert_eq!(estimated.header("x-towpath-counted-by"), "gateway");
    assert_eq!(world.control.record(estimated.id()).await.ended, Ended::Complete);
    assert_eq!(world.upstream.requests().len(), 1);
}

#[tokio::test]
async fn cached_and_thought_tokens_are_counted_and_priced_in_either_dialect() {
    let world = world().await;
    for target in ["open", "anth"] {
        let script =
            Script { cached_tokens: Some(2), reasoning_tokens: Some(1), ..Script::default() };
        world.upstream.script(target, script);
        for stream in [false, true] {
            for (path, body, _) in callers(target, stream) {
                let answer = world.gateway.post(path, &body).await;
                let record = world.control.record(answer.id()).await;

                let parts =
                    (record.input_tokens, record.cached_input_tokens, record.reasoning_tokens);
                assert_eq!(parts, (Some(3), Some(2), Some(1)), "{target} {path} {stream}");
                assert_eq!(record.cost_nano, Some(3 * 20 + 8 * 80));
            }
        }
    }
}

/// What a vendor's address needs besides: a query and headers of its own.
#[tokio::test]
async fn a_targets_query_and_headers_go_with_every_request() {
    let world = World::with(&[], |base| {
        let more = json!({"query": "api-version=2026-10-21", "headers": {"x-vendor": "v"}});
        vec![tables::target("m", base, &more), tables::endpoint("m", &json!({}))]
    })
    .await;
    world.gateway.post("/v1/chat/completions", &chat("m")).await;

    let seen = &world.upstream.requests()[0];
    assert_eq!(seen.path, "/v1/chat/completions?api-version=2026-10-21");
    assert!(seen.headers.iter().any(|(name, value)| name == "x-vendor" && value == "v"));
}
