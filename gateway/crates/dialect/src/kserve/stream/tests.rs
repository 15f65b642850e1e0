use proptest::prelude::*;

use super::*;
use crate::kserve::grpc::framed;

/// A framed `ModelStreamInferResponse` with an inference of this id, and tokens where it counts some.
fn answer(id: &str, tokens: Option<i64>) -> Bytes {
    let mut inner = Vec::new();
    write_text(3, id, &mut inner);
    let mut parameters = Parameters::default();
    if let Some(tokens) = tokens {
        parameters.put("output_tokens", Value::Int(tokens));
    }
    write_parameters(4, &parameters, &mut inner);
    framed(inner.len(), |out| write_sized(2, &inner, out))
}

fn joined(answers: &[Bytes]) -> Bytes {
    answers.concat().into()
}

#[test]
fn whole_answers_pass_untouched_and_the_last_count_of_tokens_holds() {
    let all = joined(&[answer("a", Some(1)), answer("b", None), answer("c", Some(5))]);
    let mut follower = StreamFollower::new(1_000);
    let passed = follower.feed(all.clone());

    assert_eq!(passed.out, all);
    assert_eq!(passed.out.as_ptr(), all.as_ptr());
    assert_eq!(follower.usage().unwrap().output_tokens, Some(5));
    assert_eq!((follower.started(), follower.pending()), (true, 0));
}

#[test]
fn words_end_the_stream_behind_the_answers_before_them() {
    let error = StreamError {
        text: "no such tensor",
        message_id: "b",
        code: "",
        request_id: "",
        retry_after_s: None,
    };
    let first = answer("a", None);
    let mut follower = StreamFollower::new(1_000);
    let passed = follower.feed(joined(&[first.clone(), error.framed(), first.clone()]));
    let fault = passed.fault.unwrap();

    assert_eq!(passed.out, first);
    assert_eq!((fault.status, fault.retryable), (400, false));
    assert_eq!(fault.message, "no such tensor");
}

#[test]
fn an_error_names_the_message_and_our_record() {
    let error = StreamError {
        text: "wait",
        message_id: "mine",
        code: "rate_limit_exceeded",
        request_id: "req_1",
        retry_after_s: Some(3),
    };
    let Frame::Message(message) = Frame::read(&error.framed()) else { panic!("no message") };
    let mut fields = Fields::of(&message);
    assert_eq!(fields.next().unwrap().unwrap().field.text().unwrap(), "wait");
    let inner = fields.next().unwrap().unwrap().field.sized().unwrap().clone();
    let (mut id, mut parameters) = (String::new(), Parameters::default());
    let mut fields = Fields::of(&inner);
    while let Some(member) = fields.next().unwrap() {
        match member.number {
            3 => id = member.field.text().unwrap(),
            4 => assert!(parameter(&member.field, "", &mut parameters).is_ok()),
            _ => panic!("field {}", member.number),
        }
    }

    assert_eq!(id, "mine");
    let text = |name: &str| parameters.get(name).cloned();
    assert_eq!(text("towpath_code"), Some(Value::Text("rate_limit_exceeded".into())));
    assert_eq!(text("towpath_request_id"), Some(Value::Text("req_1".into())));
    assert_eq!(text("towpath_retry_after_s"), Some(Value::Int(3)));
    assert_eq!(text(LAST), Some(Value::Bool(true)));
}

#[test]
fn an_answer_larger_than_may_be_is_never_put_together() {
    let large = answer(&"x".repeat(2_000), None);
    for pieces in [1, 10, large.len()] {
        let mut follower = StreamFollower::new(1_000);
        let size = large.len().div_ceil(pieces);
        let fault = large.chunks(size).find_map(|piece| {
            let passed = follower.feed(Bytes::copy_from_slice(piece));
            assert!(passed.out.is_empty() && follower.pending() <= 1_000 + size);
            passed.fault
        });
        assert!(fault.is_some(), "in {pieces} pieces");
    }
}

#[test]
fn the_id_of_a_message_is_found_and_missed_without_harm() {
    let message = framed(0, |out| {
        write_text(1, "m", out);
        write_text(3, "call-7", out);
    });

    assert_eq!(message_id(&message), "call-7");
    assert_eq!(message_id(&Bytes::from_static(b"\0\0\0\0\x09")), "");
    assert_eq!(message_id(&framed(0, |out| out.push(0xff))), "");
}

proptest! {
    /// However a stream is cut into chunks, the same answers pass, none in part.
    #[test]
    fn chunks_do_not_matter(sizes in prop::collection::vec(0_usize..300, 0..8), step in 1_usize..40) {
        let answers: Vec<Bytes> = sizes.iter().map(|size| answer(&"x".repeat(*size), None)).collect();
        let all = joined(&answers);
        let mut follower = StreamFollower::new(1_000);
        let mut out = Vec::new();
        for piece in all.chunks(step) {
            let passed = follower.feed(Bytes::copy_from_slice(piece));
            prop_assert!(passed.fault.is_none());
            out.extend_from_slice(&passed.out);
            let whole = answers.iter().scan(0, |sum, a| { *sum += a.len(); Some(*sum) });
            prop_assert!(out.is_empty() || whole.clone().any(|end| end == out.len()));
        }
        prop_assert_eq!(out, all.to_vec());
        prop_assert_eq!(follower.pending(), 0);
    }

    /// Any bytes are followed without a panic.
    #[test]
    fn any_bytes_are_followed(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut follower = StreamFollower::new(100);
        follower.feed(bytes.clone().into());
        message_id(&bytes.into());
    }
}
