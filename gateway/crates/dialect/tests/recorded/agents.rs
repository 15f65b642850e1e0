//! Coding agents are served whatever the dialect of the model's server.

use bytes::Bytes;
use serde_json::Value;
use towpath_dialect::{MessagesRequest, OpenAiRequest, Receiver, Request, ResponsesRequest};
use towpath_wire::routing::{Dialect, Operation};

const CLAUDE_CODE: &str = include_str!("agents/claude_code.json");
const CODEX: &str = include_str!("agents/codex.json");
const OPENCODE: &str = include_str!("agents/opencode.json");
const PI: &str = include_str!("agents/pi.json");

/// Every text of a body, in order.
fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(parts) => parts.iter().for_each(|part| texts(part, found)),
        Value::Object(fields) => fields.values().for_each(|field| texts(field, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// What the server of a target is sent.
#[expect(clippy::unwrap_used, clippy::panic, reason = "a helper of tests")]
fn told(agent: &str, request: &Request, dialect: Dialect) -> Value {
    let sent = request.for_target(&Receiver::new(dialect, "m"));
    let sent = sent.unwrap_or_else(|error| panic!("{agent} to {dialect:?}: {error:?}"));
    serde_json::from_slice(&sent.body).unwrap()
}

#[test]
fn what_coding_agents_send_reaches_servers_of_either_dialect() {
    let body = |text: &'static str| Bytes::from_static(text.as_bytes());
    let chat = |text| Request::OpenAi(OpenAiRequest::read(Operation::Chat, body(text)).unwrap());
    let messages = MessagesRequest::read(Operation::Chat, body(CLAUDE_CODE)).unwrap();
    let responses = ResponsesRequest::read(body(CODEX)).unwrap();
    let agents = [
        ("Claude Code", Request::Messages(messages), "Bash"),
        ("Codex", Request::Responses(responses), "exec_command"),
        ("opencode", chat(OPENCODE), "bash"),
        ("pi", chat(PI), "bash"),
    ];
    for (agent, request, tool) in &agents {
        for dialect in [Dialect::Openai, Dialect::Anthropic] {
            let told = told(agent, request, dialect);
            let tools = told["tools"].as_array().unwrap();
            let named = |one: &Value| one["name"] == *tool || one["function"]["name"] == *tool;
            let mut said = Vec::new();
            texts(&told["messages"], &mut said);

            assert!(tools.iter().any(named), "{agent} to {dialect:?}: {told}");
            assert_eq!(told["stream"], true, "{agent} to {dialect:?}");
            // The call of the tool is told, and its result under the same id.
            assert!(said.iter().any(|text| text.contains("echo towpath")), "{agent}: {said:?}");
            let of_call = said.iter().filter(|text| *text == "call_1").count();
            assert_eq!(of_call, 2, "{agent} to {dialect:?}: {said:?}");
        }
    }
}
