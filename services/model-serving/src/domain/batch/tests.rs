use super::*;
use crate::domain::datatype::Datatype;
use crate::domain::manifest::Manifest;
use crate::domain::settings::{PadFill, PaddedInput};
use crate::domain::signature::TensorSpec;

fn named_tensor(name: &str, shape: &[i64], values: Vec<f32>) -> NamedTensor {
    NamedTensor { name: name.to_owned(), tensor: Tensor::try_new(shape.to_vec(), values.into()).unwrap() }
}

fn text(ids: &[u32]) -> EncodedText {
    EncodedText { ids: ids.to_vec(), type_ids: vec![1; ids.len()], offsets: Vec::new(), truncated: false }
}

#[test]
fn rows_are_joined_and_given_back_to_their_requests() {
    let first = [named_tensor("x", &[1, 2], vec![1.0, 2.0])];
    let second = [named_tensor("x", &[2, 2], vec![3.0, 4.0, 5.0, 6.0])];
    let joined = gather(&[&first, &second], None).unwrap();
    assert_eq!(joined[0].tensor.shape(), [3, 2]);
    let answers = scatter(joined, &[1, 2], &[], None).unwrap();
    assert_eq!(answers, [first.to_vec(), second.to_vec()]);
}

#[test]
fn only_tensors_alike_but_for_their_rows_share_a_key() {
    let key = |rows: i64, width: i64, outputs: &[&str]| {
        let values = vec![0.0; usize::try_from(rows * width).unwrap()];
        let outputs: Vec<String> = outputs.iter().map(|name| (*name).to_owned()).collect();
        BatchKey::of_tensors(&[named_tensor("x", &[rows, width], values)], &outputs, None)
    };
    assert_eq!(key(1, 2, &["y"]), key(3, 2, &["y"]));
    assert_ne!(key(1, 2, &["y"]), key(1, 3, &["y"]));
    assert_ne!(key(1, 2, &["y"]), key(1, 2, &["z"]));
    assert_eq!(key(0, 2, &["y"]), None);
    let unequal = [named_tensor("a", &[1], vec![0.0]), named_tensor("b", &[2], vec![0.0; 2])];
    assert_eq!(BatchKey::of_tensors(&unequal, &[], None), None);
    assert_eq!(BatchKey::of_tensors(&[named_tensor("a", &[], vec![0.0])], &[], None), None);
}

#[test]
fn texts_are_padded_to_the_longest_of_the_batch() {
    let manifest = "kind = \"embedding\"\ntokenizer = \"t.json\"\nmax_input_tokens = 9\ndimensions = 1\noutput = \"y\"\n\
        [inputs]\nids = \"ids\"\nmask = \"mask\"\ntype_ids = \"types\"";
    let Manifest::Embedding(manifest) = Manifest::parse(manifest).unwrap() else { panic!("no embedding") };
    let (short, long) = (text(&[7]), text(&[4, 5, 6]));
    let inputs = pad_texts(&[&short, &long], &manifest).unwrap();
    let expected: [(&str, Vec<i64>); 3] = [
        ("ids", vec![7, 0, 0, 4, 5, 6]),
        ("mask", vec![1, 0, 0, 1, 1, 1]),
        ("types", vec![1, 0, 0, 1, 1, 1]),
    ];
    for (input, (name, values)) in inputs.into_iter().zip(expected) {
        assert_eq!(input.name, name);
        assert_eq!(input.tensor, Tensor::try_new(vec![2, 3], values.into()).unwrap());
    }
    let left = EmbeddingManifest { padding_side: PadSide::Left, ..manifest };
    let expected: [Vec<i64>; 3] = [vec![0, 0, 7, 4, 5, 6], vec![0, 0, 1, 1, 1, 1], vec![0, 0, 1, 1, 1, 1]];
    for (input, values) in pad_texts(&[&short, &long], &left).unwrap().into_iter().zip(expected) {
        assert_eq!(input.tensor, Tensor::try_new(vec![2, 3], values.into()).unwrap());
    }
}

/// `x` is padded with nines, its mask `m` with zeros, and `y` is as long as both.
fn padding() -> Padding {
    let spec = |name: &str, shape: &[i64]| TensorSpec {
        name: name.to_owned(),
        datatype: Datatype::Fp32,
        shape: shape.to_vec(),
    };
    let signature = Signature {
        inputs: vec![spec("x", &[-1, 2, -1]), spec("m", &[-1, -1]), spec("z", &[-1, -1])],
        outputs: vec![spec("y", &[-1, -1])],
    };
    let input = |name: &str, fill| PaddedInput { name: name.to_owned(), side: PadSide::Right, fill };
    let inputs = [input("x", PadFill::Value(9.0)), input("m", PadFill::Mask)];
    let trimmed = Trimmed { name: "y".to_owned(), axis: 1 };
    Padding::of(&inputs, &signature).unwrap().with_outputs(vec![trimmed])
}

#[test]
fn rows_of_unequal_length_share_a_key_where_they_are_padded() {
    let request = |x: i64, m: i64, z: i64| {
        let tensor = |name, shape: &[i64]| {
            let count = usize::try_from(shape.iter().product::<i64>()).unwrap();
            named_tensor(name, shape, vec![1.0; count])
        };
        [tensor("x", &[1, 2, x]), tensor("m", &[1, m]), tensor("z", &[1, z])]
    };
    let padding = padding();
    let key = |inputs: &[NamedTensor]| BatchKey::of_tensors(inputs, &[], Some(&padding));
    assert_eq!(key(&request(3, 3, 1)), key(&request(5, 5, 1)));
    assert_ne!(key(&request(3, 3, 1)), key(&request(3, 3, 2)), "z is not padded");
    assert_eq!(key(&request(3, 4, 1)), None, "which length?");
    let widened = padding.widen(&request(1, 1, 1), 2).unwrap();
    assert_eq!(widened[0], named_tensor("x", &[1, 2, 2], vec![1.0, 9.0, 1.0, 9.0]));
    assert_eq!(widened[1], named_tensor("m", &[1, 2], vec![1.0, 0.0]));
    assert_eq!(widened[2], named_tensor("z", &[1, 1], vec![1.0]));
    let answers =
        vec![named_tensor("y", &[1, 2], vec![5.0, 6.0]), named_tensor("w", &[1, 2], vec![7.0, 8.0])];
    let trimmed = padding.trim(answers, 1).unwrap();
    assert_eq!(trimmed[0], named_tensor("y", &[1, 1], vec![5.0]));
    assert_eq!(trimmed[1], named_tensor("w", &[1, 2], vec![7.0, 8.0]), "its length is its own");
}
