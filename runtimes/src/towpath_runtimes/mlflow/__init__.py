"""The server for model folders of MLflow, of the flavours that carry no code."""
