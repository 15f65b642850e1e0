"""The KServe Open Inference Protocol v2 over HTTP, and how requests get to a model."""
