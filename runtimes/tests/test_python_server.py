"""The server for Python classes: real processes, asked over HTTP."""

import json
import os
import textwrap
import threading

import pytest
from replicas import refused, replica

INFER = "/v2/models/subject/infer"
SIGNATURE = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
    "outputs": [
        {"name": "sum", "datatype": "FP32", "shape": [-1]},
        {"name": "who", "datatype": "BYTES", "shape": [-1]},
    ],
}
SUMS = """
    import os
    from helper import total

    class Model:
        def load(self, folder):
            self.offset = float((folder / "offset.txt").read_text())

        def predict(self, inputs):
            x = inputs["x"]
            if (x < 0).any():
                raise ValueError("x must not be negative")
            if (x > 1e6).any():
                os._exit(3)
            if (x == 13).any():
                raise RuntimeError("a secret of the model")
            print("computed", len(x))
            return {"sum": total(x) + self.offset, "who": [f"{os.getpid()}"] * len(x)}
"""


@pytest.fixture
def folder(tmp_path):
    """Return a model's folder: a class, a module of its own beside it, a file it loads."""
    made = tmp_path / "model"
    made.mkdir()
    write(made, SUMS)
    (made / "helper.py").write_text("def total(x):\n    return x.sum(axis=1)\n")
    (made / "offset.txt").write_text("10")
    (made / "signature.json").write_text(json.dumps(SIGNATURE))
    return made


def write(folder, source):
    (folder / "model.py").write_text(textwrap.dedent(source))


def body(*rows):
    x = {"name": "x", "datatype": "FP32", "shape": [len(rows), 2], "data": [list(r) for r in rows]}
    return {"inputs": [x]}


def ask(client, *rows):
    return client.post(INFER, json=body(*rows))


def outputs(response):
    assert response.status_code == 200, response.text
    return {one["name"]: one["data"] for one in response.json()["outputs"]}


@pytest.fixture
def sums(folder, tmp_path):
    with replica("python", folder, f"unix:{tmp_path}/p.sock") as running, running.client() as http:
        yield running, http


def test_a_class_is_loaded_once_and_asked_by_name(sums):
    _, http = sums

    told = http.get("/v2/models/subject").json()
    found = [outputs(ask(http, [1, 2], [3, 4])) for _ in range(2)]

    assert told == {"name": "subject", "versions": ["1"], "platform": "python", **SIGNATURE}
    assert [one["sum"] for one in found] == [[13.0, 17.0]] * 2
    assert len({who for one in found for who in one["who"]}) == 1


def test_a_value_error_is_the_callers_and_told_anything_else_is_the_models_and_logged(sums):
    running, http = sums

    theirs = ask(http, [-1, 2])
    ours = ask(http, [13, 2])

    assert (theirs.status_code, theirs.json()) == (
        400,
        {"error": "the model refused the inputs: x must not be negative"},
    )
    assert (ours.status_code, ours.json()) == (
        500,
        {"error": "the model failed on these inputs: RuntimeError; its log has more"},
    )
    running.stop()
    assert "RuntimeError: a secret of the model" in "".join(running.lines)


def test_a_process_that_ends_costs_the_call_that_ended_it_and_is_started_anew(sums):
    _, http = sums
    former = outputs(ask(http, [1, 2]))["who"]

    ended = ask(http, [1e7, 0])
    after = outputs(ask(http, [1, 2]))

    assert (ended.status_code, ended.json()) == (
        500,
        {"error": "the process with the model ended while it computed"},
    )
    assert http.get("/v2/health/ready").status_code == 200
    assert after["sum"] == [13.0]
    assert after["who"] != former


def test_what_a_model_prints_is_in_its_log_and_not_in_an_answer(sums):
    running, http = sums

    outputs(ask(http, [1, 2]))
    running.stop()

    assert "computed 1\n" in running.lines


def test_the_models_process_does_not_know_the_replicas_secret(folder, tmp_path):
    write(
        folder,
        """
        import os

        class Model:
            def predict(self, inputs):
                return {"sum": inputs["x"][:, 0], "who": [str("TOWPATH_REPLICA_SECRET" in os.environ)]}
        """,
    )
    with replica("python", folder, f"unix:{tmp_path}/p.sock") as running, running.client() as http:
        found = outputs(ask(http, [1, 2]))

    assert found["who"] == ["False"]


def test_a_call_that_does_not_end_is_ended(folder, tmp_path):
    write(
        folder,
        """
        import threading

        class Model:
            def predict(self, inputs):
                if inputs["x"][0, 0] == 7:
                    threading.Event().wait()
                return {"sum": inputs["x"][:, 0], "who": ["me"] * len(inputs["x"])}
        """,
    )
    with (
        replica("python", folder, f"unix:{tmp_path}/p.sock", "--timeout=1") as running,
        running.client() as http,
    ):
        late = ask(http, [7, 0])
        after = ask(http, [1, 0])

    assert (late.status_code, late.json()) == (
        500,
        {"error": "the process with the model did not answer within 1 s and was ended"},
    )
    assert outputs(after)["sum"] == [1.0]


JOINED = """
    import pathlib

    class Model:
        def load(self, folder):
            self.go = folder / "go"

        def predict(self, inputs):
            x = inputs["x"]
            if (x[:, 0] == 0).any():  # the first one: until the others wait
                with open(self.go) as gate:
                    gate.read()
            if (x < 0).any():
                raise ValueError("x must not be negative")
            return {"sum": x.sum(axis=1), "who": [str(len(x))] * len(x)}
"""


def test_what_waits_is_computed_together_and_each_gets_its_own_rows(folder, tmp_path):
    """While one call computes, four come in; one of them is refused, and it alone."""
    write(folder, JOINED)
    os.mkfifo(folder / "go")
    found = {}
    with replica("python", folder, f"unix:{tmp_path}/p.sock", "--batch-rows=8") as running:

        def call(first):
            with running.client() as http:
                found[first] = ask(http, [first, 1], [first, 2])

        threads = [threading.Thread(target=call, args=(n,)) for n in (0, 1, 2, 3, -4)]
        threads[0].start()
        with (folder / "go").open("w"):  # opens once the first one computes
            for thread in threads[1:]:
                thread.start()
            waits(running, 4)
        for thread in threads:
            thread.join(20)

    assert outputs(found[0])["who"] == ["2", "2"]
    for first in (1, 2, 3):
        assert outputs(found[first])["sum"] == [first + 1.0, first + 2.0]
    assert found[-4].status_code == 400


def waits(running, count):
    """Return once so many calls wait."""
    with running.client() as http:
        while f"\ntowpath_model_requests_waiting {count}\n" not in http.get("/metrics").text:
            pass


@pytest.mark.parametrize(
    ("source", "signature", "said"),
    [
        (None, SIGNATURE, "there is no `"),
        ("import nothing_of_that_name\n", SIGNATURE, "cannot be imported: ModuleNotFoundError"),
        ("raise SystemExit(0)\n", SIGNATURE, "cannot be imported: SystemExit"),
        ("Model = 3\n", SIGNATURE, "has no class `Model` with a method `predict`"),
        (
            """
            class Model:
                def load(self, folder):
                    raise OSError("no weights")
                def predict(self, inputs):
                    return {}
            """,
            SIGNATURE,
            "`Model` cannot be loaded: OSError: no weights",
        ),
        ("class Model:\n    def predict(self, inputs): ...\n", None, "signature has no `inputs`"),
        (
            "class Model:\n    def predict(self, inputs): ...\n",
            {"inputs": [{"name": "x", "datatype": "FP8", "shape": [1]}], "outputs": []},
            "names the datatype `FP8`",
        ),
        (
            """
            import os

            class Model:
                def load(self, folder):
                    os._exit(1)
                def predict(self, inputs):
                    return {}
            """,
            SIGNATURE,
            "ended as it loaded",
        ),
    ],
    ids=["none", "import", "exit", "no-class", "load", "no-signature", "datatype", "dies"],
)
def test_a_model_that_cannot_be_loaded_says_why_and_what_to_do(tmp_path, source, signature, said):
    folder = tmp_path / "model"
    folder.mkdir()
    if source is not None:
        write(folder, source)
    if signature is not None:
        (folder / "signature.json").write_text(json.dumps(signature))

    written = refused("python", folder, f"unix:{tmp_path}/p.sock")

    assert said in written
    assert "\nfix: " in written


def test_requests_are_joined_only_along_a_free_first_dimension(folder, tmp_path):
    fixed = [{**one, "shape": [2]} for one in SIGNATURE["outputs"]]
    (folder / "signature.json").write_text(json.dumps({**SIGNATURE, "outputs": fixed}))

    written = refused("python", folder, f"unix:{tmp_path}/p.sock", "--batch-rows=2")

    assert "some tensors of the model have no free first dimension" in written
    assert "\nfix: leave `batch-rows` out" in written


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ("None", "the model gave no output `sum`"),
        ("{'who': ['a']}", "the model gave no output `sum`"),
        ("{'sum': ['a'], 'who': ['a']}", "`sum` is no FP32 of shape [-1]"),
        ("{'sum': [[1.0]], 'who': ['a']}", "`sum` is no FP32 of shape [-1]"),
        ("{'sum': [1.0], 'who': [3]}", "`who` is no BYTES of shape [-1]"),
    ],
)
def test_an_answer_that_is_not_what_the_signature_says_is_the_models_fault(
    folder, tmp_path, returned, said
):
    write(folder, f"class Model:\n    def predict(self, inputs):\n        return {returned}\n")
    with replica("python", folder, f"unix:{tmp_path}/p.sock") as running, running.client() as http:
        answer = ask(http, [1, 2])

    assert answer.status_code == 500
    assert said in answer.json()["error"]
