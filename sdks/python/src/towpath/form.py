"""Forms with a file (`multipart/form-data`), written to a file of their own. Pure but for that."""

import shutil
from collections.abc import Iterable
from pathlib import Path


def write(
    out: Path,
    file: Path | bytes,
    *,
    boundary: str,
    fields: Iterable[tuple[str, str]],
    filename: str,
) -> None:
    """Write the fields and then the file, which is never held whole."""
    head = "content-disposition: form-data; name="
    with out.open("wb") as form:
        for name, value in fields:
            form.write(f'--{boundary}\r\n{head}"{name}"\r\n\r\n{value}\r\n'.encode())
        quoted = filename.replace("\\", "_").replace('"', "_").replace("\r", "_").replace("\n", "_")
        form.write(f'--{boundary}\r\n{head}"file"; filename="{quoted}"\r\n\r\n'.encode())
        if isinstance(file, Path):
            with file.open("rb") as source:
                shutil.copyfileobj(source, form)
        else:
            form.write(file)
        form.write(f"\r\n--{boundary}--\r\n".encode())


def content_type(boundary: str) -> dict[str, str]:
    """Return the header that goes with it."""
    return {"content-type": f"multipart/form-data; boundary={boundary}"}
