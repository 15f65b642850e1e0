"""Answers every input as it came, under another name."""

import triton_python_backend_utils as pb_utils

NAMES = ("text", "real", "half", "whole", "byte", "truth")


class TritonPythonModel:
    """What Triton calls."""

    def execute(self, requests):
        """Answer each request."""
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        found = {name: pb_utils.get_input_tensor_by_name(request, name) for name in NAMES}
        return pb_utils.InferenceResponse(
            [pb_utils.Tensor(f"{name}_out", tensor.as_numpy()) for name, tensor in found.items()]
        )
