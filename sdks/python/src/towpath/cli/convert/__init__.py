"""`towpath convert FILE`: a manifest out of another platform's resource."""

from pathlib import Path

import click
import yaml

from towpath.cli import output
from towpath.cli.convert import gpustack, kserve, kubeai
from towpath.cli.convert.conversion import Conversion, Reader
from towpath.errors import ConfigurationError

_MAX_BYTES = 1 << 20
_FORMS = (kserve, kubeai, gpustack)


@click.command(short_help="Make manifests out of other platforms' resources.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--project", metavar="TEAM/NAME", help="Whose the deployments are.")
def command(file: Path, project: str | None) -> int:
    """
    Make manifests out of KServe InferenceServices, KubeAI Models or GPUStack models.

    The manifests go to stdout; all that has no place in them is named, in the
    manifest and on stderr. Nothing is sent.
    """
    made = [convert(one, project) for one in documents(file)]
    output.data("---\n".join(one.text() for one in made).rstrip("\n"))
    for one in made:
        output.note(f"{one.name}: {len(one.left)} of its settings have no place in a manifest")
    output.note("Look at what is marked, then: `towpath deploy FILE --dry-run`")
    return 0


def documents(file: Path) -> list[dict[str, object]]:
    """
    Read every resource of a YAML or JSON file; lists are opened.

    Raises:
        ConfigurationError: It cannot be read, or holds none.
    """
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise ConfigurationError(f"{file} is larger than such a file ever is")
        found = list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(
            f"{file} cannot be read: {error}", fix="name a YAML or JSON file"
        ) from error
    opened: list[dict[str, object]] = []
    for one in found:
        items = one.get("items") if isinstance(one, dict) else one
        opened += [
            item for item in (items if isinstance(items, list) else [one]) if isinstance(item, dict)
        ]
    if not opened:
        raise ConfigurationError(f"{file} holds no resource", fix="name the file of one")
    return opened


def convert(document: dict[str, object], project: str | None) -> Conversion:
    """
    Convert one resource.

    Raises:
        ConfigurationError: It is of a kind that is not known.
    """
    for form in _FORMS:
        if form.is_one(document):
            return form.convert(Reader(document), project)
    kind = document.get("kind") or "a resource without `kind`"
    raise ConfigurationError(
        f"{kind} cannot be converted",
        code="kind_unknown",
        fix="it takes KServe's InferenceService, KubeAI's Model and GPUStack's models",
    )
