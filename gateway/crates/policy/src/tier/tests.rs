use serde_json::{Value as Json, json};

use super::*;

const FACTS: Facts<'_> = Facts {
    input_tokens: 100,
    max_tokens: 0,
    has_tools: false,
    response_format: "text",
    difficulty: "",
    stream: false,
    labels: &[],
    project: "prj_1",
    team: "team_1",
    environment: "sandbox",
    key: "key_1",
};

fn tiers(rules: &Json) -> Result<Tiers, String> {
    let tier = json!({
        "levels": [
            {"name": "cheap", "target": "tgt_a"},
            {"name": "middle", "target": "tgt_b"},
            {"name": "strong", "target": "tgt_c"},
        ],
        "rules": rules,
    });
    Tiers::compile(&serde_json::from_value(tier).unwrap(), &["tgt_c", "tgt_a", "tgt_b"])
}

fn rule(when: &str) -> Result<Tiers, String> {
    tiers(&json!([{"name": "r", "when": when, "level": "strong"}]))
}

fn chosen(when: &str, facts: &Facts<'_>) -> bool {
    rule(when).unwrap().decide(facts).level == 2
}

#[test]
fn rules_see_every_fact() {
    let labels = [("tier".to_owned(), "gold".to_owned())];
    let facts = Facts {
        input_tokens: 9_000,
        max_tokens: 50,
        has_tools: true,
        response_format: "json_schema",
        difficulty: "hard",
        stream: true,
        labels: &labels,
        ..FACTS
    };
    for when in [
        "input_tokens > 8000",
        "max_tokens == 50",
        "has_tools && stream",
        "response_format == 'json_schema'",
        "difficulty in ['hard', 'expert']",
        "labels.tier == 'gold'",
        "has(labels.tier)",
        "project == 'prj_1' && team.startsWith('team') && environment != 'production'",
        "key == 'key_1' ? size(difficulty) > 3 : false",
    ] {
        assert!(chosen(when, &facts), "{when}");
        assert!(!chosen(&format!("!({when})"), &facts), "{when}");
    }
}

#[test]
fn the_first_rule_that_is_true_decides_and_else_the_first_level() {
    let tiers = tiers(&json!([
        {"name": "long", "when": "input_tokens > 8000", "level": "strong"},
        {"name": "tools", "when": "has_tools", "level": "middle"},
        {"name": "labelled", "when": "labels.tier == 'gold'", "level": "strong"},
    ]))
    .unwrap();
    let decide = |facts: Facts<'_>| {
        let decision = tiers.decide(&facts);
        (decision.level, decision.rule.map(str::to_owned))
    };

    assert_eq!(decide(FACTS), (0, None), "a label that is not there is no error of the call");
    assert_eq!(decide(Facts { has_tools: true, ..FACTS }), (1, Some("tools".to_owned())));
    let both = Facts { has_tools: true, input_tokens: 9_000, ..FACTS };
    assert_eq!(decide(both), (2, Some("long".to_owned())));
}

#[test]
fn levels_are_asked_from_the_chosen_one_up_then_down() {
    let tiers = tiers(&json!([])).unwrap();

    assert_eq!(tiers.order(0), [1, 2, 0]);
    assert_eq!(tiers.order(1), [2, 0, 1]);
    assert_eq!(tiers.order(2), [0, 2, 1]);
    assert_eq!(tiers.level_of(0), Some(2));
}

#[test]
fn what_cannot_be_a_rule_is_refused_with_its_place() {
    let cases = [
        ("input_tokens >", "rule `r`: line 1, column "),
        (
            "input_token > 1",
            "column 1: `input_token` is no fact of a request; did you mean `input_tokens`",
        ),
        ("true && colour == 'red'", "column 9: `colour` is no fact of a request"),
        ("project.matches('(a+)+$')", "`matches` is not allowed"),
        ("[1, 2].all(x, x > 0)", "loops and structures are not allowed"),
        ("input_tokens + 1", "gives neither true nor false"),
        ("'yes'", "gives neither true nor false"),
        (&"!".repeat(33), "is nested too deeply"),
        (&format!("{}1{} == 1", "(".repeat(17), ")".repeat(17)), "is nested too deeply"),
        (&format!("{}1 > 0", "1+".repeat(200)), "is too large"),
        (&format!("difficulty == '{}'", "x".repeat(1_024)), "at most 1024 are read"),
    ];
    for (when, said) in cases {
        let why = rule(when).unwrap_err();
        assert!(why.contains(said), "{when}: {why}");
    }
}

#[test]
fn levels_and_rules_must_fit_the_endpoint() {
    let wrong = |tier: Json| {
        let tier = serde_json::from_value(tier).unwrap();
        Tiers::compile(&tier, &["tgt_a", "tgt_b"]).unwrap_err()
    };
    let level = |name: &str, target: &str| json!({"name": name, "target": target});

    assert!(wrong(json!({"levels": [level("a", "tgt_a")]})).contains("2 to 8 levels, not 1"));
    let foreign = json!({"levels": [level("a", "tgt_a"), level("b", "tgt_x")]});
    assert!(wrong(foreign).contains("level `b` is none of the endpoint's targets"));
    let twice = json!({"levels": [level("a", "tgt_a"), level("a", "tgt_b")]});
    assert!(wrong(twice).contains("occurs twice"));
    let levels = json!([level("a", "tgt_a"), level("b", "tgt_b")]);
    let lost = json!({"levels": levels, "rules": [{"name": "r", "when": "true", "level": "c"}]});
    assert!(wrong(lost).contains("rule `r` names no level: `c`"));
}
