"""`towpath init PATH`: write the manifest for a model that lies here."""

from pathlib import Path

import click

from towpath.cli import formats, modelfile, output
from towpath.cli.modelfile import Found
from towpath.cli.session import Session, session
from towpath.errors import ConfigurationError, TowpathError

_MIB = 1 << 20
# Who serves a format, where there is one runtime that does by default.
_RUNTIMES = {"gguf": "llama.cpp", "onnx": "onnx", "sklearn": "sklearn", "mlflow": "mlflow"}
# Weights in memory, and what an engine needs beside them.
_FACTOR = {"gguf": 1.2, "onnx": 2.0}
_BESIDE_MIB = 256
_STEP_MIB = 64


@click.command(short_help="Write a manifest for a model that lies here.")
@click.argument("path", type=click.Path(path_type=Path), default=Path(), metavar="[PATH]")
@click.option("--name", metavar="NAME", help="Its name; of the file otherwise.")
@click.option("--project", metavar="TEAM/NAME", help="Whose it is.")
@click.option(
    "-o",
    "--output",
    "target",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("towpath.yaml"),
    show_default=True,
    help="The file to write.",
)
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@session
def command(
    current: Session,
    *,
    path: Path,
    name: str | None,
    project: str | None,
    target: Path,
    force: bool,
) -> None:
    """
    Write a commented manifest for a GGUF, ONNX or skops file, or a model's folder.

    Nothing is sent. `towpath deploy` uploads the model and deploys it.
    """
    found = modelfile.look(path)
    if target.exists() and not force:
        raise ConfigurationError(
            f"{target} is there already", fix="name another file with `-o`, or add `--force`"
        )
    text = schema_line(current) + manifest(
        found, name or formats.model_name(found.path) or "model", project, target
    )
    target.write_text(text, encoding="utf-8")
    output.note(f"Wrote {target}: {found.summary}, {output.bytes_size(found.size)}.")
    if found.format not in _RUNTIMES:
        output.note(f"Name a runtime that serves `{found.format}` in it.")
    output.note("Look at `access` and `smokeTests`, then: `towpath deploy`")


def schema_line(current: Session) -> str:
    """Return the comment by which editors find the manifest's schema, where an address is known."""
    try:
        address = current.credentials(keyless=True).address
    except TowpathError:
        return ""
    return f"# yaml-language-server: $schema={address}/api/v1/schemas/model-deployment.json\n"


def manifest(found: Found, name: str, project: str | None, target: Path) -> str:
    """Return the text of a manifest."""
    memory = needed_mib(found)
    runtime = _RUNTIMES.get(found.format)
    lines = [
        "apiVersion: towpath.dev/v1alpha1",
        "kind: ModelDeployment",
        "metadata:",
        f"  name: {name}",
        f"  project: {project}" if project else "  # project: team/name   # `towpath projects`",
        "spec:",
        "  model:",
        f"    uri: {uri(found.path, target)}   # uploaded by its digest",
        f"    format: {found.format}",
        *([f"  runtime: {{name: {runtime}}}"] if runtime else ["  # runtime: {name: …}"]),
        "  resources:",
        f'    requests: {{cpu: "1", memory: {memory}Mi}}   # weights, and what an engine needs',
        f"    limits: {{memory: {2 * memory}Mi}}             # it is ended above this",
        "  scaling: {minReplicas: 1, maxReplicas: 1}",
        "  access:",
        "    visibility: project        # project | team | organization",
        "    maxDataClass: internal     # the most sensitive data it may receive",
    ]
    return "\n".join([*lines, *smoke_tests(found)]) + "\n"


def smoke_tests(found: Found) -> list[str]:
    """Return a first test, ready to be switched on."""
    request = '{inputs: ["…"]}'
    if found.format == "gguf":
        request = '{messages: [{role: user, content: "Say yes."}], max_tokens: 8}'
    return [
        "  # smokeTests:                # asked before it takes traffic",
        "  #   - name: answers",
        f"  #     request: {request}",
        "  #     expect: {status: 200, maxLatency: 10s}",
    ]


def needed_mib(found: Found) -> int:
    """Estimate the memory of a replica, in MiB, rounded up."""
    needed = found.size * _FACTOR.get(found.format, 1.5) / _MIB + _BESIDE_MIB
    return int(-(-needed // _STEP_MIB) * _STEP_MIB)


def uri(path: Path, target: Path) -> str:
    """Name the model relative to the manifest, where it lies below."""
    try:
        relative = path.resolve().relative_to(target.resolve().parent)
    except ValueError:
        return f"file:{path.resolve()}"
    return f"file:./{relative.as_posix()}" if relative.parts else "file:."
