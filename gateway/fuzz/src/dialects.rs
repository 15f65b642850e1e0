//! Bodies, answers and streams of the dialects that are translated.

use bytes::Bytes;
use towpath_dialect::{
    End, Inline, MessagesRequest, OpenAiRequest, Quirks, Receiver, Reply, Request,
    ResponsesRequest, Stamp,
};
use towpath_wire::routing::{Dialect, Operation};

use crate::is_json;

fn stamp() -> Stamp {
    Stamp { id: "0".to_owned(), created_s: 0 }
}

/// Targets of both dialects, plain and with what their requests may need besides.
fn receivers() -> [Receiver<'static>; 4] {
    let openai = Receiver::new(Dialect::Openai, "up \"model\"");
    let anthropic = Receiver::new(Dialect::Anthropic, "up \"model\"");
    [
        openai,
        Receiver { quirks: Quirks::of(&["responses", "developer_as_system"]), ..openai },
        anthropic,
        Receiver { quirks: Quirks::of(&["json_schema_by_tool"]), ..anthropic },
    ]
}

/// A caller's body in each dialect: read or refused, and what is sent to any target is JSON that reads again.
pub fn fuzz_translate(data: &[u8]) {
    let body = || Bytes::copy_from_slice(data);
    let requests = [
        OpenAiRequest::read(Operation::Chat, body()).map(Request::OpenAi),
        MessagesRequest::read(Operation::Chat, body()).map(Request::Messages),
        ResponsesRequest::read(body()).map(Request::Responses),
    ];
    for request in requests.into_iter().flatten() {
        assert!(is_json(data), "a body that is not JSON was read");
        if let Ok(remote) = request.remote() {
            let png = Inline { media_type: "image/png", bytes: Bytes::from_static(b"png") };
            let content: Vec<_> = remote.into_iter().map(|one| (one, png.clone())).collect();
            let left = request.with_inline(&content).and_then(|inlined| inlined.remote());
            assert_eq!(left, Ok(Vec::new()), "an image is still elsewhere");
        }
        for receiver in receivers() {
            let Ok(sent) = request.for_target(&receiver) else { continue };
            let again = match sent.path {
                "/v1/messages" => MessagesRequest::read(Operation::Chat, sent.body).err(),
                "/responses" => ResponsesRequest::read(sent.body).err(),
                _ => OpenAiRequest::read(Operation::Chat, sent.body).err(),
            };
            assert_eq!(again, None, "what is sent does not read");
            assert_eq!(sent.stream, request.stream(), "a stream became none, or none a stream");
        }
    }
}

/// How answers are read, for each pair of dialects.
fn replies() -> Vec<Reply> {
    let chat = r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"x"}]}"#;
    let read = [
        OpenAiRequest::read(Operation::Chat, chat.into()).map(Request::OpenAi),
        MessagesRequest::read(Operation::Chat, chat.into()).map(Request::Messages),
        ResponsesRequest::read(r#"{"model":"m","input":"x"}"#.into()).map(Request::Responses),
    ];
    let sent = read.iter().flatten().flat_map(|request| {
        receivers().into_iter().filter_map(|receiver| request.for_target(&receiver).ok())
    });
    sent.map(|sent| sent.reply).collect()
}

/// An upstream's plain answer and its stream, in every pair: nothing leaves that is not JSON, and where
/// chunks end makes no difference.
pub fn fuzz_reply(data: &[u8]) {
    for reply in replies() {
        if let Ok(answered) = reply.answer(Bytes::copy_from_slice(data), stamp) {
            assert!(is_json(&answered.body), "an answer left that is not JSON");
        }
        let whole = follow(&reply, data, data.len().max(1));
        for size in [1, 7] {
            assert_eq!(
                follow(&reply, data, size),
                whole,
                "chunks of {size} bytes change the stream"
            );
        }
    }
}

/// The lines that leave, whether it failed, and what was counted. Blank lines between events say nothing.
fn follow(reply: &Reply, data: &[u8], size: usize) -> (Vec<Vec<u8>>, bool, u64, Option<u64>) {
    let mut follower = reply.follow(false, stamp);
    let (mut out, mut failed) = (Vec::new(), false);
    for chunk in data.chunks(size) {
        let fed = follower.feed(Bytes::copy_from_slice(chunk));
        out.extend_from_slice(&fed.out);
        failed = fed.fault.is_some();
        if failed || fed.done {
            break;
        }
    }
    if !failed {
        match follower.finish(End::Clean) {
            Ok(last) => out.extend_from_slice(&last),
            Err(_) => failed = true,
        }
    }
    let lines = out.split(|byte| *byte == b'\n').filter(|line| !line.is_empty() && *line != b"\r");
    let usage = follower.usage().and_then(|usage| usage.output_tokens);
    (lines.map(<[u8]>::to_vec).collect(), failed, follower.content_events(), usage)
}
