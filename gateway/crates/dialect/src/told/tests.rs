use super::Told;

fn told(id: &str, model: &str, reasons: &[&str]) -> Told {
    Told {
        id: Some(id.to_owned()),
        model: Some(model.to_owned()),
        finish_reasons: reasons.iter().map(|&reason| reason.to_owned()).collect(),
    }
}

fn followed(pieces: &[&str]) -> Told {
    let mut told = Told::default();
    for piece in pieces {
        told.events(piece.as_bytes());
    }
    told
}

#[test]
fn a_chat_tells_its_id_its_model_and_why_each_choice_ended() {
    let body = br#"{"id": "chatcmpl-1", "object": "chat.completion", "model": "m-2026",
        "choices": [{"index": 0, "message": {"content": "\"id\""}, "finish_reason": "stop"},
                    {"index": 1, "finish_reason": "length"}], "usage": {}}"#;

    assert_eq!(Told::answer(body), told("chatcmpl-1", "m-2026", &["stop", "length"]));
}

#[test]
fn messages_and_responses_tell_the_same() {
    let message = br#"{"type": "message", "id": "msg_1", "model": "c", "stop_reason": "end_turn"}"#;
    let response =
        br#"{"object": "response", "id": "resp_1", "model": "g", "status": "completed"}"#;

    assert_eq!(Told::answer(message), told("msg_1", "c", &["end_turn"]));
    assert_eq!(Told::answer(response), told("resp_1", "g", &["completed"]));
}

#[test]
fn a_stream_tells_in_its_first_event_and_at_its_end() {
    let chat = [
        "data: {\"id\":\"c-1\",\"model\":\"m\",\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":null}]}\n\n",
        "data: {\"id\":\"c-1\",\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
    ];
    let messages = [
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"model\":\"c\",\"stop_reason\":null}}\n\n",
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"max_tokens\"}}\n\n",
    ];
    let responses = [
        "data: {\"type\":\"response.created\",\"response\":{\"id\":\"r\",\"model\":\"g\",\"status\":\"in_progress\"}}\n\n",
        "data: {\"type\":\"response.completed\",\"response\":{\"id\":\"r\",\"status\":\"completed\"}}\n\n",
    ];

    assert_eq!(followed(&chat), told("c-1", "m", &["stop"]));
    assert_eq!(followed(&messages), told("msg_1", "c", &["max_tokens"]));
    assert_eq!(followed(&responses), told("r", "g", &["completed"]));
}

#[test]
fn what_is_not_understood_or_too_long_tells_nothing() {
    let long = format!("{{\"id\": \"{}\", \"choices\": 7}}", "x".repeat(200));

    assert_eq!(Told::answer(b"{\"id\":"), Told::default());
    assert_eq!(Told::answer(b"{\"outputs\": [{\"name\": \"y\"}]}"), Told::default());
    assert_eq!(Told::answer(long.as_bytes()), Told::default());
    assert_eq!(followed(&["data: <html>\n\n", ": waiting\n\n"]), Told::default());
}
