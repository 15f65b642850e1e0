//! Spans of calls and attempts, as a receiver of OTLP gets them, and that no receiver can do calls harm.

use serde_json::{Value, json};
use towpath_testkit::FakeUpstream;
use towpath_wire::routing::{Batch, Envelope};

use crate::support::otlp::{Mood, Receiver, Span};
use crate::support::{World, chat, streamed, tables};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SAMPLED: (&str, &str) =
    ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
const UNSAMPLED: (&str, &str) =
    ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00");

/// Start the gateway anew with spans sent to this address, and these settings.
fn trace(world: &mut World, address: &str, numbers: &[(&'static str, u64)]) {
    world.options.texts.push(("otlp_endpoint", address.to_owned()));
    world.options.settings.push(("otlp_interval_ms", 10));
    world.options.settings.extend_from_slice(numbers);
    world.restart();
}

async fn traced(receiver: &Receiver) -> World {
    let mut world = World::simple().await;
    trace(&mut world, &receiver.address, &[]);
    world
}

/// `first`, and `second` as its fallback.
fn pair(base: &str, first: &str) -> Vec<Envelope> {
    let spread = json!({
        "targets": [{"target": format!("dep_{first}"), "weight": 1}],
        "fallback": [{"target": "dep_second"}],
    });
    vec![
        tables::target(first, base, &json!({})),
        tables::target("second", base, &json!({})),
        tables::endpoint("m", &spread),
    ]
}

fn said(span: &Span, names: &[&str]) -> Vec<String> {
    names.iter().map(|name| span.says(name)).collect()
}

/// A figure of `/metrics` that has no labels.
async fn figure(world: &World, name: &str) -> u64 {
    let text = world.gateway.get("/metrics").await.text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in:\n{text}")).parse().unwrap()
}

/// Ask until a figure is more than nothing: what is counted may be counted behind the answers.
async fn counted(world: &World, name: &str) -> u64 {
    let seen = async {
        loop {
            match figure(world, name).await {
                0 => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
                count => break count,
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), seen).await.expect("it stays 0")
}

#[tokio::test]
async fn a_call_is_a_span_with_one_below_it_for_each_attempt() {
    let receiver = Receiver::start().await;
    let mut world = World::with(&[], |base| pair(base, "fake-503")).await;
    trace(&mut world, &receiver.address, &[]);
    let mut body = chat("m");
    body["max_tokens"] = 9.into();
    let headers = [SAMPLED, ("tracestate", "vendor=1")];
    let answer = world.gateway.post_with("/v1/chat/completions", &headers, &body).await;
    let record = world.control.record(answer.id()).await;
    let [call, failed, served] = receiver.call(answer.id()).await.try_into().unwrap();

    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!((call.name.as_str(), call.kind), ("chat m", 2));
    assert_eq!((call.trace().as_str(), call.parent().as_str()), (TRACE, "00f067aa0ba902b7"));
    assert_eq!((call.flags, call.trace_state.as_str()), (0x301, "vendor=1"));
    let told = answer.json();
    for (name, value) in [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "towpath"),
        ("gen_ai.request.model", "m"),
        ("gen_ai.request.max_tokens", "9"),
        ("gen_ai.request.stream", "false"),
        ("gen_ai.response.id", told["id"].as_str().unwrap()),
        ("gen_ai.response.model", told["model"].as_str().unwrap()),
        ("gen_ai.response.finish_reasons", "stop"),
        ("gen_ai.usage.input_tokens", &record.input_tokens.unwrap().to_string()),
        ("gen_ai.usage.output_tokens", &record.output_tokens.unwrap().to_string()),
        ("http.response.status_code", "200"),
        ("error.type", ""),
        ("towpath.team", "care"),
        ("towpath.project", "triage"),
        ("towpath.key_id", "key_1"),
        ("towpath.environment", "sandbox"),
        ("towpath.dialect", "openai"),
        ("towpath.target", "second"),
        ("towpath.ended", "complete"),
        ("towpath.counted_by", "upstream"),
        ("towpath.attempts", "2"),
        ("towpath.cost_nano", &record.cost_nano.unwrap().to_string()),
        ("towpath.currency", "EUR"),
    ] {
        assert_eq!(call.says(name), value, "{name}");
    }
    for (span, number, target, status) in
        [(&failed, "1", "fake-503", "503"), (&served, "2", "second", "200")]
    {
        assert_eq!((span.name.as_str(), span.kind), (&*format!("chat {target}"), 3));
        assert_eq!((span.trace().as_str(), span.flags), (TRACE, 0x101));
        let names = ["towpath.attempt", "towpath.target", "http.response.status_code"];
        assert_eq!(said(span, &names), [number, target, status]);
        assert!(call.start <= span.start && span.start <= span.end && span.end <= call.end);
    }
    assert_eq!((failed.failed(), served.failed(), call.failed()), (true, false, false));
    assert_eq!(failed.says("error.type"), "upstream_error");
}

#[tokio::test]
async fn an_upstream_is_told_the_span_of_its_attempt() {
    let receiver = Receiver::start().await;
    let mut world = World::with(&[], |base| pair(base, "fake-503")).await;
    trace(&mut world, &receiver.address, &[]);
    let answer = world.gateway.post_with("/v1/chat/completions", &[SAMPLED], &chat("m")).await;
    let [_, attempts @ ..] = &receiver.call(answer.id()).await[..] else { panic!("no span") };

    let seen = world.upstream.requests();
    let told: Vec<_> = seen
        .iter()
        .map(|request| {
            let header = request.headers.iter().find(|(name, _)| name == "traceparent");
            header.map_or("", |(_, value)| value.as_str()).to_owned()
        })
        .collect();
    let expected: Vec<_> =
        attempts.iter().map(|span| format!("00-{TRACE}-{}-01", span.id())).collect();
    assert_eq!(told, expected);
}

#[tokio::test]
async fn a_streams_span_says_what_the_stream_said() {
    let receiver = Receiver::start().await;
    let world = traced(&receiver).await;
    let answer = world.gateway.post("/v1/chat/completions", &streamed("m")).await;
    let record = world.control.record(answer.id()).await;
    let [call, attempt] = receiver.call(answer.id()).await.try_into().unwrap();

    let names = [
        "gen_ai.request.stream",
        "gen_ai.response.finish_reasons",
        "gen_ai.usage.output_tokens",
        "towpath.ended",
    ];
    let tokens = record.output_tokens.unwrap().to_string();
    assert_eq!(said(&call, &names), ["true", "stop", &tokens, "complete"]);
    let id = call.says("gen_ai.response.id");
    assert!(!id.is_empty() && answer.text().contains(&id), "{id} is not in {}", answer.text());
    // A trace of the gateway's own: it is the record's.
    assert_eq!(Some(call.trace()), record.trace_id);
    assert_eq!((call.parent().as_str(), call.flags), ("", 1));
    assert_eq!(attempt.parent(), call.id());
}

#[tokio::test]
async fn a_stream_that_breaks_is_a_failed_span() {
    let receiver = Receiver::start().await;
    let mut world = World::with(&[], |base| pair(base, "fake-cut")).await;
    trace(&mut world, &receiver.address, &[]);
    let answer = world.gateway.post("/v1/chat/completions", &streamed("m")).await;
    let [call, attempt] = receiver.call(answer.id()).await.try_into().unwrap();

    assert!(call.failed() && attempt.failed());
    assert_eq!(call.says("towpath.ended"), "upstream_cut");
    let names = ["http.response.status_code", "error.type"];
    assert_eq!(said(&call, &names), said(&attempt, &names));
    assert_eq!(call.says("http.response.status_code"), "200");
}

#[tokio::test]
async fn a_caller_who_leaves_has_a_span_that_says_so() {
    let receiver = Receiver::start().await;
    let mut world = World::with(&[], |base| pair(base, "fake-stall")).await;
    trace(&mut world, &receiver.address, &[]);
    let mut head = world.gateway.stream(&streamed("m")).await;
    let id = head.headers["x-request-id"].to_str().unwrap().to_owned();
    head.chunk().await.unwrap();
    drop(head);
    let [call, attempt] = receiver.call(&id).await.try_into().unwrap();

    let names = ["towpath.ended", "error.type"];
    assert_eq!(said(&call, &names), ["client_gone", "client_gone"]);
    assert_eq!(attempt.says("error.type"), "client_gone");
    assert!(!call.failed());
}

#[tokio::test]
async fn a_refusal_is_a_span_without_attempts() {
    let receiver = Receiver::start().await;
    let world = traced(&receiver).await;
    let missing = world.gateway.post("/v1/chat/completions", &chat("nothing")).await;
    let stranger =
        world.gateway.post_as("tp_sandbox_stranger", "/v1/chat/completions", &chat("m")).await;
    let [missing] = receiver.call(missing.id()).await.try_into().unwrap();
    let [stranger] = receiver.call(stranger.id()).await.try_into().unwrap();

    let names = ["http.response.status_code", "error.type", "towpath.ended", "towpath.team"];
    assert_eq!(said(&missing, &names), ["404", "model_not_found", "refused", "care"]);
    assert_eq!(said(&stranger, &names), ["401", "invalid_api_key", "refused", ""]);
    assert_eq!((missing.name.as_str(), stranger.name.as_str()), ("chat nothing", "chat"));
    assert!(!missing.failed() && !stranger.failed());
}

#[tokio::test]
async fn callers_decide_about_their_traces_and_the_ratio_about_ours() {
    let receiver = Receiver::start().await;
    let mut world = World::simple().await;
    world.options.texts.push(("otlp_sample_ratio", "0".to_owned()));
    trace(&mut world, &receiver.address, &[]);
    let path = "/v1/chat/completions";
    world.gateway.post(path, &chat("m")).await;
    world.gateway.post_with(path, &[UNSAMPLED], &chat("m")).await;
    let recorded = world.gateway.post_with(path, &[SAMPLED], &chat("m")).await;
    let sent = figure(&world, "towpath_gateway_spans_lost_total").await;
    world.stop().await;

    let ids: Vec<_> = receiver.spans().iter().map(|span| span.says("towpath.request_id")).collect();
    assert_eq!(ids.iter().filter(|id| !id.is_empty()).collect::<Vec<_>>(), [recorded.id()]);
    assert_eq!((ids.len(), sent), (2, 0));
    let flags: Vec<_> = world
        .upstream
        .requests()
        .iter()
        .map(|request| {
            let parent = request.headers.iter().find(|(name, _)| name == "traceparent").unwrap();
            parent.1[53..].to_owned()
        })
        .collect();
    assert_eq!(flags, ["00", "00", "01"]);
}

#[tokio::test]
async fn spans_carry_what_the_settings_say_and_no_secret() {
    let receiver = Receiver::start().await;
    let mut world = World::simple().await;
    let texts = [
        ("otlp_headers", "authorization=Bearer%20sk-tracing, x-tenant=a%2Cb"),
        ("otlp_resource_attributes", "deployment.environment.name=lab,service.name=front"),
    ];
    world.options.texts.extend(texts.map(|(name, text)| (name, text.to_owned())));
    trace(&mut world, &receiver.address, &[]);
    let mut body = chat("m");
    body["user"] = "alice".into();
    let answer = world.gateway.post("/v1/chat/completions", &body).await;
    receiver.call(answer.id()).await;

    let [message] = &receiver.received()[..] else { panic!("more than one message") };
    assert_eq!(message.path, "/v1/traces");
    assert_eq!(message.headers["content-type"], "application/x-protobuf");
    assert_eq!(message.headers["authorization"], "Bearer sk-tracing");
    assert_eq!(message.headers["x-tenant"], "a,b");
    assert_eq!(message.resource["deployment.environment.name"], "lab");
    assert_eq!(message.resource["service.name"], "front");
    assert!(message.resource["service.instance.id"].starts_with("gw_"));
    let spans = format!("{:?}", message.spans);
    for secret in ["tp_sandbox", "one two three", "alice", "127.0.0.1", "sk-tracing"] {
        assert!(!spans.contains(secret), "{secret} is in {spans}");
    }
    assert!(!world.gateway.log().contains("sk-tracing"), "{}", world.gateway.log());
}

#[tokio::test]
async fn a_receiver_that_never_answers_costs_spans_and_no_call() {
    let receiver = Receiver::start().await;
    receiver.mood(Mood::Silent);
    let mut world = World::simple().await;
    trace(&mut world, &receiver.address, &[("otlp_memory_bytes", 4_096)]);
    for _ in 0..20 {
        let answer = world.gateway.post("/v1/chat/completions", &chat("m")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    let lost = counted(&world, "towpath_gateway_spans_lost_total").await;
    assert!(lost >= 20, "4 KiB hold a few calls' spans, so most of 40 are lost: {lost}");
    world.gateway.logged("spans.lost").await;
    assert_eq!(world.gateway.log().matches("spans.lost").count(), 1, "it is said once");
}

#[tokio::test]
async fn a_receiver_that_is_away_costs_spans_and_no_call() {
    let mut world = World::simple().await;
    trace(&mut world, &FakeUpstream::refusing().unwrap(), &[]);
    let answer = world.gateway.post("/v1/chat/completions", &chat("m")).await;
    world.stop().await;

    assert_eq!(answer.status, 200);
    world.gateway.logged("spans.not_sent").await;
    world.gateway.logged("spans.lost").await;
}

#[tokio::test]
async fn what_may_be_taken_later_is_sent_again() {
    let receiver = Receiver::start().await;
    receiver.mood(Mood::Status(503));
    let world = traced(&receiver).await;
    let answer = world.gateway.post("/v1/chat/completions", &chat("m")).await;
    receiver.wait_until(|receiver| !receiver.received().is_empty()).await;
    receiver.mood(Mood::Take);
    let spans = receiver.call(answer.id()).await;

    assert_eq!((spans.len(), receiver.spans().len()), (2, 2));
    assert_eq!(counted(&world, "towpath_gateway_spans_exported_total").await, 2);
    assert_eq!(figure(&world, "towpath_gateway_spans_lost_total").await, 0);
}

#[tokio::test]
async fn what_a_receiver_does_not_want_is_counted_and_not_sent_again() {
    let receiver = Receiver::start().await;
    receiver.mood(Mood::Reject(1));
    let world = traced(&receiver).await;
    world.gateway.post("/v1/chat/completions", &chat("m")).await;
    let partly = counted(&world, "towpath_gateway_spans_lost_total").await;
    receiver.mood(Mood::Status(400));
    world.gateway.post("/v1/chat/completions", &chat("m")).await;
    world.gateway.logged("spans.not_sent").await;

    assert_eq!((partly, receiver.received().len()), (1, 2));
    assert_eq!(figure(&world, "towpath_gateway_spans_lost_total").await, 3);
    assert_eq!(figure(&world, "towpath_gateway_spans_exported_total").await, 1);
    world.gateway.logged("too old").await;
}

#[tokio::test]
async fn what_waits_at_the_end_is_sent_before_it() {
    let receiver = Receiver::start().await;
    let mut world = traced(&receiver).await;
    world.options.settings.push(("otlp_interval_ms", 600_000));
    world.restart();
    let answer = world.gateway.post("/v1/chat/completions", &chat("m")).await;
    world.stop().await;

    let ids: Vec<_> = receiver.spans().iter().map(|span| span.says("towpath.request_id")).collect();
    assert!(ids.iter().any(|id| id == answer.id()), "{ids:?}");
}

#[tokio::test]
async fn spans_go_over_grpc_where_a_setting_says_so() {
    let receiver = Receiver::start_grpc().await;
    let mut world = World::simple().await;
    world.options.texts.push(("otlp_protocol", "grpc".to_owned()));
    trace(&mut world, &receiver.address, &[]);
    let answer = world.gateway.post("/v1/chat/completions", &chat("m")).await;
    let spans = receiver.call(answer.id()).await;

    let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    assert_eq!((spans.len(), &*receiver.received()[0].path), (2, path));
    assert_eq!(counted(&world, "towpath_gateway_spans_exported_total").await, 2);
}

#[tokio::test]
async fn spans_leave_by_the_rules_of_egress() {
    let receiver = Receiver::start().await;
    let world = traced(&receiver).await;
    let platform = json!({"name": "towpath", "currency": "EUR", "egress_allow": []});
    let upserts = vec![tables::entity("platform", "platform", &platform)];
    let batch = Batch { version: 1, from: 1, to: 2, advisory: vec![], upserts, deletes: vec![] };
    world.control.batch(batch);
    world.control.applied(2).await;
    let models: Value = world.gateway.get("/v1/models").await.json();
    world.gateway.logged("spans.not_sent").await;

    assert_eq!(models["object"], "list");
    assert!(receiver.received().is_empty());
    assert!(world.gateway.log().contains("the gateway's own machine"), "{}", world.gateway.log());
}
