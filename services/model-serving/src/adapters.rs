//! The engines behind the ports; the only folder that names their crates.

pub mod huggingface_tokenizers;
pub mod onnx_file;
pub mod onnxruntime;
