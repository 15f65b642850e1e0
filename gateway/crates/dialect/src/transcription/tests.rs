use towpath_wire::routing::Operation;

use super::*;
use crate::answer::Usage;
use crate::request::RequestCode;
use crate::stream::End;
use crate::{Receiver, Request};

const KIND: &str = "multipart/form-data; boundary=b";

/// A form with these fields and a file of sound after them.
fn form(fields: &[(&str, &str)]) -> Bytes {
    let mut body = String::new();
    for (name, value) in fields {
        body +=
            &format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    }
    body += "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\nRIFF\r\n--b--\r\n";
    body.into()
}

fn read(fields: &[(&str, &str)]) -> Result<TranscriptionRequest, RequestError> {
    TranscriptionRequest::read(Some(KIND), form(fields))
}

fn sent(request: &TranscriptionRequest, model: &str) -> Vec<u8> {
    let form = request.for_upstream(model, None).unwrap();
    assert_eq!(form.content_type, KIND);
    std::iter::once(form.body).chain(form.rest).flatten().collect()
}

#[test]
fn the_model_is_renamed_and_nothing_else_changes() {
    let request = read(&[("prompt", "Mr. Öz"), ("model", "m"), ("stream", "true")]).unwrap();

    assert_eq!((request.model(), request.stream(), request.sound_bytes()), ("m", true, 4));
    assert_eq!(
        sent(&request, "m"),
        form(&[("prompt", "Mr. Öz"), ("model", "m"), ("stream", "true")])
    );
    assert_eq!(
        sent(&request, "vendor/whisper"),
        form(&[("prompt", "Mr. Öz"), ("model", "vendor/whisper"), ("stream", "true")])
    );
}

#[test]
fn the_file_is_not_copied_to_rename_the_model() {
    let request = read(&[("model", "m")]).unwrap();
    let rewritten = request.for_upstream("other", None).unwrap();
    let (body, last) = (request.body().as_ptr_range(), rewritten.rest.last().unwrap());

    assert!(body.contains(&rewritten.body.as_ptr()));
    assert!(body.contains(&last.as_ptr()));
}

#[test]
fn what_is_missing_twice_or_of_a_wrong_value_is_refused_by_name() {
    let refused = |fields: &[(&str, &str)]| {
        let error = read(fields).unwrap_err();
        (error.code, error.param.unwrap_or_default())
    };
    let missing = |name: &str| (RequestCode::MissingField, name.to_owned());
    let invalid = |name: &str| (RequestCode::InvalidField, name.to_owned());

    assert_eq!(refused(&[]), missing("model"));
    assert_eq!(refused(&[("model", "")]), invalid("model"));
    assert_eq!(refused(&[("model", "m"), ("model", "n")]), invalid("model"));
    assert_eq!(refused(&[("model", "m\r\nx")]), invalid("model"));
    assert_eq!(refused(&[("model", "m"), ("stream", "maybe")]), invalid("stream"));
    assert_eq!(refused(&[("model", "m"), ("file", "x")]), invalid("file"));

    let part = |disposition: &str| {
        let body =
            format!("--b\r\nContent-Disposition: form-data; {disposition}\r\n\r\nm\r\n--b--");
        TranscriptionRequest::read(Some(KIND), body.into()).unwrap_err().param.unwrap()
    };
    assert_eq!(part("name=model"), "file");
    assert_eq!(part("name=model; filename=x"), "model");
}

#[test]
fn a_target_that_lists_its_fields_gets_no_others() {
    let fields = [
        ("model", "m"),
        ("response_format", "text"),
        ("temperature", "0.2"),
        ("timestamp_granularities[]", "word"),
    ];
    let request = read(&fields).unwrap();
    let rule = |maximum| FieldRule { maximum: Some(maximum), ..FieldRule::default() };
    let checked = |rules: &[(&str, FieldRule)]| {
        let rules = rules.iter().map(|(name, rule)| ((*name).to_owned(), rule.clone())).collect();
        request
            .for_upstream("m", Some(&rules))
            .map(|_| ())
            .map_err(|error| (error.code, error.param.unwrap()))
    };
    let any = FieldRule::default();

    assert_eq!(
        checked(&[("temperature", rule(1.0)), ("timestamp_granularities", any.clone())]),
        Ok(())
    );
    let unlisted = (RequestCode::UnsupportedField, "timestamp_granularities".to_owned());
    assert_eq!(checked(&[("temperature", rule(1.0))]), Err(unlisted));
    let beyond = (RequestCode::InvalidField, "temperature".to_owned());
    assert_eq!(
        checked(&[("temperature", rule(0.1)), ("timestamp_granularities", any)]),
        Err(beyond)
    );
}

#[test]
fn people_see_a_form_without_its_sound() {
    let shown = read(&[("model", "m")]).unwrap().without_files();
    let shown = String::from_utf8(shown.to_vec()).unwrap();

    assert!(shown.contains("\r\n\r\nm\r\n") && shown.contains("\r\n\r\n[4 bytes]\r\n"), "{shown}");
    assert!(!shown.contains("RIFF"));
}

#[test]
fn only_the_dialect_that_knows_it_is_asked() {
    let request = Request::Transcription(read(&[("model", "m")]).unwrap());
    assert_eq!(request.operation(), Operation::Transcriptions);
    let sent =
        request.for_target(&Receiver::new(towpath_wire::routing::Dialect::Openai, "m")).unwrap();
    assert_eq!((sent.path, sent.content_type.as_deref()), ("/audio/transcriptions", Some(KIND)));
    let anthropic = Receiver::new(towpath_wire::routing::Dialect::Anthropic, "m");
    assert_eq!(request.for_target(&anthropic).unwrap_err().code, RequestCode::UnsupportedOperation);
}

fn used(body: &str, format: Format) -> (Option<Usage>, u64) {
    metered(body.as_bytes(), format).unwrap()
}

#[test]
fn usage_is_read_in_each_shape_that_servers_have() {
    let tokens = r#"{"text":"hello","usage":{"type":"tokens","input_tokens":14,"input_token_details":{"text_tokens":4,"audio_tokens":10},"output_tokens":3,"total_tokens":17}}"#;
    let usage = Usage {
        input_tokens: Some(14),
        audio_input_tokens: Some(10),
        output_tokens: Some(3),
        ..Usage::default()
    };
    assert_eq!(used(tokens, Format::Json), (Some(usage), 5));
    let duration =
        r#"{"text":"hello","duration":"27.5","usage":{"type":"duration","seconds":27.5}}"#;
    assert_eq!(used(duration, Format::Json), (None, 5));
    let chat = r#"{"text":"hello","usage":{"prompt_tokens":14,"completion_tokens":3}}"#;
    let usage = Usage { input_tokens: Some(14), output_tokens: Some(3), ..Usage::default() };
    assert_eq!(used(chat, Format::Json), (Some(usage), 5));
    assert_eq!(used(r#"{"text":"hello"}"#, Format::Json), (None, 5));
    assert_eq!(used("hello", Format::Text), (None, 5));
    assert_eq!(used("{ laughs }", Format::Text), (None, 10));
}

#[test]
fn what_is_no_transcript_is_a_fault() {
    for body in ["", "hello", "<html>", "{}", r#"{"error":{"message":"no"}}"#, "[]"] {
        assert!(metered(body.as_bytes(), Format::Json).is_err(), "{body}");
    }
    for body in ["<!DOCTYPE html>", r#"{"error":{"message":"no"}}"#, r#"{"error":"no"}"#] {
        assert!(metered(body.as_bytes(), Format::Text).is_err(), "{body}");
    }
    assert!(metered(b"\xff", Format::Text).is_err());
}

/// Follow a stream byte by byte: what left, what it used, and whether it was whole.
fn followed(stream: &str) -> (String, TranscriptMeter, bool) {
    let mut meter = TranscriptMeter::new(true);
    let mut out = Vec::new();
    for byte in stream.as_bytes() {
        let fed = meter.feed(Bytes::copy_from_slice(&[*byte]));
        out.extend_from_slice(&fed.out);
        if fed.done || fed.fault.is_some() {
            break;
        }
    }
    let last = meter.finish(End::Clean);
    let whole = last.is_ok();
    out.extend_from_slice(&last.unwrap_or_default());
    (String::from_utf8(out).unwrap(), meter, whole)
}

#[test]
fn typed_events_pass_and_are_counted() {
    let stream = concat!(
        "data: {\"type\":\"transcript.text.delta\",\"delta\":\"I \"}\n\n",
        "data: {\"type\":\"transcript.text.delta\",\"delta\":\"see\"}\n\n",
        "data: {\"type\":\"transcript.text.done\",\"text\":\"I see\",\"usage\":{\"type\":\"tokens\",\"input_tokens\":9,\"output_tokens\":2}}\n\n",
    );
    let (out, meter, whole) = followed(stream);
    let usage = meter.usage().unwrap();

    assert!(whole);
    assert_eq!(out, stream);
    assert_eq!((usage.input_tokens, usage.output_tokens), (Some(9), Some(2)));
    assert_eq!((meter.text(), meter.content_events()), ("I see", 2));
}

#[test]
fn chunks_with_choices_pass_and_are_counted() {
    let stream = concat!(
        "data: {\"object\":\"transcription.chunk\",\"choices\":[{\"delta\":{\"content\":\"I see\"},\"finish_reason\":null}]}\n\n",
        "data: {\"object\":\"transcription.chunk\",\"choices\":[{\"delta\":{\"content\":\"\"},\"finish_reason\":\"stop\"}]}\n\n",
        "data: {\"object\":\"transcription.chunk\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2}}\n\n",
        "data: [DONE]\n\n",
    );
    let (out, meter, whole) = followed(stream);
    let usage = meter.usage().unwrap();

    assert!(whole);
    assert_eq!(out, stream);
    assert_eq!((usage.input_tokens, usage.output_tokens), (Some(9), Some(2)));
    assert_eq!(meter.text(), "I see");
}

#[test]
fn a_stream_without_its_last_event_is_cut() {
    let torn = "data: {\"type\":\"transcript.text.delta\",\"delta\":\"I \"}\n\n";
    assert!(!followed(torn).2);
    assert!(!followed("").2);
    assert!(!followed(": waiting\n\n").2);
    assert!(!followed("data: {\"error\":{\"message\":\"no\"}}\n\n").2);
}
