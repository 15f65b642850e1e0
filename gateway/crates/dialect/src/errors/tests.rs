use serde_json::{Value, json};

use super::*;

fn body<'a>() -> ErrorBody<'a> {
    ErrorBody {
        status: 400,
        code: "invalid_field",
        title: "A field has a wrong type or value",
        detail: "`inputs[3].age` must be a number (FP32), not a string",
        fix: Some("Correct the field."),
        param: Some("inputs[3].age"),
        request_id: Some("req_1"),
        retry_after_s: None,
    }
}

fn read(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn openai_errors_carry_code_and_fix_in_the_message() {
    let expected = json!({"error": {
        "message": "`inputs[3].age` must be a number (FP32), not a string. Correct the field.",
        "type": "invalid_request_error", "param": "inputs[3].age", "code": "invalid_field",
        "fix": "Correct the field.", "request_id": "req_1",
    }});

    assert_eq!(read(&body().openai()), expected);
}

#[test]
fn messages_start_with_a_capital_and_end_with_one_full_stop() {
    let error = ErrorBody { detail: "the body is empty.", fix: None, ..body() };

    assert_eq!(read(&error.openai())["error"]["message"], "The body is empty.");
    assert_eq!(read(&error.kserve()), json!({"error": "The body is empty. [invalid_field]"}));
}

#[test]
fn problems_point_at_the_field() {
    let expected = json!({
        "type": "https://towpath.dev/problems/invalid_field",
        "title": "A field has a wrong type or value", "status": 400,
        "detail": "`inputs[3].age` must be a number (FP32), not a string",
        "code": "invalid_field", "fix": "Correct the field.", "request_id": "req_1",
        "errors": [{
            "pointer": "/inputs/3/age",
            "detail": "`inputs[3].age` must be a number (FP32), not a string",
            "fix": "Correct the field.",
        }],
    });

    assert_eq!(read(&body().problem()), expected);
}

#[test]
fn an_error_event_is_one_data_line() {
    let event = body().sse_event();

    let text = std::str::from_utf8(&event).unwrap();
    let json = text.strip_prefix("data: ").unwrap().strip_suffix("\n\n").unwrap();
    assert!(!json.contains('\n'));
    assert_eq!(read(json.as_bytes()), read(&body().openai()));
}

#[test]
fn what_concerns_the_caller_is_passed_on() {
    let said = br#"{"error":{"message":"max_tokens is too large","type":"invalid_request_error","param":"max_tokens","code":null}}"#;

    let fault = UpstreamFault::from_status(400, said);

    assert_eq!(
        (fault.status, fault.code, fault.message.as_str(), fault.param.as_deref(), fault.retryable),
        (400, FaultCode::UpstreamRefused, "max_tokens is too large", Some("max_tokens"), false)
    );
}

#[test]
fn what_concerns_us_is_not() {
    let said = br#"{"error":{"message":"Incorrect API key provided: sk-secret. See https://vendor.example","code":"invalid_api_key"}}"#;
    for status in [401, 402, 403, 404, 405, 500, 502] {
        let fault = UpstreamFault::from_status(status, said);

        assert_eq!(
            (fault.status, fault.code, fault.retryable),
            (502, FaultCode::UpstreamError, true)
        );
        assert_eq!(fault.message, "the model's server failed");
    }
}

#[test]
fn secrets_and_addresses_are_removed_from_what_is_passed_on() {
    let said =
        br#"{"detail":"bad key `sk-abc123` at http://10.0.0.7:8000/v1, Bearer abc\nsee docs"}"#;

    let fault = UpstreamFault::from_status(422, said);

    assert_eq!(fault.message, "bad key [removed] at [removed] Bearer [removed] see docs");
}

#[test]
fn every_shape_of_error_body_is_understood() {
    let cases: [&[u8]; 5] = [
        br#"{"error":{"message":"too long"}}"#,
        br#"{"error":"too long"}"#,
        br#"{"object":"error","message":"too long","code":400}"#,
        br#"{"detail":"too long"}"#,
        br#"{"error":{"message":"too long","code":400,"type":"x"}}"#,
    ];
    for said in cases {
        assert_eq!(UpstreamFault::from_status(400, said).message, "too long");
    }
    let other: [&[u8]; 4] = [b"<html>", b"", b"\xff", br#"{"error":[1]}"#];
    for said in other {
        let fault = UpstreamFault::from_status(400, said);
        assert_eq!(fault.message, "the model's server refused the request");
    }
}

#[test]
fn a_context_that_is_exceeded_has_the_code_that_clients_know() {
    let vendors = [
        r#"{"error":{"message":"m","code":"context_length_exceeded"}}"#,
        r#"{"error":{"code":400,"message":"m","type":"exceed_context_size_error"}}"#,
    ];
    for said in vendors {
        let fault = UpstreamFault::from_status(400, said.as_bytes());
        assert_eq!((fault.status, fault.code), (400, FaultCode::ContextLengthExceeded));
    }
}

#[test]
fn limits_and_overload_keep_their_status() {
    let status = |s| {
        let fault = UpstreamFault::from_status(s, b"{}");
        (fault.status, fault.code, fault.retryable)
    };

    assert_eq!(status(429), (429, FaultCode::UpstreamRateLimited, true));
    assert_eq!(status(503), (503, FaultCode::UpstreamError, true));
    assert_eq!(status(529), (503, FaultCode::UpstreamError, true));
    assert_eq!(status(504), (504, FaultCode::UpstreamError, true));
}

#[test]
fn the_log_gets_a_bounded_line() {
    let said = "x\n".repeat(100_000);

    let fault = UpstreamFault::from_status(500, said.as_bytes());

    assert_eq!(fault.log.chars().count(), 600);
    assert!(!fault.log.contains('\n'));
}

#[test]
fn the_shape_of_anthropic_has_its_own_types_and_keeps_our_code() {
    let body = |status| ErrorBody {
        status,
        code: "some_code",
        title: "Title",
        detail: "it is so",
        fix: Some("Do this."),
        param: Some("max_tokens"),
        request_id: Some("req_1"),
        retry_after_s: None,
    };
    let kind = |status| {
        let body: serde_json::Value = serde_json::from_slice(&body(status).anthropic()).unwrap();
        body["error"]["type"].as_str().unwrap().to_owned()
    };

    let whole: serde_json::Value = serde_json::from_slice(&body(400).anthropic()).unwrap();
    assert_eq!(
        whole,
        serde_json::json!({
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "message": "It is so. Do this.",
                "code": "some_code",
                "param": "max_tokens",
                "fix": "Do this.",
            },
            "request_id": "req_1",
        })
    );
    let kinds = [401, 402, 403, 404, 405, 413, 429, 500, 502, 504, 529].map(kind);
    assert_eq!(
        kinds,
        [
            "authentication_error",
            "billing_error",
            "permission_error",
            "not_found_error",
            "invalid_request_error",
            "request_too_large",
            "rate_limit_error",
            "api_error",
            "api_error",
            "timeout_error",
            "overloaded_error",
        ]
    );
    let event = String::from_utf8(body(500).anthropic_event().to_vec()).unwrap();
    assert!(
        event.starts_with("event: error\ndata: {\"type\":\"error\"") && event.ends_with("}\n\n")
    );
}
