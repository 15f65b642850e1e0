"""What an expression may say, what it may cost, and what is said when it may not."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath_server.domains.policies.service import expressions
from towpath_server.domains.policies.service.expressions import Failed, Unusable
from towpath_server.domains.policies.service.facts import FACTS, Facts, sample

MANIFEST: dict[str, Any] = {
    "metadata": {"name": "triage", "project": "care/triage"},
    "spec": {
        "model": {"uri": "models:/triage/3", "format": "onnx"},
        "runtime": {"name": "onnx", "args": ["--threads=2"]},
        "access": {"callers": ["sandbox", "staging"]},
    },
}


def facts(**given: Any) -> Facts:
    return Facts(sample(MANIFEST, "sandbox", given))


def value(text: str, known: Facts | None = None, **variables: str) -> Any:
    read = {}
    for name, expression in variables.items():
        read[name] = expressions.read(expression, read)
    return expressions.value(expressions.read(text, read), known or facts())


def refusal(text: str, wanted: str = "", **variables: str) -> tuple[str, str]:
    with pytest.raises(Unusable) as caught:
        expressions.read(text, {n: expressions.read(e, {}) for n, e in variables.items()}, wanted)
    return caught.value.why, caught.value.fix


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("environment == 'sandbox' && !present", True),
        ("model.name + '/' + string(model.version)", "triage/3"),
        ("has(spec.resources)", False),
        ("spec.access.callers.exists(one, one == 'staging')", True),
        ("spec.access.callers.map(one, '`' + one + '`').join(', ')", "`sandbox`, `staging`"),
        ("'ON' in ['on'].map(one, one)", False),
        ("model.format.matches('^(onnx|gguf)$')", True),
        ("[1, 2, 3].filter(n, [2, 3].exists(m, m == n)).size()", 2),
        ('"// is no comment" != r"a\\d" // and this is one', True),
        ("spec['runtime']['name'] in ['onnx']", True),
    ],
)
def test_what_policies_are_made_of(text: str, expected: Any) -> None:
    assert value(text) == expected


def test_variables_stand_for_their_expressions_and_for_each_other() -> None:
    assert (
        value(
            "variables.most < 3 ? 'few: ' + variables.words : 'many'",
            callers="spec.access.callers // those who may call",
            most="variables.callers.size()",
            words="variables.callers.join('/')",
        )
        == "few: sandbox/staging"
    )
    assert value("'variables.a' + variables.a", a="'b'") == "variables.ab"


@pytest.mark.parametrize(
    ("text", "why", "fix"),
    [
        ("environmnt == 'x'", "column 1: `environmnt` is no fact", "Did you mean `environment`?"),
        ("model.licens == ''", "column 7: `model` has no `licens`", "Did you mean `licence`?"),
        ("environment.startWith('s')", "column 13: `startWith` is no function", "`startsWith`"),
        ("true &&\n nope", "line 2, column 2: `nope` is no fact", "Facts:"),
        ("variables.a", "there is no variable `a`", "none before this one"),
        ("environment ==", "line 1, column 15: Syntax error", "Correct it"),
        ("environment == 1", "line 1, column 13: found no matching overload", "Correct it"),
        ("'open", "column 1: `'` cannot be read", "texts stand in quotes"),
        ("`a`", "cannot be read", ""),
        ("[1].all(spec, true)", "`spec` is a fact, and no name", ""),
        ("google.protobuf.Any{}", "`google` is no fact", ""),
        ("dyn(1)", "`dyn` is no function", ""),
    ],
)
def test_a_refusal_says_where_and_what_to_do(text: str, why: str, fix: str) -> None:
    said, advice = refusal(text)

    assert why in said
    assert fix in advice


@pytest.mark.parametrize(
    "text",
    [
        "'" + "x" * 1_100 + "' == ''",
        "!" * 300 + "true",
        "(" * 17 + "true" + ")" * 17,
        "[" * 100 + "]" * 100,
        " || ".join(["true"] * 120),
        "true ? " * 60 + "true" + " : true" * 60,
        "[1].all(a, [1].all(b, [1].all(c, a + b + c > 0)))",
        "[1].all(a, [1].all(b, " + " && ".join(["manifest == manifest"] * 20) + "))",
        "manifest.a.map(a, " + "+".join(["model.card"] * 60) + ").size() > 0",
        "spec" + ".a" * 190,
        "\x00",
        "\u202etrue",
    ],
    ids=lambda text: text[:20].encode("unicode_escape").decode(),
)
def test_hostile_expressions_are_refused_before_they_run(text: str) -> None:
    why, fix = refusal(text)

    assert why
    assert fix


def test_variables_do_not_multiply() -> None:
    """Each of them twice the one before would be a million times the first."""
    read = {"v0": expressions.read("model.card + model.card", {})}

    with pytest.raises(Unusable):
        for number in range(1, 20):
            text = f"variables.v{number - 1} + variables.v{number - 1}"
            read[f"v{number}"] = expressions.read(text, read)


@pytest.mark.parametrize(("wanted", "text"), [("bool", "environment"), ("string", "present")])
def test_an_expression_gives_what_is_wanted_of_it(wanted: str, text: str) -> None:
    assert "does not give" in refusal(text, wanted)[0]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("spec.scaling.minReplicas > 1", "there is no `scaling`"),
        ("1 / resources.gpus > 0", "divide by zero"),
        ("model.format.matches(environment + '(')", "invalid regular expression"),
        ("spec.runtime.name > 1", "No matching overload"),
    ],
)
def test_what_cannot_be_worked_out_says_why(text: str, why: str) -> None:
    with pytest.raises(Failed) as caught:
        value(text)

    assert why.lower() in str(caught.value).lower()


def test_a_number_beyond_64_bits_is_no_crash() -> None:
    huge = facts(manifest={"spec": 1 << 70})

    with pytest.raises(Failed):
        value("manifest.spec == 1", huge)


def test_a_large_manifest_is_not_looped_over_for_long() -> None:
    large = facts(spec={"access": {"allow": [{"team": f"t{n}"} for n in range(5_000)]}})

    assert value("spec.access.allow.exists(one, one.team == 't4999')", large) is True
    with pytest.raises(Failed, match="too long"):
        value(
            "spec.access.allow.all(a, spec.access.allow.all(b, a.team != b.team || a == b))", large
        )


def test_every_fact_can_be_read_and_is_explained() -> None:
    known = facts()

    for fact in FACTS:
        assert fact.means
        assert fact.name in known.values
        for field in fact.fields:
            assert value(f"has({fact.name}.{field})", known) is True


PIECES = st.sampled_from(
    [*(fact.name for fact in FACTS), *expressions.FUNCTIONS, *"()[]{}.,:?!<>+-*/%", "&&", "||",
     "==", "!=", "in", "true", "null", "a", "variables", "'text'", '"""', "r'\\'", "1", "0x", "1e9",
     "9" * 30, "//", "\n", "\\", "\x00", "é", "\ud800", "`", "spec.model", "model.name"]
)  # fmt: skip


@given(text=st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=24).map(" ".join)))
def test_whatever_is_written_is_an_expression_or_says_why_not(text: str) -> None:
    """An expression comes from outside: it may be anything, and nothing of it may be a crash."""
    try:
        read = expressions.read(text, {})
    except Unusable as error:
        said = error.why, error.fix
    else:
        said = ("", "")
    if all(said):
        return
    assert not any(said)
    with contextlib.suppress(Failed):
        expressions.value(read, facts())
