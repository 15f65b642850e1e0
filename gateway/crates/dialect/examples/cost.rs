//! What the dialect costs per request and per chunk: `cargo run --profile ci -p towpath-dialect --example cost`.

use std::hint::black_box;
use std::io::Write as _;
use std::time::Instant;

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde_json::json;
use towpath_dialect::{Answer, End, OpenAiRequest, Rewrite, StreamMeter, StreamRules, UsageChunk};
use towpath_wire::routing::Operation;

/// Rounds of which the fastest counts: what disturbs a measurement only ever makes it slower. They are
/// short, so that some fall between the disturbances of a busy machine.
const ROUNDS: u32 = 200;

fn measure(name: &str, bytes: usize, times: u32, mut work: impl FnMut()) -> std::io::Result<()> {
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..times {
            work();
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e9 / f64::from(times));
    }
    writeln!(std::io::stdout(), "{name:<44} {bytes:>8} bytes {best:>10.0} ns")
}

fn chat(content: &str, stream: bool) -> Bytes {
    let body = json!({
        "model": "smollm2", "temperature": 0.7, "max_tokens": 128, "stream": stream,
        "messages": [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": content},
        ],
    });
    body.to_string().into()
}

fn request(name: &str, body: &Bytes, times: u32) -> std::io::Result<()> {
    let rewrite = Rewrite::to("engine-model");
    measure(&format!("{name}: read"), body.len(), times, || {
        let _ = black_box(OpenAiRequest::read(Operation::Chat, black_box(body.clone())));
    })?;
    measure(&format!("{name}: read and rewrite"), body.len(), times, || {
        let read = OpenAiRequest::read(Operation::Chat, black_box(body.clone()));
        let _ = black_box(read.map(|r| r.for_upstream(&rewrite)));
    })?;
    measure(&format!("{name}: serde_json, nothing kept"), body.len(), times, || {
        let _ = black_box(serde_json::from_slice::<IgnoredAny>(black_box(body)));
    })
}

fn main() -> std::io::Result<()> {
    let question = "What is the capital of France? Answer in one word.";
    let prose = "The towpath runs beside the canal, and the horse walks on it. ".repeat(6_500);
    let code = "if (a < b) {\n\treturn \"x\\n\";\n}\n".repeat(13_000);
    request("small chat", &chat(question, true), 2_000)?;
    request("400 KB of prose", &chat(&prose, true), 5)?;
    request("500 KB of escaped code", &chat(&code, true), 5)?;

    let chunk = |text: &str, usage: &str| {
        format!(
            "data: {{\"id\":\"chatcmpl-8f3b2c\",\"object\":\"chat.completion.chunk\",\"created\":1790000000,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}},\"logprobs\":null,\"finish_reason\":null}}]{usage}}}\n\n"
        )
    };
    for (name, usage) in [("chunk", ""), ("chunk with usage: null taken out", ",\"usage\":null")] {
        let event = Bytes::from(chunk(" capital", usage));
        let rules = StreamRules { usage: UsageChunk::Strip, choices: 1, keep_text: false };
        let mut meter = StreamMeter::new(rules);
        measure(name, event.len(), 2_000, || {
            black_box(meter.feed(black_box(event.clone())));
        })?;
        let _ = black_box(meter.finish(End::Clean));
    }

    let answer = json!({
        "id": "chatcmpl-1", "object": "chat.completion", "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Paris"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 21, "completion_tokens": 2, "total_tokens": 23},
    })
    .to_string();
    measure("plain answer", answer.len(), 2_000, || {
        let _ = black_box(Answer::read(black_box(answer.as_bytes())));
    })
}
