//! Inferences of the KServe protocol: JSON with tensors after it, and protocol buffers.

use bytes::Bytes;
use towpath_dialect::kserve::{
    Answer, Body, Frame, Inference, Named, Skimmed, StreamFollower, message_id,
};

use crate::is_json;

/// The JSON of a body.
fn head(body: &Body) -> &[u8] {
    body.bytes.get(..body.json_size.unwrap_or(body.bytes.len())).unwrap_or_default()
}

/// What is accepted can be written in the other form and read again there.
fn crosses(inference: &Inference) {
    if let Ok(framed) = inference.for_grpc("m") {
        let Frame::Message(message) = Frame::read(&framed) else { unreachable!("no frame") };
        assert!(Named::read(&message).is_ok_and(|named| named.name == "m"), "the name is lost");
        assert!(Inference::from_grpc(message).is_ok(), "a written message cannot be read");
    }
    if let Ok(body) = inference.for_rest() {
        assert!(is_json(head(&body)), "a written body is not JSON");
    }
}

/// A body whose JSON ends at a place that its first two bytes choose, as request and as answer.
pub fn fuzz_tensors(data: &[u8]) {
    let Some((place, bytes)) = data.split_first_chunk::<2>() else { return };
    let place = usize::from(u16::from_le_bytes(*place));
    for json_size in [None, Some(place)] {
        let body = Body { bytes: Bytes::copy_from_slice(bytes), json_size };
        if let Ok(inference) = Inference::from_rest(body.clone()) {
            crosses(&inference);
        }
        if let Ok(answer) = Answer::from_rest(&body) {
            assert!(Skimmed::read(&body).is_ok(), "an answer that is one is not seen as one");
            if let Ok(message) = answer.for_grpc() {
                assert!(Answer::from_grpc(&message).is_ok(), "a written answer cannot be read");
            }
        }
    }
}

/// The same bytes as a request's message and as an answer's body.
pub fn fuzz_protobuf(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    if let Ok(inference) = Inference::from_grpc(bytes.clone()) {
        crosses(&inference);
    }
    let mut follower = StreamFollower::new(1 << 20);
    let passed = follower.feed(bytes.clone());
    assert!(bytes.starts_with(&passed.out), "what passed is not what came");
    message_id(&bytes);
    if let Ok(answer) = Answer::from_grpc(&bytes) {
        assert!(Answer::skim_grpc(&bytes).is_ok(), "an answer that is one is not seen as one");
        if let Ok(text) = answer.for_json() {
            assert!(is_json(&text), "a translated answer is not JSON");
        }
    }
}
