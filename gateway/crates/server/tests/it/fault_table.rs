//! Every fault of the scripted upstream, for plain calls and streams, alone and with a fallback: what the
//! caller sees and what the record says. `docs/reference/faults.md` is this table; it is compared here.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use towpath_testkit::{FakeUpstream, Fault, Script};
use towpath_wire::usage::{CountedBy, UsageRecord};

use crate::support::client::Answer;
use crate::support::{World, tables};

/// Limits of all calls of the table. The attempt's is the shortest, so that what has no end is bounded by it.
const LIMITS: &str = r#"{"connect_ms": 1000, "first_byte_ms": 400, "silence_ms": 400,
                         "total_ms": 4000, "attempt_ms": 1200}"#;
/// Every answer is over by then, whatever happens: two attempts and some time for a busy machine.
const DEADLINE: Duration = Duration::from_secs(12);
const REWRITE: &str = "TOWPATH_REWRITE=1 cargo test -p towpath-gateway --test it fault_table";

/// Where the fault is.
enum At {
    Script(Script),
    /// Another address than the scripted upstream's.
    Address(String),
}

struct Row {
    what: &'static str,
    at: At,
}

fn fault(what: &'static str, fault: Fault) -> Row {
    Row { what, at: At::Script(Script::fault(fault)) }
}

fn slow(what: &'static str, point: &str, ms: u64) -> Row {
    let delays_ms = [(point.to_owned(), ms)].into();
    Row { what, at: At::Script(Script { delays_ms, ..Script::default() }) }
}

fn status(what: &'static str, code: u16, retry_after: Option<&str>) -> Row {
    fault(what, Fault::Status { code, retry_after: retry_after.map(str::to_owned) })
}

fn rows(deaf: &str) -> Vec<Row> {
    let refusing = FakeUpstream::refusing().unwrap();
    vec![
        Row { what: "no fault", at: At::Script(Script::default()) },
        Row { what: "connection refused", at: At::Address(refusing) },
        Row { what: "connection taken, nothing read", at: At::Address(deaf.to_owned()) },
        fault("request read, nothing said", Fault::Silence),
        slow("head late, within the limit", "headers", 150),
        slow("head too late", "headers", 3_000),
        slow("first token late, within the limit of silence", "token:0", 150),
        slow("first token too late", "token:0", 3_000),
        fault("closed without an answer", Fault::Close),
        fault("reset without an answer", Fault::Reset),
        fault("stalled in the middle", Fault::Stall { after: 3 }),
        fault("cut in the middle", Fault::Cut { after: 3 }),
        fault("cut inside a chunk", Fault::CutInChunk { after: 3 }),
        fault("reset in the middle", Fault::ResetAfter { after: 3 }),
        fault("200 with an error body", Fault::ErrorBody),
        fault("200 with an error as first event", Fault::ErrorEvent),
        fault("error event in the middle", Fault::ErrorEventAfter { after: 3 }),
        fault("first event is not JSON", Fault::BadFirstEvent),
        fault("event in the middle is not JSON", Fault::BadEvent { after: 3 }),
        fault("body is not JSON", Fault::BadBody),
        fault("no `[DONE]`", Fault::NoDone),
        fault("no `finish_reason`", Fault::NoFinish),
        fault("white space without end", Fault::Whitespace { after: 0 }),
        fault("white space without end in the middle", Fault::Whitespace { after: 3 }),
        status("400", 400, None),
        fault("400, longer than the context", Fault::TooLong),
        status("401 to the gateway's credential", 401, None),
        status("404, the model is unknown there", 404, None),
        status("429", 429, None),
        status("429 with `Retry-After: 7`", 429, Some("7")),
        status("500", 500, None),
        status("503", 503, None),
        status("503 with `Retry-After: 7`", 503, Some("7")),
        fault("redirect", Fault::Redirect { location: "http://127.0.0.1:9/".to_owned() }),
        fault("compressed though nobody asked", Fault::Gzip),
        fault("web page", Fault::Html),
        fault("plain answer to a stream", Fault::NotAStream),
        fault("wrong content type", Fault::ContentType { value: "text/plain".to_owned() }),
        fault("HTTP/1.0, ended by closing", Fault::Http10),
        fault("header of 1 MiB", Fault::HugeHeader { bytes: 1 << 20 }),
    ]
}

/// One fault, one way of calling.
#[derive(Clone, Copy)]
struct Way {
    stream: bool,
    fallback: bool,
}

impl Way {
    const ALL: [Self; 4] = [
        Self { stream: false, fallback: false },
        Self { stream: false, fallback: true },
        Self { stream: true, fallback: false },
        Self { stream: true, fallback: true },
    ];

    /// Targets of its own, so that no call meets what another has taught the gateway.
    fn name(self, row: usize) -> String {
        format!("f{row}-{}-{}", u8::from(self.stream), u8::from(self.fallback))
    }
}

async fn world(rows: &[Row]) -> World {
    let timeouts: Value = serde_json::from_str(LIMITS).unwrap();
    let world = World::with(&[], |base| {
        let mut entities = vec![tables::target("rescue", base, &json!({}))];
        for (index, row) in rows.iter().enumerate() {
            for way in Way::ALL {
                let name = way.name(index);
                let base = if let At::Address(address) = &row.at { address } else { base };
                let changes = json!({"upstream_model": format!("fault-{index}")});
                entities.push(tables::target(&name, base, &changes));
                let fallback =
                    if way.fallback { json!([{"target": "dep_rescue"}]) } else { json!([]) };
                let changes = json!({"timeouts": timeouts, "fallback": fallback});
                entities.push(tables::endpoint(&name, &changes));
            }
        }
        entities
    })
    .await;
    for (index, row) in rows.iter().enumerate() {
        if let At::Script(script) = &row.at {
            world.upstream.script(&format!("fault-{index}"), script.clone());
        }
    }
    world
}

/// What came of one call, in words.
async fn outcome(world: &World, row: usize, way: Way) -> String {
    let body = json!({
        "model": way.name(row), "stream": way.stream,
        "messages": [{"role": "user", "content": "one two three"}],
    });
    let start = Instant::now();
    let answer = world.gateway.stream(&body).await.rest().await;
    assert!(start.elapsed() < DEADLINE, "{}: {:?}", way.name(row), start.elapsed());
    let record = world.control.record(answer.id()).await;
    let target = answer.header("x-towpath-target");
    let rescued = if target == "rescue" { " from the fallback" } else { "" };
    assert_eq!(
        answer.header("x-towpath-attempts"),
        record.attempts.to_string(),
        "{}",
        way.name(row)
    );
    format!("{}{rescued}; {}", seen(&answer), booked(&record))
}

fn seen(answer: &Answer) -> String {
    let text = answer.text();
    let tokens = (0..8).filter(|n| text.contains(&format!("t{n} "))).count();
    let events = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let failed = events
        .filter_map(|data| serde_json::from_str::<Value>(data).ok())
        .find_map(|event| Some(event["error"]["code"].as_str()?.to_owned()));
    let status = answer.status.as_u16();
    let later = match answer.header("retry-after") {
        "" => String::new(),
        seconds => format!(", again after {seconds} s"),
    };
    match (status, failed) {
        (200, Some(code)) => format!("200, {tokens} tokens, error event `{code}`"),
        (200, None) => {
            assert!(answer.whole && tokens == 8, "{text}");
            let stream = answer.header("content-type").starts_with("text/event-stream");
            assert!(!stream || text.ends_with("data: [DONE]\n\n"), "{text}");
            "200, whole".to_owned()
        }
        _ => format!("{status} `{}`{later}", answer.code()),
    }
}

fn booked(record: &UsageRecord) -> String {
    let ended = serde_json::to_value(record.ended).unwrap();
    let code = record.error_code.as_ref().map(|code| format!(" `{code}`")).unwrap_or_default();
    let by = if record.counted_by == CountedBy::Gateway { " counted by the gateway" } else { "" };
    let tokens = match record.output_tokens {
        Some(tokens) => format!("{tokens} tokens{by}"),
        None => "no tokens".to_owned(),
    };
    let attempts = record.attempts;
    let s = if attempts == 1 { "" } else { "s" };
    format!("{}{code}, {attempts} attempt{s}, {tokens}", ended.as_str().unwrap())
}

const HEAD: &str = "\
# Faults

What a caller sees and what the usage record says when a model's server fails, for every fault that the scripted upstream can do (`towpath-fake-upstream`, in `gateway/crates/testkit`).
This page is written by `gateway/crates/server/tests/it/fault_table.rs`, which carries out each row; it fails when the page differs.

Each cell has what the caller sees, then how the record ended, its error code, the attempts and the output tokens.
Budgets settle by the record's tokens: what has no tokens costs nothing.
The answer of the scripted upstream has 8 tokens.
The limits are: first byte 400 ms, silence 400 ms, one attempt 1,200 ms, all attempts 4 s.
After the first event of a stream nobody falls back: it ends in an error event.
Upstreams are spoken to in HTTP/1.1, so that there is no GOAWAY to meet; only gRPC upstreams have HTTP/2.

| fault | call | alone | with a fallback |
|---|---|---|---|
";

#[tokio::test]
async fn every_fault_ends_as_the_page_says() {
    let (deaf, _listener) = FakeUpstream::deaf().unwrap();
    let rows = rows(&deaf);
    let world = world(&rows).await;
    let mut page = HEAD.to_owned();
    for (index, row) in rows.iter().enumerate() {
        let [one, two, three, four] = Way::ALL.map(|way| outcome(&world, index, way));
        let (plain, rescued, stream, streamed) = tokio::join!(one, two, three, four);
        writeln!(page, "| {} | plain | {plain} | {rescued} |", row.what).unwrap();
        writeln!(page, "| | stream | {stream} | {streamed} |").unwrap();
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../docs/reference/faults.md");
    if std::env::vars_os().any(|(name, _)| name == "TOWPATH_REWRITE") {
        std::fs::write(&path, &page).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();

    assert_eq!(page, kept, "docs/reference/faults.md is stale; run `{REWRITE}`");
}
