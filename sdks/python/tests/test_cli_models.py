"""`towpath models`: push, pull, aliases, tags and cards, to the letter."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot

from towpath.cli import formats
from towpath.cli.models import mlflow
from towpath.testing import Answer

CONTENT = b"weights"
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
RESOURCE = {
    "revision": 1,
    "created_at": "2026-01-05T10:00:00Z",
    "updated_at": "2026-01-05T10:00:00Z",
}
MODEL = {
    **RESOURCE,
    "id": "mdl_1",
    "name": "triage",
    "visibility": "team",
    "description": "Finds the queue",
    "tags": {"domain": "support"},
    "latest_version": 3,
}
VERSION = {
    **RESOURCE,
    "id": "mdv_1",
    "model": "triage",
    "version": 3,
    "uri": "models:/triage/3",
    "digest": DIGEST,
    "format": "onnx",
    "size": 7,
    "files": [{"path": "model.onnx", "digest": DIGEST, "size": 7}],
    "signature": {
        "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}],
        "outputs": [{"name": "label", "datatype": "BYTES", "shape": [-1]}],
    },
    "card": "# Triage",
    "licence": "Apache-2.0",
    "lineage": {"base_model": "models:/minilm/1", "run": "r-7", "details": {"seed": 1}},
    "tags": {"stage": "trial"},
}
ALIAS = {
    **RESOURCE,
    "id": "mal_1",
    "model": "triage",
    "alias": "champion",
    "version": 3,
    "uri": "models:/triage@champion",
    "reason": "0.86 on the suite",
}


def printed(done: Any) -> tuple[int, str, str]:
    return done.code, done.out, done.err


@pytest.fixture
def shelf(cli: Any) -> None:
    cli.fake.answer("GET", "/api/v1/models", Answer(body={"items": [MODEL], "next": None}))
    cli.fake.answer("GET", "/api/v1/models/triage", Answer(body=MODEL))
    cli.fake.answer("GET", "/api/v1/models/triage/versions/3", Answer(body=VERSION))
    cli.fake.answer(
        "GET", "/api/v1/models/triage/aliases", Answer(body={"items": [ALIAS], "next": None})
    )
    cli.fake.answer("GET", "/api/v1/models/triage/aliases/champion", Answer(body=ALIAS))
    cli.fake.answer("PUT", "/api/v1/models/triage/aliases/champion", Answer(body=ALIAS))


@pytest.mark.usefixtures("shelf")
def test_the_registry_is_searched(cli: Any) -> None:
    done = cli(
        "models",
        "registered",
        "--search",
        "queue",
        "--tag",
        "a=b",
        "--tag",
        "c",
        "--format",
        "onnx",
    )

    assert cli.fake.calls[0].query == {
        "limit": "100", "search": "queue", "tag": "c", "format": "onnx"
    }  # fmt: skip
    assert printed(done) == snapshot(
        (
            0,
            """\
model   newest  visible to  changed     tags            description
triage       3  team        2026-01-05  domain=support  Finds the queue
""",
            """\

One of them: `towpath models show NAME`
""",
        )
    )


@pytest.mark.usefixtures("shelf")
def test_a_version_is_shown_by_its_alias(cli: Any) -> None:
    assert printed(cli("models", "show", "triage@champion")) == snapshot(
        (
            0,
            """\
uri          models:/triage/3
aliases      champion
description  Finds the queue
format       onnx
size         7 B in 1 file
digest       sha256:9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c
made         2026-01-05
licence      Apache-2.0
inputs       text BYTES[-1]
outputs      label BYTES[-1]
base model   models:/minilm/1
run          r-7
tags         domain=support, stage=trial
card         yes: `--card` prints it
""",
            """\

Bring it here: `towpath models pull triage/3`
""",
        )
    )


@pytest.mark.usefixtures("shelf")
def test_a_card_is_printed(cli: Any) -> None:
    assert printed(cli("models", "show", "triage", "--card")) == snapshot((0, "# Triage\n", ""))


@pytest.mark.usefixtures("shelf")
def test_an_alias_is_moved_with_its_reason(cli: Any) -> None:
    done = cli("models", "alias", "triage", "champion", "3", "--reason", "0.86 on the suite")

    assert cli.fake.calls[-1].body == {"version": 3, "reason": "0.86 on the suite"}
    assert printed(done) == snapshot(
        (
            0,
            "models:/triage@champion is version 3\n",
            "Deploy it: `uri: models:/triage@champion` in a manifest; what is deployed stays as it is\n",
        )
    )


@pytest.mark.usefixtures("shelf")
def test_a_move_without_a_reason_is_misuse(cli: Any) -> None:
    done = cli("models", "alias", "triage", "champion", "3")

    assert (done.code, cli.fake.calls) == (2, [])
    assert done.err == snapshot("""\
error: a move needs its reason

fix: `towpath models alias triage champion 3 --reason "…"`
""")


@pytest.mark.usefixtures("shelf")
def test_aliases_are_listed(cli: Any) -> None:
    assert printed(cli("models", "alias", "triage")) == snapshot(
        (
            0,
            """\
uri                      version  moved       why
models:/triage@champion        3  2026-01-05  0.86 on the suite
""",
            """\

Its log: `towpath models history triage ALIAS`
""",
        )
    )


def test_an_alias_is_deleted(cli: Any) -> None:
    cli.fake.answer("DELETE", "/api/v1/models/triage/aliases/champion", Answer(204))

    done = cli("models", "alias", "triage", "champion", "--delete", "--reason", "retired")

    assert cli.fake.calls[-1].query == {"reason": "retired"}
    assert printed(done) == snapshot((0, "", "Deleted `triage@champion`.\n"))


def test_the_log_of_an_alias_is_shown(cli: Any) -> None:
    moves = [
        {
            "id": "amv_2", "at": "2026-01-05T10:00:00Z", "from_version": 2, "to_version": 3,
            "reason": "0.86 on the suite", "by": {"kind": "user", "id": "usr_1", "name": "ada"},
        },
        {
            "id": "amv_1", "at": "2026-01-04T10:00:00Z", "from_version": None, "to_version": 2,
            "reason": "the first", "by": {"kind": "key", "id": "key_1", "name": "ci"},
        },
    ]  # fmt: skip
    cli.fake.answer(
        "GET",
        "/api/v1/models/triage/aliases/champion/history",
        Answer(body={"items": moves, "next": None}),
    )

    assert printed(cli("models", "history", "triage", "champion")) == snapshot(
        (
            0,
            """\
when        from  to  who  why
2026-01-05     2   3  ada  0.86 on the suite
2026-01-04     –   2  ci   the first
""",
            """\

Where it points: `towpath models alias triage champion`
""",
        )
    )


@pytest.mark.usefixtures("shelf")
def test_tags_of_a_version_are_changed(cli: Any) -> None:
    cli.fake.answer("PATCH", "/api/v1/models/triage/versions/3", Answer(body=VERSION))

    done = cli("models", "tag", "triage@champion", "stage=trial", "--without", "owner")

    assert cli.fake.calls[-1].body == {"tags": {"stage": "trial", "owner": None}}
    assert printed(done) == snapshot((0, "triage@champion: stage=trial\n", ""))


def test_a_file_is_pushed_with_all_that_is_said_of_it(cli: Any, home: Path) -> None:
    source, card = home / "Triage v2.onnx", home / "card.md"
    source.write_bytes(CONTENT)
    assert cli("models", "card", "triage", "--output", str(card)).code == 0
    cli.fake.answer("HEAD", f"/api/v1/blobs/{DIGEST}", Answer(404))
    cli.fake.answer("PUT", f"/api/v1/blobs/{DIGEST}", Answer(201, {}))
    made = {**VERSION, "model": "triage-v2", "uri": "models:/triage-v2/3"}
    cli.fake.answer("POST", "/api/v1/models/triage-v2/versions", Answer(201, made))

    done = cli(
        "models", "push", str(source), "--project", "care/one", "--card", str(card), "--licence",
        "MIT", "--tag", "stage=trial", "--base-model", "models:/minilm/1", "--dataset", "tickets",
        "--run", "r-7",
    )  # fmt: skip

    sent = cli.fake.calls[-1].body
    assert "## Example\n" in sent.pop("card")
    assert sent == {
        "format": "onnx",
        "files": [{"path": "Triage v2.onnx", "digest": DIGEST, "size": 7}],
        "project": "care/one",
        "licence": "MIT",
        "lineage": {"base_model": "models:/minilm/1", "dataset": "tickets", "run": "r-7"},
        "tags": {"stage": "trial"},
    }
    assert printed(done) == snapshot(
        (
            0,
            "models:/triage-v2/3\n",
            """\
HOME/Triage v2.onnx → models:/triage-v2
  ✓ 7 B sent                                                           0.0 s
Next: `uri: models:/triage-v2/3` in a manifest, or `towpath models alias triage-v2 candidate 3 --reason "…"`
""",
        )
    )


def test_a_new_model_without_a_project_says_what_is_missing(cli: Any, home: Path) -> None:
    (home / "m.onnx").write_bytes(CONTENT)
    cli.fake.answer("HEAD", f"/api/v1/blobs/{DIGEST}", Answer(200))
    problem = {"status": 404, "code": "not_found", "detail": "There is no model `m`."}
    cli.fake.answer("POST", "/api/v1/models/m/versions", Answer(404, problem))

    assert printed(cli("models", "push", str(home / "m.onnx"))) == snapshot(
        (
            1,
            "",
            """\
HOME/m.onnx → models:/m
error: there is no model `m`

fix: when the model is new, say where it belongs: `--project TEAM/PROJECT`
""",
        )
    )


def test_a_file_that_could_be_anything_needs_its_format(cli: Any, home: Path) -> None:
    (home / "weights.dat").write_bytes(CONTENT)

    done = cli("models", "push", str(home / "weights.dat"))

    assert (done.code, cli.fake.calls) == (2, [])
    assert done.err == snapshot("""\
error: what HOME/weights.dat is cannot be told by its name

fix: say it: --format, one of gguf, onnx, safetensors, sklearn, triton, mlflow, python
""")


@pytest.mark.usefixtures("shelf")
def test_a_version_is_pulled(cli: Any, home: Path) -> None:
    cli.fake.answer(
        "GET", "/api/v1/models/triage/versions/3/files/model.onnx", Answer(body=CONTENT)
    )

    done = cli("models", "pull", "triage@champion", str(home / "here"))

    assert (home / "here" / "model.onnx").read_bytes() == CONTENT
    assert printed(done) == snapshot(
        (
            0,
            "HOME/here/model.onnx\n",
            """\
models:/triage/3 → HOME/here
  ✓ 7 B received                                                       0.0 s
""",
        )
    )


def test_a_card_is_not_written_over(cli: Any, home: Path) -> None:
    (home / "card.md").write_text("mine")

    done = cli("models", "card", "triage", "--output", str(home / "card.md"))

    assert (done.code, (home / "card.md").read_text()) == (1, "mine")


def test_a_model_is_deleted(cli: Any) -> None:
    cli.fake.answer("DELETE", "/api/v1/models/triage", Answer(204))

    assert printed(cli("models", "delete", "triage")) == snapshot(
        (0, "", "Deleted `triage` with its versions.\n")
    )


@pytest.mark.parametrize(
    ("files", "form"),
    [
        (["MLmodel", "model.onnx"], "mlflow"),
        (["triage/config.pbtxt", "triage/1/model.onnx"], "triton"),
        (["config.json", "model.safetensors"], "safetensors"),
        (["model.gguf"], "gguf"),
        (["pyproject.toml"], "python"),
        (["notes.txt"], None),
    ],
)
def test_a_folder_is_recognised_by_its_files(tmp_path: Path, files: list[str], form: Any) -> None:
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()

    assert formats.guess(tmp_path) == form


ONNX = {"onnx": {"data": "model.onnx"}, "python_function": {}}


@pytest.mark.parametrize(
    ("flavours", "served"),
    [
        (ONNX, ("onnx", "model.onnx")),
        ({"onnx": {"data": "m.onnx", "external_data": "m.data"}}, ("mlflow", None)),
        (
            {"sklearn": {"pickled_model": "model.skops", "serialization_format": "skops"}},
            ("sklearn", "model.skops"),
        ),
        (
            {"sklearn": {"pickled_model": "model.pkl", "serialization_format": "cloudpickle"}},
            ("mlflow", None),
        ),
        ({"python_function": {"loader_module": "evil"}}, ("mlflow", None)),
    ],
)
def test_only_flavours_without_code_leave_their_mlflow_folder(flavours: Any, served: Any) -> None:
    assert mlflow.served_as({"flavors": flavours}) == served


@pytest.mark.parametrize(
    "inputs", ["[{}]", "nonsense", '[{"type": "double"}]', '[{"type": "map"}]']
)
def test_a_signature_that_is_not_whole_is_left_out(inputs: str) -> None:
    outputs = '[{"type": "double", "name": "y"}]'

    assert mlflow.signature({"signature": {"inputs": inputs, "outputs": outputs}}) is None


def test_columns_and_tensors_are_written_as_kserve_does() -> None:
    given = {
        "inputs": '[{"type": "string", "name": "plan"}, {"type": "long", "name": "age"}]',
        "outputs": '[{"type": "tensor", "name": "y", "tensor-spec": {"dtype": "float32", "shape": [-1, 2]}}]',
    }

    assert mlflow.signature({"signature": given}) == {
        "inputs": [
            {"name": "plan", "datatype": "BYTES", "shape": [-1]},
            {"name": "age", "datatype": "INT64", "shape": [-1]},
        ],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 2]}],
    }


@pytest.mark.parametrize("source", ["mlflow:triage", "triage/1", "mlflow:triage/x", "mlflow:a/b@c"])
def test_what_is_no_model_of_mlflow_is_misuse(cli: Any, source: str) -> None:
    done = cli("models", "import", source, "--tracking-uri", "http://127.0.0.1:9")

    assert (done.code, "names no model outside" in done.err) == (2, True)
