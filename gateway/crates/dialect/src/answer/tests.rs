use super::*;
use crate::errors::FaultCode;

#[test]
fn usage_is_read_with_its_details() {
    let body = br#"{"id":"x","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},
        "finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21,
        "prompt_tokens_details":{"cached_tokens":4,"cache_write_tokens":2,"audio_tokens":1},
        "completion_tokens_details":{"reasoning_tokens":8,"audio_tokens":3}}}"#;

    let answer = Answer::read(body).unwrap();

    let usage = Usage {
        input_tokens: Some(9),
        output_tokens: Some(12),
        cached_input_tokens: Some(4),
        cache_write_tokens: Some(2),
        reasoning_tokens: Some(8),
        audio_input_tokens: Some(1),
        audio_output_tokens: Some(3),
    };
    assert_eq!(answer, Answer { usage: Some(usage), content_bytes: 5 });
}

#[test]
fn a_value_that_could_not_be_counted_is_absent() {
    let body = br#"{"choices":[{"text":"ab"},{"text":"c"}],"usage":{"prompt_tokens":-1,"completion_tokens":null,
        "prompt_tokens_details":null}}"#;

    let answer = Answer::read(body).unwrap();

    assert_eq!(answer, Answer { usage: Some(Usage::default()), content_bytes: 3 });
    assert_eq!(Answer::read(br#"{"data":[],"usage":null}"#).unwrap().usage, None);
}

#[test]
fn what_is_no_answer_is_a_fault() {
    let cases: [(&[u8], &str); 7] = [
        (b"", "the model's server sent an empty answer"),
        (
            b" <html><body>504</body></html>",
            "the model's server sent a web page instead of an answer",
        ),
        (b"upstream connect error", "the model's server sent text instead of JSON"),
        (b"{\"choices\":[", "the model's server sent broken JSON"),
        (b"{\"choices\":[\"\xff\"]}", "the model's server sent text that is not UTF-8"),
        (b"{\"status\":\"ok\"}", "the model's server sent no answer of this kind"),
        (b"[]", "the model's server sent no answer of this kind"),
    ];
    for (body, expected) in cases {
        let fault = Answer::read(body).unwrap_err();

        assert_eq!(
            (fault.status, fault.code, fault.message.as_str()),
            (502, FaultCode::UpstreamError, expected)
        );
    }
}

#[test]
fn an_error_in_a_success_is_an_error() {
    let limited = br#"{"error":{"message":"slow down","code":429}}"#;
    let worded = br#"{"object":"error","message":"bad","type":"invalid_request_error"}"#;

    assert_eq!(Answer::read(limited).unwrap_err().status, 429);
    assert_eq!(Answer::read(worded).unwrap_err().message, "bad");
    assert!(Answer::read(br#"{"error":null,"choices":[]}"#).is_ok());
}
