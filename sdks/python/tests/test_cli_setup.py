"""Commands that set up and examine: login, connect, health, doctor, completion, help."""

import importlib
import json
import subprocess
import sys
from email.utils import formatdate
from pathlib import Path
from typing import Any

import click
import pytest
from inline_snapshot import snapshot

from towpath.auth import read_profiles
from towpath.cli.main import COMMANDS, towpath
from towpath.cli.snippets import NOT_SPOKEN, SNIPPETS, TITLES
from towpath.testing import Answer

KEY = "tp_sandbox_" + "k" * 38
READY = {"ready": True, "reasons": [], "warnings": [], "revision": 4}
MODEL = {"id": "smollm2", "object": "model", "context_length": 4096}


def test_login_tries_the_key_and_saves_it_for_its_owner_alone(cli: Any, home: Path) -> None:
    cli.fake.answer("GET", "/v1/models", Answer(body={"data": []}))

    done = cli("login", "--key-stdin", "--address", f"{cli.fake.address}/v1/", stdin=f"{KEY}\n")

    assert (done.code, done.out, done.err) == snapshot(
        (
            0,
            "",
            """\
Saved as profile `default` in HOME/config.toml: a sandbox key at http://towpath.
Next: `towpath models`
""",
        )
    )
    assert read_profiles(home / "config.toml") == {
        "default": {"address": cli.fake.address, "key": KEY}
    }
    assert (home / "config.toml").stat().st_mode & 0o777 == 0o600


def test_login_keeps_what_else_is_in_the_file(cli: Any, home: Path) -> None:
    (home / "config.toml").write_text(
        '# mine\n[profiles.default]\nkey = "old"\n\n[profiles.admin]\nadmin_key = "a"\n'
    )
    cli.fake.answer("GET", "/v1/models", Answer(body={"data": []}))

    cli("login", "--key-stdin", "--address", cli.fake.address, stdin=f"{KEY}\n")

    text = (home / "config.toml").read_text()
    assert text.startswith("# mine\n")
    assert read_profiles(home / "config.toml") == {
        "admin": {"admin_key": "a"},
        "default": {"address": cli.fake.address, "key": KEY},
    }


def test_login_saves_nothing_when_the_key_is_refused(cli: Any, home: Path) -> None:
    error = {"error": {"message": "This key is not known.", "code": "invalid_api_key"}}
    cli.fake.answer("GET", "/v1/models", Answer(401, error))

    done = cli("login", "--key-stdin", "--address", cli.fake.address, stdin=f"{KEY}\n")

    assert done.code == 1
    assert not (home / "config.toml").exists()


def test_login_without_a_terminal_does_not_ask(cli: Any) -> None:
    done = cli("login")

    assert (done.code, done.out, done.err) == snapshot(
        (
            2,
            "",
            """\
error: no terminal to ask for the key

fix: `towpath login --key-stdin < FILE`
""",
        )
    )


def test_connect_shell_is_made_for_eval(cli: Any) -> None:
    done = cli("connect", "shell")

    assert (done.code, done.out, done.err) == snapshot(
        (
            0,
            """\
export OPENAI_BASE_URL=http://towpath/v1
export OPENAI_API_KEY=tp_sandbox_kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk
export TOWPATH_ADDRESS=http://towpath
export TOWPATH_API_KEY=tp_sandbox_kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk
""",
            "",
        )
    )


def test_connect_lists_what_it_knows(cli: Any) -> None:
    done = cli("connect")

    assert (done.code, done.out, done.err) == snapshot(
        (
            0,
            """\
shell        the variables that OpenAI clients and Towpath's own read
curl         a call by hand
python       Towpath's client for Python
openai       OpenAI's client for Python
typescript   OpenAI's client for TypeScript and JavaScript
go           OpenAI's client for Go
java         OpenAI's client for Java
langchain    LangChain
llamaindex   LlamaIndex
litellm      LiteLLM
aider        the coding agent aider
continue     the editor extension Continue
""",
            """\

Next: eval "$(towpath connect shell)", then `towpath connect NAME`
""",
        )
    )


@pytest.mark.parametrize("name", sorted(set(SNIPPETS) - {"shell"}))
def test_every_text_has_the_model_and_never_the_key(name: str, cli: Any) -> None:
    cli.fake.answer("GET", "/v1/models", Answer(body={"data": [MODEL]}))

    done = cli("connect", name)

    assert done.code == 0
    assert "smollm2" in done.out
    assert KEY not in done.out
    assert "{" not in name


def test_connect_python_is_a_program(cli: Any) -> None:
    cli.fake.answer("GET", "/v1/models", Answer(body={"data": [MODEL]}))

    for name in ("python", "openai", "langchain", "llamaindex", "litellm"):
        compile(cli("connect", name).out, name, "exec")


@pytest.mark.parametrize("name", NOT_SPOKEN)
def test_what_is_not_spoken_yet_is_said(name: str, cli: Any) -> None:
    done = cli("connect", name)

    assert done.code == 1
    assert "not spoken yet" in done.err


def test_every_text_is_listed() -> None:
    assert set(TITLES) == set(SNIPPETS)


def test_health_shows_what_is_not_ready(cli: Any) -> None:
    reasons = [{"code": "no_table", "message": "No routing table was received yet."}]
    cli.fake.answer("GET", "/readyz", Answer(503, {"ready": False, "reasons": reasons}))

    done = cli("health")

    assert (done.code, done.out, done.err) == snapshot(
        (
            1,
            """\
✗ not ready  http://towpath
  No routing table was received yet.
""",
            """\

Next: `towpath doctor`
""",
        )
    )


def well(cli: Any) -> None:
    now = formatdate(usegmt=True)
    cli.fake.answer("GET", "/healthz", Answer(body={"status": "ok"}, headers={"date": now}))
    cli.fake.answer("GET", "/readyz", Answer(body=READY))
    cli.fake.answer("GET", "/v1/models", Answer(body={"data": [MODEL]}))
    ready = {"id": "dep_1", "name": "smollm2", "environment": "sandbox", "phase": "Ready"}
    cli.fake.answer("GET", "/api/v1/deployments", Answer(body={"items": [ready], "next": None}))


def test_health_shows_what_is_served(cli: Any) -> None:
    well(cli)

    done = cli("health")

    assert (done.code, done.out, done.err) == snapshot(
        (
            0,
            """\
✓ ready  http://towpath

deployment  environment  phase  because
smollm2     sandbox      Ready
""",
            """\

All in order. Next: `towpath models`
""",
        )
    )


def test_health_as_json_has_both(cli: Any) -> None:
    well(cli)

    done = cli("health", "--json")

    assert done.code == 0
    assert json.loads(done.out)["deployments"][0]["phase"] == "Ready"


def test_doctor_finds_all_well(cli: Any) -> None:
    well(cli)

    done = cli("doctor")

    assert (done.code, done.out, done.err) == snapshot(
        (
            0,
            """\
✓ configuration  the environment (HOME/config.toml)
✓ address        http://towpath
✓ clock          agrees with the platform's
✓ platform       ready
✓ key            a sandbox key, accepted
✓ deployments    1 ready
""",
            """\

All is well. Next: `towpath models`
""",
        )
    )


def test_doctor_names_each_trouble_with_its_fix(cli: Any) -> None:
    well(cli)
    cli.fake.answer(
        "GET", "/healthz", Answer(headers={"date": "Mon, 23 Nov 2020 00:00:00 GMT"}, body={})
    )
    cli.fake.answer(
        "GET", "/readyz", Answer(503, {"reasons": [{"message": "The journal is full."}]})
    )
    error = {"error": {"message": "This key is revoked.", "code": "invalid_api_key"}}
    cli.fake.answer("GET", "/v1/models", Answer(401, error))

    done = cli("doctor", "--json")

    checks = json.loads(done.out)["checks"]
    assert done.code == 1
    assert [(check["name"], check["ok"], bool(check["fix"])) for check in checks] == snapshot(
        [
            ("configuration", True, False),
            ("address", True, False),
            ("clock", False, True),
            ("platform", False, True),
            ("key", False, True),
        ]
    )


def test_doctor_without_a_key_says_how_to_get_one(
    cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    well(cli)
    monkeypatch.delenv("TOWPATH_API_KEY")

    done = cli("doctor")

    assert done.code == 1
    assert (done.out) == snapshot("""\
✗ configuration  no API key for http://towpath
                 fix: run `towpath login`, set TOWPATH_API_KEY, or pass `api_key=`; a key is made with `towpath keys create`
✓ address        http://towpath
✓ clock          agrees with the platform's
✓ platform       ready
""")


def test_an_unknown_command_gets_the_nearest_one(cli: Any) -> None:
    done = cli("modles")
    inner = cli("keys", "creat")

    assert (done.code, done.out, done.err) == snapshot(
        (
            2,
            "",
            """\
error: no command `towpath modles`

fix: did you mean `models`?  all: `towpath --help`
""",
        )
    )
    assert (inner.code, inner.err) == snapshot(
        (
            2,
            """\
error: no command `towpath keys creat`

fix: did you mean `create`?  all: `towpath keys --help`
""",
        )
    )


def test_an_unknown_option_is_misuse(cli: Any) -> None:
    done = cli("models", "--jsn")

    assert (done.code, done.out, done.err) == snapshot(
        (
            2,
            "",
            """\
error: no such option '--jsn'. Did you mean '--json'?

fix: `towpath models list --help`
""",
        )
    )


def test_without_a_command_the_help_is_shown(cli: Any) -> None:
    done = cli()

    assert done.code == 0
    assert done.out.startswith("Usage: towpath")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_what_the_table_says(name: str) -> None:
    module, help_line = COMMANDS[name]
    command = importlib.import_module(f"towpath.cli.{module}").command

    assert command.short_help == help_line


def leaves(command: click.Command, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if isinstance(command, click.Group):
        with click.Context(command) as ctx:
            return [
                leaf
                for name in command.list_commands(ctx)
                for leaf in leaves(command.get_command(ctx, name), (*path, name))
                if (path or (name,))[0] in COMMANDS
            ]
    return [path]


@pytest.mark.parametrize("path", leaves(towpath), ids=" ".join)
def test_every_command_has_help(path: tuple[str, ...], cli: Any) -> None:
    done = cli(*path, "--help")

    assert done.code == 0
    assert done.err == ""
    assert max(map(len, done.out.splitlines())) <= 80


def test_commands_of_the_server_say_where_they_come_from(
    cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("towpath.cli.plugins.entry_points", lambda **_: ())  # not installed here

    done = cli("up")

    assert (done.code, done.out, done.err) == snapshot(
        (
            2,
            "",
            """\
error: `towpath up` is a command of the server, which is not installed here

fix: `pip install towpath-server`, or `make up` in a clone of the repository
""",
        )
    )


def test_commands_of_others_get_their_arguments_as_they_are(
    cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    got: list[list[str]] = []

    class Point:
        name = "up"

        @staticmethod
        def load() -> Any:
            return lambda arguments: got.append(arguments) or 3

    monkeypatch.setattr("towpath.cli.plugins.entry_points", lambda **_: (Point(),))  # a stand-in

    done = cli("up", "--data", "x", "--help")

    assert (done.code, got) == (3, [["--data", "x", "--help"]])


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_its_completion(shell: str, cli: Any) -> None:
    done = cli("completion", shell)

    assert done.code == 0
    assert "_TOWPATH_COMPLETE" in done.out


def test_help_loads_neither_http_nor_yaml_nor_any_noun() -> None:
    program = (
        "import sys; from towpath.cli.main import run; run(['--help']);"
        "print(*[name for name in sys.modules"
        " if name in {'httpx2', 'yaml', 'rich', 'pydantic', 'asyncio', 'towpath.cli.keys'}],"
        " file=sys.stderr)"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    )

    assert done.stderr.strip() == ""
