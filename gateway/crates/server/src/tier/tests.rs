use serde_json::json;

use super::*;

fn plain(message: Value, finish: &str) -> Given {
    let answer = json!({"choices": [{"message": message, "finish_reason": finish}]});
    Given::plain(answer.to_string().as_bytes())
}

fn said(text: &str) -> Given {
    plain(json!({"role": "assistant", "content": text}), "stop")
}

#[test]
fn each_check_sees_its_fault_and_no_other() {
    let asked = json!({"response_format": {"type": "json_object"}});
    let call = json!({"content": null, "tool_calls": [{"id": "c", "function": {"name": "f"}}]});
    let fails = |given: &Given, check| given.fails(check, &asked).is_some();

    assert!(fails(&said("  "), TierCheck::Empty) && !fails(&said("{}"), TierCheck::Empty));
    assert!(!fails(&plain(call.clone(), "tool_calls"), TierCheck::Empty));
    assert!(!fails(&plain(call, "tool_calls"), TierCheck::Schema));
    assert!(fails(&plain(json!({"refusal": "no"}), "stop"), TierCheck::Refusal));
    assert!(fails(&plain(json!({"content": ""}), "content_filter"), TierCheck::Refusal));
    assert!(fails(&plain(json!({"content": "a"}), "length"), TierCheck::Length));
    assert!(!fails(&said("a"), TierCheck::Length) && !fails(&said("a"), TierCheck::Refusal));
    assert!(fails(&said("not json"), TierCheck::Schema) && fails(&said("[1]"), TierCheck::Schema));
    assert!(!fails(&said("{\"a\": 1}"), TierCheck::Schema));
}

#[test]
fn confidence_is_the_mean_of_what_the_answer_tells() {
    let answer = json!({"choices": [{"message": {"content": "a b"}, "logprobs": {"content": [
        {"token": "a", "logprob": -0.5}, {"token": "b", "logprob": -1.5},
    ]}}]});
    let given = Given::plain(answer.to_string().as_bytes());

    assert!(given.fails(TierCheck::MeanLogprob(-0.9), &Value::Null).is_some());
    assert!(given.fails(TierCheck::MeanLogprob(-1.1), &Value::Null).is_none());
    assert!(said("a").fails(TierCheck::MeanLogprob(-0.1), &Value::Null).is_none());
}

#[test]
fn a_schema_is_followed_in_its_plain_part() {
    let schema = json!({
        "type": "object", "required": ["label"], "additionalProperties": false,
        "properties": {
            "label": {"enum": ["billing", "fraud"]},
            "scores": {"type": "array", "items": {"type": ["number", "null"]}},
        },
    });
    let asked =
        json!({"response_format": {"type": "json_schema", "json_schema": {"schema": schema}}});
    for (text, good) in [
        (r#"{"label": "billing"}"#, true),
        (r#"{"label": "fraud", "scores": [1, null, 0.5]}"#, true),
        (r#"{"label": "other"}"#, false),
        (r#"{"scores": []}"#, false),
        (r#"{"label": "fraud", "more": 1}"#, false),
        (r#"{"label": "fraud", "scores": ["1"]}"#, false),
        ("{", false),
    ] {
        assert_eq!(meets(text, &asked), good, "{text}");
    }
    assert!(meets("anything", &json!({})));
}

#[test]
fn streams_and_the_other_dialect_say_the_same() {
    let openai = "data: {\"choices\":[{\"delta\":{\"content\":\"{\\\"a\\\"\"}}]}\n\n\
                  data: {\"choices\":[{\"delta\":{\"content\":\": 1}\"},\"finish_reason\":\"length\"}]}\n\n\
                  data: [DONE]\n\n";
    let anthropic = "event: content_block_delta\n\
                     data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"hi\"}}\n\n\
                     event: message_delta\n\
                     data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"refusal\"}}\n\n";
    let (one, two) = (Given::stream(openai.as_bytes()), Given::stream(anthropic.as_bytes()));
    let message =
        json!({"content": [{"type": "tool_use", "name": "f"}], "stop_reason": "tool_use"});
    let three = Given::plain(message.to_string().as_bytes());

    let response = json!({"output": [{"type": "message", "content": [{"type": "output_text", "text": "hi"}]}],
        "incomplete_details": {"reason": "max_output_tokens"}});
    let event = json!({"type": "response.incomplete", "response": response});
    for four in [
        Given::plain(response.to_string().as_bytes()),
        Given::stream(format!("event: response.incomplete\ndata: {event}\n\n").as_bytes()),
    ] {
        assert_eq!((four.text.as_str(), four.cut, four.tools), ("hi", true, false));
    }

    assert_eq!((one.text.as_str(), one.cut), ("{\"a\": 1}", true));
    assert_eq!((two.text.as_str(), two.refused), ("hi", true));
    assert!(three.tools && three.fails(TierCheck::Empty, &Value::Null).is_none());
}
