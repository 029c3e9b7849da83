use super::*;

fn request(text: &str) -> Result<Inference, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("request.json");
    std::fs::write(&path, text).unwrap();
    read_request(&path).map_err(|failure| failure.message)
}

fn one(datatype: &str, shape: &str, data: &str) -> Result<Vec<u8>, String> {
    let text = format!(
        r#"{{"inputs": [{{"name": "x", "datatype": "{datatype}", "shape": {shape}, "data": {data}}}]}}"#
    );
    Ok(request(&text)?.inputs.into_vec().remove(0).contents)
}

#[test]
fn numbers_of_every_kind_become_bytes_and_numbers_again() {
    for (datatype, data, bytes) in [
        ("BOOL", "[true,false]", vec![1, 0]),
        ("INT8", "[-1,127]", vec![255, 127]),
        ("INT16", "[-2,1]", vec![254, 255, 1, 0]),
        ("INT32", "[-1,1]", vec![255, 255, 255, 255, 1, 0, 0, 0]),
        ("INT64", "[-9223372036854775808,1]", [i64::MIN.to_le_bytes(), 1_i64.to_le_bytes()].concat()),
        ("UINT8", "[0,255]", vec![0, 255]),
        ("UINT16", "[1,65535]", vec![1, 0, 255, 255]),
        ("UINT32", "[1,4294967295]", vec![1, 0, 0, 0, 255, 255, 255, 255]),
        ("UINT64", "[1,18446744073709551615]", [1_u64.to_le_bytes(), u64::MAX.to_le_bytes()].concat()),
        ("FP32", "[1.5,-0.0]", [1.5_f32.to_le_bytes(), (-0.0_f32).to_le_bytes()].concat()),
        ("FP64", "[0.1,-2.0]", [0.1_f64.to_le_bytes(), (-2.0_f64).to_le_bytes()].concat()),
        ("BYTES", r#"["ab",""]"#, vec![2, 0, 0, 0, b'a', b'b', 0, 0, 0, 0]),
    ] {
        assert_eq!(one(datatype, "[2]", data), Ok(bytes.clone()), "{datatype}");
        let tensor =
            Tensor { name: "x".to_owned(), datatype: datatype.to_owned(), shape: vec![2], contents: bytes };
        assert_eq!(Value::Array(decode(&tensor).unwrap()).to_string(), data, "{datatype}");
    }
}

#[test]
fn what_is_nested_is_flattened_and_what_does_not_fit_is_refused() {
    assert_eq!(one("INT8", "[2,2]", "[[1,2],[3,4]]"), Ok(vec![1, 2, 3, 4]));
    assert_eq!(one("INT8", "[]", "7"), Ok(vec![7]));
    for (datatype, data, why) in [
        ("INT8", "[128]", "128 is no INT8"),
        ("UINT64", "[-1]", "-1 is no UINT64"),
        ("INT32", "[1.5]", "1.5 is no INT32"),
        ("FP32", "[1e39]", "is no FP32"),
        ("FP32", "[null]", "null is no FP32"),
        ("BOOL", "[1]", "1 is no BOOL"),
        ("BYTES", "[1]", "1 is no BYTES"),
        ("FP16", "[1]", "no JSON form"),
        ("INT8", "[1,2]", "2 bytes"),
    ] {
        let refused = one(datatype, "[1]", data).unwrap_err();
        assert!(refused.contains(why), "{datatype} {data}: {refused}");
    }
}

#[test]
fn outputs_are_written_with_their_exact_bytes() {
    let odd = [f32::NAN.to_le_bytes(), f32::INFINITY.to_le_bytes()].concat();
    let tensors = [("y", "FP32", odd), ("half", "FP16", vec![0, 60, 0, 188]), ("n", "INT8", vec![1, 2])];
    let tensors = tensors.map(|(name, datatype, contents)| Tensor {
        name: name.to_owned(),
        datatype: datatype.to_owned(),
        shape: vec![2],
        contents,
    });
    let tensors = Tensors::try_new(tensors.into()).unwrap();
    let written = to_json(&tensors);
    assert_eq!(read_outputs(written.to_string().as_bytes()), Ok(tensors.clone()));
    assert_eq!(written.pointer("/outputs/2/data"), Some(&json!([1, 2])));
    assert_eq!(written.pointer("/outputs/1/data"), None);
    assert!(preview(&tensors).contains("n INT8 [2]  [1, 2]"), "{}", preview(&tensors));
    assert!(read_outputs(b"{}").is_err() && read_outputs(b"[[1.0]]").is_err());
}

#[test]
fn what_is_long_is_written_as_bytes_alone() {
    let contents = vec![7; 1 + (1 << 16)];
    let shape = vec![u64::try_from(contents.len()).unwrap()];
    let long = Tensor { name: "y".to_owned(), datatype: "INT8".to_owned(), shape, contents };
    let long = Tensors::try_new(vec![long]).unwrap();
    assert_eq!(to_json(&long).pointer("/outputs/0/data"), None);
    assert_eq!(read_outputs(to_json(&long).to_string().as_bytes()), Ok(long.clone()));
    assert!(preview(&long).ends_with("[65537]  […]"), "{}", preview(&long));
}

#[test]
fn wanted_outputs_are_named() {
    let text = r#"{"inputs": [{"name": "x", "datatype": "FP16", "shape": [1], "contents": "ADw="}],
        "outputs": [{"name": "y"}]}"#;
    assert_eq!(request(text).unwrap().outputs, ["y"]);
    assert!(request(r#"{"inputs": []}"#).unwrap_err().contains("no tensors"));
    assert!(request(r#"{"inputs": [{"name": "x", "datatype": "INT8", "shape": [1]}]}"#).is_err());
    assert!(request("nothing").is_err());
}
