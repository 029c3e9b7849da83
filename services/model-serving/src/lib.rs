//! Loads ONNX models and serves them over the Open Inference Protocol.
