"""What a local file or folder is, by its first bytes, before anything is sent."""

from towpath.cli.modelfile.found import Found as Found
from towpath.cli.modelfile.found import Tensor as Tensor
from towpath.cli.modelfile.look import look as look

__all__ = ["Found", "Tensor", "look"]
