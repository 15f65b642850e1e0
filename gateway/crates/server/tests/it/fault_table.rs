//! Every fault of the scripted upstream, for plain calls and streams, alone and with a fallback: what the
//! caller sees, what the record says and what a budget shows. `docs/reference/faults.md` is this table; it is compared here.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::Instant;
use towpath_testkit::{FakeUpstream, Fault, Script};
use towpath_wire::routing::Envelope;
use towpath_wire::usage::{CountedBy, UsageRecord};

use crate::kserve::texts;
use crate::support::client::Answer;
use crate::support::control::Control;
use crate::support::{World, tables};

/// Limits of all calls of the table. The attempt's is the shortest, so that what has no end is bounded by it.
pub const LIMITS: &str = r#"{"connect_ms": 1000, "first_byte_ms": 400, "silence_ms": 400,
                         "total_ms": 4000, "attempt_ms": 1200}"#;
/// Every answer is over by then, whatever happens: two attempts and some time for a busy machine.
const DEADLINE: Duration = Duration::from_secs(12);
const REWRITE: &str = "TOWPATH_REWRITE=1 cargo test -p towpath-gateway --test it fault_table";

/// Where the fault is.
pub enum At {
    Script(Script),
    /// Another address than the scripted upstream's.
    Address(String),
    /// At a server that speaks gRPC, to so many calls.
    Grpc(Fault, u32),
}

pub struct Row {
    pub what: &'static str,
    pub at: At,
}

impl Row {
    fn ways(&self) -> &'static [Way] {
        if let At::Grpc(..) = self.at { &Way::ALL[..2] } else { &Way::ALL }
    }

    /// Write what came of its calls, given in the order of [`Self::ways`].
    fn write(&self, cells: &[String], page: &mut String) {
        let what = self.what;
        match cells {
            [plain, rescued, stream, streamed, further] => {
                writeln!(page, "| {what} | plain | {plain} | {rescued} |").unwrap();
                writeln!(page, "| | stream | {stream} | {streamed} |").unwrap();
                if further != streamed {
                    writeln!(page, "| | stream, `continue` | | | {further} |").unwrap();
                }
            }
            [alone, rescued] => {
                writeln!(page, "| {what} | inference | {alone} | {rescued} |").unwrap();
            }
            _ => panic!("{what}: {cells:?}"),
        }
    }
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

pub fn rows(deaf: &str) -> Vec<Row> {
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
        Row { what: "HTTP/2 `GOAWAY`, once", at: At::Grpc(Fault::GoAway, 1) },
        Row { what: "HTTP/2 `GOAWAY`, to every call", at: At::Grpc(Fault::GoAway, u32::MAX) },
    ]
}

/// One fault, one way of calling.
#[derive(Clone, Copy)]
struct Way {
    stream: bool,
    fallback: bool,
    /// The endpoint has streams gone on with.
    goes_on: bool,
}

impl Way {
    const ALL: [Self; 5] = [
        Self { stream: false, fallback: false, goes_on: false },
        Self { stream: false, fallback: true, goes_on: false },
        Self { stream: true, fallback: false, goes_on: false },
        Self { stream: true, fallback: true, goes_on: false },
        Self { stream: true, fallback: true, goes_on: true },
    ];

    /// Targets of its own, so that no call meets what another has taught the gateway.
    fn name(self, row: usize) -> String {
        let goes_on = if self.goes_on { "-on" } else { "" };
        format!("f{row}-{}-{}{goes_on}", u8::from(self.stream), u8::from(self.fallback))
    }

    fn budget(self, row: usize) -> String {
        format!("bud_{}", self.name(row))
    }

    fn endpoint(self, row: usize, timeouts: &Value, rescue: &str) -> Envelope {
        let fallback = if self.fallback { json!([{"target": rescue}]) } else { json!([]) };
        let recovery = if self.goes_on { "continue" } else { "none" };
        let changes =
            json!({"timeouts": timeouts, "fallback": fallback, "stream_recovery": recovery});
        tables::endpoint(&self.name(row), &changes)
    }

    /// A budget of the endpoint alone, so that it shows this call's tokens.
    fn counted(self, row: usize) -> Envelope {
        let subject = json!({"endpoint": format!("end_{}", self.name(row))});
        let budget = json!({"subject": subject, "label": self.name(row), "period": "month",
            "mode": "soft", "tokens": 1_000_000});
        tables::entity("budget", &self.budget(row), &budget)
    }
}

async fn world(rows: &[Row]) -> World {
    let timeouts: Value = serde_json::from_str(LIMITS).unwrap();
    let world = World::with(&[], |base| {
        let grpc = |name: &str| {
            let replicas = json!([{"id": format!("rep_{name}"), "address": base}]);
            let changes = json!({"dialect": "kserve_grpc", "operations": ["predict"],
                "replicas": replicas});
            tables::target(name, base, &changes)
        };
        let able = json!({"quirks": ["continue_final_message"]});
        let mut entities = vec![tables::target("rescue", base, &able), grpc("rescue-grpc")];
        for (index, row) in rows.iter().enumerate() {
            for way in row.ways() {
                let name = way.name(index);
                let rescue = match &row.at {
                    At::Grpc(..) => {
                        entities.push(grpc(&name));
                        "dep_rescue-grpc"
                    }
                    At::Script(_) | At::Address(_) => {
                        let address = if let At::Address(other) = &row.at { other } else { base };
                        let changes = json!({"upstream_model": format!("fault-{index}")});
                        entities.push(tables::target(&name, address, &changes));
                        "dep_rescue"
                    }
                };
                entities.push(way.endpoint(index, &timeouts, rescue));
                entities.push(way.counted(index));
            }
        }
        entities
    })
    .await;
    for (index, row) in rows.iter().enumerate() {
        match &row.at {
            At::Script(script) => {
                world.upstream.script(&format!("fault-{index}"), script.clone());
            }
            At::Grpc(fault, times) => {
                for way in row.ways() {
                    let script = Script::fault(fault.clone());
                    world.upstream.script_next(&way.name(index), script, *times);
                }
            }
            At::Address(_) => {}
        }
    }
    world
}

/// What came of one call, in words, and the tokens of its record.
async fn outcome(world: &World, row: usize, at: &At, way: Way) -> (String, u64) {
    let name = way.name(row);
    let start = Instant::now();
    let answer = if let At::Grpc(..) = at {
        world.gateway.post(&format!("/v2/models/{name}/infer"), &texts(&["one two three"])).await
    } else {
        let messages = json!([{"role": "user", "content": "one two three"}]);
        let body = json!({"model": name, "stream": way.stream, "messages": messages});
        world.gateway.stream(&body).await.rest().await
    };
    assert!(start.elapsed() < DEADLINE, "{}: {:?}", way.name(row), start.elapsed());
    let record = world.control.record(answer.id()).await;
    let target = answer.header("x-towpath-target");
    let first = record.target.as_deref() == Some(target);
    let rescued = match (first, target.starts_with("rescue")) {
        (true, true) => " from the fallback",
        (true, false) => "",
        (false, _) => ", the rest from the fallback",
    };
    let attempts = record.attempts.to_string();
    let told = format!(": x-towpath-attempts: {attempts}\n");
    assert!(
        answer.header("x-towpath-attempts") == attempts || answer.text().contains(&told),
        "{name}"
    );
    let tokens = record.input_tokens.unwrap_or(0) + record.output_tokens.unwrap_or(0);
    (format!("{}{rescued}; {}", seen(&answer), booked(&record)), tokens)
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
        (200, None) if text.contains("\"outputs\"") => "200, whole".to_owned(),
        (200, None) => {
            assert!(answer.whole && tokens == 8, "{text}");
            let stream = answer.header("content-type").starts_with("text/event-stream");
            assert!(!stream || text.ends_with("data: [DONE]\n\n"), "{text}");
            "200, whole".to_owned()
        }
        _ => format!("{status} `{}`{later}", code(answer)),
    }
}

/// The error's code; for callers of the KServe protocol it stands at the end of the text.
fn code(answer: &Answer) -> String {
    match &answer.json()["error"] {
        Value::String(text) => {
            let (_, code) = text.rsplit_once('[').unwrap();
            code.trim_end_matches(']').to_owned()
        }
        _ => answer.code(),
    }
}

/// What every budget shows once nothing is held any more.
async fn shown(world: &World, budgets: &[String]) -> BTreeMap<String, u64> {
    let last = |control: &Control| {
        let mut last = BTreeMap::new();
        for signals in control.signals() {
            last.extend(signals.budgets);
        }
        last
    };
    let settled = |control: &Control| {
        let last = last(control);
        budgets.iter().all(|id| last.get(id).is_some_and(|shown| shown.reserved == 0))
    };
    world.control.wait_until(settled).await;
    // This control plane has no ledger: what the gateway has not been told of is all of it.
    last(&world.control).into_iter().map(|(id, shown)| (id, shown.unshipped)).collect()
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
The column after it has the tokens that a budget of the endpoint shows once the call is over: those of the record, input and output, and none where nothing was produced.
The prompt has 3 tokens, which the gateway estimates at 4 where nobody counts them, and the answer of the scripted upstream 8.
The limits are: first byte 400 ms, silence 400 ms, one attempt 1,200 ms, all attempts 4 s.
After the first event of a stream nobody falls back: it ends in an error event.
Where the endpoint says `stream_recovery: continue`, the fallback goes on with it; such a row stands where that makes a difference.
A part that broke off is counted by the gateway, the text so far is read again by the server that goes on.
Upstreams are spoken to in HTTP/1.1; only gRPC upstreams have HTTP/2 and a GOAWAY.

| fault | call | alone | budget | with a fallback | budget |
|---|---|---|---|---|---|
";

#[tokio::test]
async fn every_fault_ends_as_the_page_says() {
    let (deaf, _listener) = FakeUpstream::deaf().unwrap();
    let rows = rows(&deaf);
    let world = world(&rows).await;
    let mut outcomes = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let calls = row.ways().iter().map(|way| outcome(&world, index, &row.at, *way));
        outcomes.push(join_all(calls).await);
    }
    let places = rows.iter().enumerate();
    let budgets: Vec<_> = places
        .flat_map(|(index, row)| row.ways().iter().map(move |way| way.budget(index)))
        .collect();
    let shown = shown(&world, &budgets).await;
    let mut page = HEAD.to_owned();
    for (index, (row, outcomes)) in rows.iter().zip(&outcomes).enumerate() {
        let mut cells = Vec::new();
        for (way, (said, tokens)) in row.ways().iter().zip(outcomes) {
            let budget = shown[&way.budget(index)];
            assert_eq!(budget, *tokens, "{}", way.name(index));
            cells.push(format!("{said} | {budget}"));
        }
        row.write(&cells, &mut page);
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../docs/reference/faults.md");
    if std::env::vars_os().any(|(name, _)| name == "TOWPATH_REWRITE") {
        std::fs::write(&path, &page).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();

    assert_eq!(page, kept, "docs/reference/faults.md is stale; run `{REWRITE}`");
}
