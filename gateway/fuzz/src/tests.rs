//! The functions over their seeds and over inputs made of them: the same ones in every run.

mod generate;

use std::fs;
use std::path::Path;

use generate::Inputs;

use super::*;

/// Enough to walk every branch that a changed byte or word reaches, in about a second each.
const GENERATED: usize = 3_000;

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(name);
    let mut paths: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

fn run(name: &str, generated: usize, function: fn(&[u8])) {
    let seeds = seeds(name);
    assert!(!seeds.is_empty(), "no seeds for {name}");
    for seed in &seeds {
        function(seed);
    }
    for input in Inputs::of(&seeds).take(generated) {
        let caught = std::panic::catch_unwind(|| function(&input));
        assert!(caught.is_ok(), "{name} fails for {}", input.escape_ascii());
    }
}

#[test]
fn requests_of_any_bytes_are_read_or_refused() {
    run("request", GENERATED, fuzz_request);
}

#[test]
fn answers_of_any_bytes_are_read_or_refused() {
    run("answer", GENERATED, fuzz_answer);
}

#[test]
fn predictions_of_any_bytes_are_read_or_refused() {
    run("predict", GENERATED, fuzz_predict);
}

#[test]
fn streams_of_any_bytes_are_followed_the_same_in_any_pieces() {
    run("stream", GENERATED, fuzz_stream);
}

#[test]
fn requests_of_any_bytes_are_told_in_every_dialect_or_refused() {
    run("translate", GENERATED, fuzz_translate);
}

#[test]
fn replies_of_any_bytes_are_told_in_every_dialect_or_refused() {
    run("reply", GENERATED, fuzz_reply);
}

#[test]
fn segments_of_any_bytes_yield_no_record_that_was_not_written() {
    run("segment", GENERATED, fuzz_segment);
}

#[test]
fn journals_open_over_damaged_segments() {
    // Each opens a journal on disk.
    run("recovery", 100, fuzz_recovery);
}

#[test]
fn tables_of_any_bytes_are_taken_or_refused_whole() {
    run("table", GENERATED, fuzz_table);
}

#[test]
fn inferences_of_any_bytes_are_read_or_refused() {
    run("tensors", GENERATED, fuzz_tensors);
}

#[test]
fn messages_of_any_bytes_are_read_or_refused() {
    run("protobuf", GENERATED, fuzz_protobuf);
}

#[test]
fn forms_of_any_bytes_are_read_or_refused() {
    run("multipart", GENERATED, fuzz_multipart);
}

#[test]
fn every_function_has_a_program_for_the_fuzzer() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz_targets");
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    names.sort();

    assert_eq!(
        names,
        [
            "answer",
            "multipart",
            "predict",
            "protobuf",
            "recovery",
            "reply",
            "request",
            "segment",
            "stream",
            "table",
            "tensors",
            "translate"
        ]
    );
}
