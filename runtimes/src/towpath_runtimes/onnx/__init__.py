"""The ONNX model server: any ONNX model behind the KServe Open Inference Protocol v2."""
