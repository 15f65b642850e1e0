"""Settings of where models are read from."""

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


def _cache_of_the_hubs_library() -> Path | None:
    """Find the cache that `huggingface_hub` fills, by its own rule; none where it has no folder."""
    named = os.environ  # noqa: TID251 (variables of another program, named in the description)
    home = named.get("HF_HOME") or str(
        Path(named.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface"
    )
    folder = Path(named.get("HF_HUB_CACHE") or Path(home) / "hub").expanduser()
    return folder if folder.is_dir() else None


class SourceSettings(BaseModel):
    """Where models of `hf://`, `oci://`, `s3://` and `https://` are read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hf_endpoint: str = Field(
        "https://huggingface.co",
        pattern=r"^https?://[^/?#@]+(/[^?#]*)?$",
        description="Address of the Hugging Face Hub, or of a mirror of it, where no connection "
        "names another; what is `HF_ENDPOINT` to its library.",
    )
    hf_cache_dir: Path | None = Field(
        default_factory=_cache_of_the_hubs_library,
        description="Folder in the layout of the Hub's library whose models are taken from there; "
        "default: that library's own (`HF_HUB_CACHE`, `HF_HOME/hub`, `~/.cache/huggingface/hub`), "
        "where it exists.",
    )
    hf_offline: bool = Field(
        default=False,
        description="Take models of `hf://` from that folder alone and ask nobody; what is "
        "`HF_HUB_OFFLINE` to its library.",
    )
