//! The rules of serving, free of sockets, clocks and vendor code.

pub mod datatype;
pub mod embedding;
pub mod input_error;
pub mod manifest;
pub mod model;
pub mod queue;
pub mod settings;
pub mod shape;
pub mod signature;
pub mod tensor;
pub mod text;
