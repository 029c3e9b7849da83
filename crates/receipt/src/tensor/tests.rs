use proptest::prelude::*;

use super::*;

fn tensor(name: &str, datatype: &str, shape: &[u64], contents: &[u8]) -> Tensor {
    Tensor {
        name: name.to_owned(),
        datatype: datatype.to_owned(),
        shape: shape.to_vec(),
        contents: contents.to_vec(),
    }
}

fn whole() -> Tensors {
    let numbers: Vec<u8> = [1.5_f32, -0.0].iter().flat_map(|it| it.to_le_bytes()).collect();
    let words = [&2_u32.to_le_bytes()[..], b"ab", &0_u32.to_le_bytes()].concat();
    let scalar = tensor("flag", "BOOL", &[], &[1]);
    Tensors::try_new(vec![
        tensor("x", "FP32", &[1, 2], &numbers),
        tensor("words", "BYTES", &[2], &words),
        scalar,
    ])
    .unwrap()
}

fn inference() -> Inference {
    Inference { inputs: whole(), outputs: vec!["y".to_owned()] }
}

/// Computed by other code: `python3 testdata/digests.py`.
#[test]
fn golden_digests() {
    assert_eq!(
        inference().digest().to_string(),
        "4606d34cb879808762eebc63219e4da05034e006c701f1df0b6afcdd14d5fcca"
    );
    assert_eq!(
        whole().digest().to_string(),
        "5fab1decb038bd8b2cbda558ca1a6cbd361494c8da1025f2470a9982a64599de"
    );
}

#[test]
fn the_byte_form_round_trips() {
    assert_eq!(Inference::from_bytes(&inference().to_bytes()), Ok(inference()));
    assert_eq!(whole().content_bytes(), 8 + 10 + 1);
    let longer = [inference().to_bytes(), vec![0]].concat();
    assert_eq!(Inference::from_bytes(&longer), Err(TensorError::Malformed));
    let bytes = inference().to_bytes();
    for length in 0..bytes.len() {
        assert!(Inference::from_bytes(&bytes[..length]).is_err(), "{length}");
    }
}

#[test]
fn what_does_not_go_together_is_refused_by_name() {
    let refused = |tensor: Tensor| Tensors::try_new(vec![tensor]).unwrap_err();
    assert_eq!(Tensors::try_new(Vec::new()), Err(TensorError::None));
    let many = (0..1025).map(|at| tensor(&at.to_string(), "INT8", &[1], &[0])).collect();
    assert_eq!(Tensors::try_new(many), Err(TensorError::TooMany));
    assert_eq!(refused(tensor("", "FP32", &[1], &[0; 4])), TensorError::Name(0));
    assert_eq!(refused(tensor("a\n", "FP32", &[1], &[0; 4])), TensorError::Name(0));
    assert_eq!(refused(tensor("x", "FP33", &[1], &[0; 4])), TensorError::Datatype("x".to_owned()));
    assert_eq!(refused(tensor("x", "INT8", &[1; 17], &[0])), TensorError::Shape("x".to_owned()));
    assert_eq!(refused(tensor("x", "INT8", &[u64::MAX, 2], &[0])), TensorError::Shape("x".to_owned()));
    assert_eq!(refused(tensor("x", "FP64", &[u64::MAX], &[0])), TensorError::Shape("x".to_owned()));
    assert_eq!(
        refused(tensor("x", "FP32", &[2], &[0; 4])),
        TensorError::Contents { name: "x".to_owned(), found: 4, wanted: 8 }
    );
    let elements = TensorError::Elements("x".to_owned());
    for wrong in [&[][..], &[1, 0, 0, 0], &[0, 0, 0, 0, 0, 0, 0, 0], &[0, 0, 0, 0, 9], &[255; 4]] {
        assert_eq!(refused(tensor("x", "BYTES", &[1], wrong)), elements, "{wrong:?}");
    }
    let one = || tensor("x", "INT8", &[1], &[0]);
    assert_eq!(Tensors::try_new(vec![one(), one()]), Err(TensorError::Twice("x".to_owned())));
    // Nothing at all is a shape, too.
    assert!(Tensors::try_new(vec![tensor("x", "FP32", &[0, 7], &[])]).is_ok());
}

#[test]
fn a_model_takes_what_it_describes() {
    let spec = |name: &str, datatype: &str, shape: &[Option<u64>]| TensorSpec {
        name: name.to_owned(),
        datatype: datatype.to_owned(),
        shape: shape.to_vec(),
    };
    let inputs =
        [spec("x", "FP32", &[None, Some(2)]), spec("words", "BYTES", &[Some(2)]), spec("flag", "BOOL", &[])];
    let outputs = [spec("y", "FP32", &[None]), spec("z", "FP32", &[None])];
    let check = |inputs: &[TensorSpec]| inference().check(inputs, &outputs);
    assert_eq!(check(&inputs), Ok(()));
    let with = |index: usize, other: TensorSpec| {
        let mut inputs = inputs.clone();
        inputs[index] = other;
        check(&inputs).unwrap_err().to_string()
    };
    assert_eq!(check(&inputs[..2]), Err(Misfit::NoInput("flag".to_owned())));
    let more = [&inputs[..], &[spec("more", "BOOL", &[])]].concat();
    assert_eq!(check(&more), Err(Misfit::Missing("more".to_owned())));
    assert_eq!(with(0, spec("x", "FP64", &[None, None])), "input \"x\" must be of type FP64");
    assert_eq!(with(0, spec("x", "FP32", &[None, Some(3)])), "input \"x\" must have the shape [any, 3]");
    assert_eq!(with(2, spec("flag", "BOOL", &[Some(1)])), "input \"flag\" must have the shape [1]");
    let wants = |names: &[&str]| {
        let outputs_wanted = names.iter().map(|name| (*name).to_owned()).collect();
        Inference { outputs: outputs_wanted, ..inference() }.check(&inputs, &outputs)
    };
    assert_eq!((wants(&[]), wants(&["z", "y"])), (Ok(()), Ok(())));
    for wrong in [&["w"][..], &["y", "y"]] {
        assert!(matches!(wants(wrong), Err(Misfit::NoOutput(_))), "{wrong:?}");
    }
}

proptest! {
    #[test]
    fn no_two_requests_have_one_form(
        name in "[a-z]{1,3}", other in "[a-z]{1,3}", contents in prop::collection::vec(any::<u8>(), 0..6),
    ) {
        let length = u64::try_from(contents.len()).unwrap();
        let of = |name: &str, shape: &[u64]| {
            let inputs = Tensors::try_new(vec![tensor(name, "UINT8", shape, &contents)]).unwrap();
            Inference { inputs, outputs: Vec::new() }
        };
        let (one, same) = (of(&name, &[length]), of(&other, &[length]));
        prop_assert_eq!(one.digest() == same.digest(), name == other);
        prop_assert_ne!(of(&name, &[length]).digest(), of(&name, &[1, length]).digest());
    }

    #[test]
    fn reading_anything_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Inference::from_bytes(&bytes);
        let _ = Tensors::read(&mut bytes.as_slice());
    }
}
