"""Counts up to the number it is given: one answer each, none for 0."""

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """What Triton calls."""

    def execute(self, requests):
        """Answer each request as often as it asks."""
        for request in requests:
            upto = int(pb_utils.get_input_tensor_by_name(request, "upto").as_numpy()[0])
            sender = request.get_response_sender()
            for number in range(upto):
                tensor = pb_utils.Tensor("number", np.array([number], dtype=np.int32))
                sender.send(pb_utils.InferenceResponse([tensor]))
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
