//! The access log: one line per call, and nothing in it that is secret.

use serde_json::Value;

use crate::support::{World, chat, streamed};

#[tokio::test]
async fn every_call_has_a_line_that_its_record_agrees_with() {
    let mut world = World::simple().await;
    let log = world.folder().join("access.jsonl");
    let config = world.folder().join("towpath.toml");
    let text = format!("[gateway]\naccess_log = \"{}\"\n", log.display());
    std::fs::write(&config, text).unwrap();
    world.options.arguments = vec!["--config".to_owned(), config.display().to_string()];
    world.restart();
    let plain = world.gateway.post("/v1/chat/completions", &chat("m")).await;
    let stream = world.gateway.post("/v1/chat/completions", &streamed("m")).await;
    let refused = world.gateway.post("/v1/chat/completions", &chat("nothing")).await;
    let stranger =
        world.gateway.post_as("tp_sandbox_stranger", "/v1/chat/completions", &chat("m")).await;
    let record = world.control.record(plain.id()).await;
    world.stop().await;

    let text = std::fs::read_to_string(&log).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |id: &str| lines.iter().find(|line| line["request_id"] == id).unwrap();
    assert_eq!(lines.len(), 4, "{text}");
    let line = of(plain.id());
    assert_eq!((line["status"].as_u64(), line["ended"].as_str()), (Some(200), Some("complete")));
    assert_eq!((line["endpoint"].as_str(), line["target"].as_str()), (Some("m"), Some("m")));
    assert_eq!(line["cost_nano"].as_u64(), record.cost_nano);
    assert_eq!(line["output_tokens"].as_u64(), record.output_tokens);
    assert_eq!(line["key_id"], "key_1");
    assert_eq!(of(stream.id())["stream"], true);
    assert_eq!(of(refused.id())["error_code"], "model_not_found");
    assert_eq!(of(stranger.id())["status"], 401);
    for secret in ["tp_sandbox", "one two three", "127.0.0.1:"] {
        assert!(!text.contains(secret), "{secret} is in:\n{text}");
    }
}
