//! Forms with sound, and the answers to them.

use std::collections::BTreeMap;

use bytes::Bytes;
use towpath_dialect::{End, Receiver, Request, TranscriptionRequest};
use towpath_wire::routing::{Dialect, FieldRule};

/// A form, whose first line says its boundary; read, and rewritten for a target with another name. What is
/// not a form is taken for the answer to one, plain and as a stream.
pub fn fuzz_multipart(data: &[u8]) {
    let line = data.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let boundary = line.strip_prefix(b"--").unwrap_or(line);
    let kind = format!("multipart/form-data; boundary=\"{}\"", String::from_utf8_lossy(boundary));
    let Ok(request) = TranscriptionRequest::read(Some(&kind), Bytes::copy_from_slice(data)) else {
        return answered(data);
    };
    assert!(!request.model().is_empty(), "a form without a model was read");
    assert!(request.sound_bytes() > 0, "a form without sound was read");
    let shown = TranscriptionRequest::read(Some(&kind), request.without_files());
    assert!(shown.is_ok_and(|shown| shown.model() == request.model()), "what is shown is no form");
    let rules: BTreeMap<String, FieldRule> =
        [("temperature".to_owned(), FieldRule { maximum: Some(1.0), ..FieldRule::default() })]
            .into();
    for request_fields in [None, Some(&rules)] {
        let receiver =
            Receiver { request_fields, ..Receiver::new(Dialect::Openai, "upstream \"model\"") };
        let Ok(sent) = Request::Transcription(request.clone()).for_target(&receiver) else {
            continue;
        };
        let body: Vec<u8> = std::iter::once(sent.body).chain(sent.rest).flatten().collect();
        let again = TranscriptionRequest::read(sent.content_type.as_deref(), body.into());
        let same = again.is_ok_and(|again| {
            (again.model(), again.stream(), again.sound_bytes())
                == (receiver.model, request.stream(), request.sound_bytes())
        });
        assert!(same, "a rewritten form reads differently");
    }
}

const FORM: &str = "--b\r\ncontent-disposition: form-data; name=model\r\n\r\nm\r\n--b\r\ncontent-disposition: form-data; name=file; filename=a\r\n\r\nx\r\n--b--";

fn answered(data: &[u8]) {
    let kind = Some("multipart/form-data; boundary=b");
    let Ok(request) = TranscriptionRequest::read(kind, Bytes::from_static(FORM.as_bytes())) else {
        return;
    };
    let receiver = Receiver::new(Dialect::Openai, "m");
    let Ok(sent) = Request::Transcription(request).for_target(&receiver) else { return };
    let stamp = || towpath_dialect::Stamp { id: "x".to_owned(), created_s: 0 };
    if let Ok(answer) = sent.reply.answer(Bytes::copy_from_slice(data), stamp) {
        assert!(std::str::from_utf8(&answer.body).is_ok(), "an answer that is no text was taken");
    }
    let mut whole = sent.reply.follow(true, stamp);
    let mut out = whole.feed(Bytes::copy_from_slice(data)).out.to_vec();
    let ended = whole.finish(End::Clean);
    out.extend_from_slice(ended.as_deref().unwrap_or_default());
    let mut pieces = sent.reply.follow(true, stamp);
    let mut said = Vec::new();
    for byte in data {
        said.extend_from_slice(&pieces.feed(Bytes::copy_from_slice(&[*byte])).out);
    }
    let last = pieces.finish(End::Clean);
    said.extend_from_slice(last.as_deref().unwrap_or_default());
    assert_eq!(ended.is_ok(), last.is_ok(), "pieces decide whether a stream is whole");
    if ended.is_ok() {
        assert!(said == out, "pieces decide what a stream says");
    }
}
