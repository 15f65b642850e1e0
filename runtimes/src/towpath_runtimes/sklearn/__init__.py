"""The server for scikit-learn models, saved with skops or exported to ONNX."""
