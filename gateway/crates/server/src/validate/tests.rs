use super::run;

fn answers(questions: &str) -> String {
    let mut output = Vec::new();
    run(questions.as_bytes(), &mut output).unwrap();
    String::from_utf8(output).unwrap()
}

#[test]
fn a_good_entity_is_taken_without_what_it_names() {
    let question =
        r#"{"entities":[{"kind":"project","id":"prj_1","value":{"name":"a","team":"team_1"}}]}"#;

    assert_eq!(answers(question), "{\"ok\":true}\n");
}

#[test]
fn a_bad_entity_is_refused_with_the_reason() {
    let question = r#"{"entities":[{"kind":"price","id":"prc_1","value":{"currency":"euro","input_nano_per_million":1,"output_nano_per_million":1}}]}"#;

    assert_eq!(
        answers(question),
        "{\"ok\":false,\"reason\":\"price `prc_1`: currency `euro` is not three capital letters\"}\n"
    );
}

#[test]
fn what_is_no_question_is_answered_and_the_next_one_too() {
    let answers = answers("nonsense\n\n{\"entities\":[]}\n");
    let lines: Vec<_> = answers.lines().collect();

    assert!(lines[0].starts_with(r#"{"ok":false,"reason":"the question cannot be read"#));
    assert_eq!(lines[1..], [r#"{"ok":true}"#]);
}
