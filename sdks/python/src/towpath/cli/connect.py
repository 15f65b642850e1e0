"""`towpath connect`: how to set up what people already use."""

import shlex
from contextlib import suppress

import click

from towpath.cli import output
from towpath.cli.group import Misuse
from towpath.cli.session import Session, json_option, session
from towpath.cli.snippets import NOT_SPOKEN, SNIPPETS, TITLES
from towpath.errors import TowpathError


@click.command(short_help="Print how to connect a program, ready to paste.")
@click.argument("what", required=False)
@click.option("--model", metavar="NAME", help="Name to put into the text.")
@json_option
@session
def command(current: Session, what: str | None, model: str | None, as_json: bool) -> None:
    """
    Print how to connect a program to Towpath, ready to paste.

    eval "$(towpath connect shell)" sets the variables of OpenAI clients.
    """
    if what is None:
        overview(as_json=as_json)
        return
    name = what.lower()
    if name in NOT_SPOKEN:
        raise TowpathError(
            f"cannot connect `{name}`: {NOT_SPOKEN[name]}", fix="`towpath connect openai`"
        )
    if name not in SNIPPETS:
        raise Misuse(f"nothing known about `{what}`", fix="`towpath connect` lists what is")
    credentials = current.credentials()
    variables = {
        "OPENAI_BASE_URL": f"{credentials.address}/v1",
        "OPENAI_API_KEY": credentials.api_key,
        "TOWPATH_ADDRESS": credentials.address,
        "TOWPATH_API_KEY": credentials.api_key,
    }
    text = (
        "\n".join(f"export {key}={shlex.quote(value)}" for key, value in variables.items())
        if name == "shell"
        else SNIPPETS[name].format(
            address=credentials.address, base_url=variables["OPENAI_BASE_URL"],
            model=model or first_model(current),
        )
    )  # fmt: skip
    if as_json:
        output.document({"what": name, "address": credentials.address, "text": text})
        return
    output.data(text)
    if name != "shell":
        output.note()
        output.note('The key comes from the environment: eval "$(towpath connect shell)"')


def overview(*, as_json: bool) -> None:
    """Write what there is."""
    if as_json:
        output.document({"items": [{"what": name, "about": text} for name, text in TITLES.items()]})
        return
    for name, text in TITLES.items():
        output.data(f"{name:<12} {text}")
    output.note()
    output.note('Next: eval "$(towpath connect shell)", then `towpath connect NAME`')


def first_model(current: Session) -> str:
    """Return a name that can be called, or a stand-in when the platform is away."""
    with suppress(TowpathError):
        names = sorted(
            (one.context_length is None, one.id)
            for one in current.client(max_retries=0).models.list()
        )
        if names:
            return names[0][1]
    return "MODEL"
