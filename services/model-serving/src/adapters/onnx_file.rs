//! The part of the ONNX file format that says where a model's weights are.
//!
//! Field numbers are those of `onnx.proto3` (ONNX 1.x, <https://github.com/onnx/onnx>). Everything
//! else in the file is skipped unread.

use prost::Message;

/// `TensorProto.DataLocation.EXTERNAL`.
const EXTERNAL: i32 = 1;

#[derive(Clone, Message)]
struct ModelProto {
    #[prost(message, optional, tag = "7")]
    graph: Option<GraphProto>,
    #[prost(message, repeated, tag = "20")]
    training_info: Vec<TrainingInfoProto>,
    #[prost(message, repeated, tag = "25")]
    functions: Vec<FunctionProto>,
}

#[derive(Clone, Message)]
struct TrainingInfoProto {
    #[prost(message, optional, tag = "1")]
    initialization: Option<GraphProto>,
    #[prost(message, optional, tag = "2")]
    algorithm: Option<GraphProto>,
}

#[derive(Clone, Message)]
struct FunctionProto {
    #[prost(message, repeated, tag = "7")]
    nodes: Vec<NodeProto>,
    #[prost(message, repeated, tag = "11")]
    attributes: Vec<AttributeProto>,
}

#[derive(Clone, Message)]
struct GraphProto {
    #[prost(message, repeated, tag = "1")]
    nodes: Vec<NodeProto>,
    #[prost(message, repeated, tag = "5")]
    initializers: Vec<TensorProto>,
    #[prost(message, repeated, tag = "15")]
    sparse_initializers: Vec<SparseTensorProto>,
}

#[derive(Clone, Message)]
struct NodeProto {
    #[prost(message, repeated, tag = "5")]
    attributes: Vec<AttributeProto>,
}

#[derive(Clone, Message)]
struct AttributeProto {
    #[prost(message, optional, boxed, tag = "5")]
    tensor: Option<Box<TensorProto>>,
    #[prost(message, optional, boxed, tag = "6")]
    graph: Option<Box<GraphProto>>,
    #[prost(message, repeated, tag = "10")]
    tensors: Vec<TensorProto>,
    #[prost(message, repeated, tag = "11")]
    graphs: Vec<GraphProto>,
    #[prost(message, optional, boxed, tag = "22")]
    sparse_tensor: Option<Box<SparseTensorProto>>,
    #[prost(message, repeated, tag = "23")]
    sparse_tensors: Vec<SparseTensorProto>,
}

#[derive(Clone, Message)]
struct SparseTensorProto {
    #[prost(message, optional, tag = "1")]
    values: Option<TensorProto>,
    #[prost(message, optional, tag = "2")]
    indices: Option<TensorProto>,
}

#[derive(Clone, Message)]
struct TensorProto {
    #[prost(string, tag = "8")]
    name: String,
    #[prost(int32, tag = "14")]
    data_location: i32,
}

/// Finds a tensor whose values are in another file.
///
/// The digest in a receipt is that of the model file alone; weights elsewhere would not be covered
/// by it, and the engine would open whatever path the file names.
pub fn external_tensor(model: &[u8]) -> Result<Option<String>, prost::DecodeError> {
    let model = ModelProto::decode(model)?;
    let training = model.training_info.iter().flat_map(|info| [&info.initialization, &info.algorithm]);
    let mut graphs = model.graph.iter().chain(training.flatten());
    Ok(graphs.find_map(in_graph).or_else(|| model.functions.iter().find_map(in_function)))
}

fn in_graph(graph: &GraphProto) -> Option<String> {
    let dense = graph.initializers.iter().find_map(in_tensor);
    dense
        .or_else(|| graph.sparse_initializers.iter().find_map(in_sparse))
        .or_else(|| in_attributes(graph.nodes.iter().flat_map(|node| &node.attributes)))
}

fn in_function(function: &FunctionProto) -> Option<String> {
    let in_nodes = function.nodes.iter().flat_map(|node| &node.attributes);
    in_attributes(in_nodes.chain(&function.attributes))
}

fn in_attributes<'a>(mut attributes: impl Iterator<Item = &'a AttributeProto>) -> Option<String> {
    attributes.find_map(|attribute| {
        let mut tensors = attribute.tensor.iter().map(AsRef::as_ref).chain(&attribute.tensors);
        let mut sparse = attribute.sparse_tensor.iter().map(AsRef::as_ref).chain(&attribute.sparse_tensors);
        let mut graphs = attribute.graph.iter().map(AsRef::as_ref).chain(&attribute.graphs);
        tensors
            .find_map(in_tensor)
            .or_else(|| sparse.find_map(in_sparse))
            .or_else(|| graphs.find_map(in_graph))
    })
}

fn in_sparse(sparse: &SparseTensorProto) -> Option<String> {
    sparse.values.iter().chain(&sparse.indices).find_map(in_tensor)
}

fn in_tensor(tensor: &TensorProto) -> Option<String> {
    (tensor.data_location == EXTERNAL).then(|| tensor.name.clone())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn finds_weights_in_another_file() {
        let external = include_bytes!("../../tests/data/external.onnx");
        assert_eq!(external_tensor(external), Ok(Some("weight".to_owned())));
        assert_eq!(external_tensor(include_bytes!("../../tests/data/embed.onnx")), Ok(None));
        assert!(external_tensor(include_bytes!("../../tests/data/corrupt.onnx")).is_err());
    }

    #[test]
    fn looks_into_subgraphs() {
        let tensor = TensorProto { name: "deep".to_owned(), data_location: EXTERNAL };
        let inner = GraphProto { initializers: vec![tensor], ..Default::default() };
        let branch = AttributeProto { graph: Some(Box::new(inner)), ..Default::default() };
        let node = || NodeProto { attributes: vec![branch.clone()] };
        let graph = GraphProto { nodes: vec![node()], ..Default::default() };
        let in_graph = ModelProto { graph: Some(graph), ..Default::default() };
        let function = FunctionProto { nodes: vec![node()], ..Default::default() };
        let in_function = ModelProto { functions: vec![function], ..Default::default() };
        for model in [in_graph, in_function] {
            assert_eq!(external_tensor(&model.encode_to_vec()), Ok(Some("deep".to_owned())));
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = external_tensor(&bytes);
        }
    }
}
