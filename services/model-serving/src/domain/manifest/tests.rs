use super::*;

const GOOD: &str = r#"
kind = "embedding"
tokenizer = "tokenizer.json"
max_input_tokens = 128
dimensions = 384
output = "sentence_embedding"
[inputs]
ids = "input_ids"
mask = "attention_mask"
type_ids = "token_type_ids"
"#;

fn key_of(text: &str) -> String {
    match Manifest::parse(text) {
        Err(ManifestError::Key { key, .. }) => key,
        other => panic!("expected an error about a key, got {other:?}"),
    }
}

#[test]
fn reads_both_kinds() {
    assert_eq!(Manifest::parse("kind = \"tensor\""), Ok(Manifest::Tensor));
    let Ok(Manifest::Embedding(manifest)) = Manifest::parse(GOOD) else { panic!("not an embedding") };
    assert_eq!(manifest.dimensions, 384);
    assert_eq!(manifest.type_ids.as_deref(), Some("token_type_ids"));
    assert_eq!(
        (manifest.pooling, manifest.normalize, manifest.padding_side),
        (Pooling::None, false, PadSide::Right)
    );
    let keys = "pooling = \"last\"\nnormalize = true\npadding_side = \"left\"\n[inputs]";
    let Ok(Manifest::Embedding(manifest)) = Manifest::parse(&GOOD.replace("[inputs]", keys)) else {
        panic!("not an embedding")
    };
    assert_eq!(
        (manifest.pooling, manifest.normalize, manifest.padding_side),
        (Pooling::Last, true, PadSide::Left)
    );
}

#[test]
fn an_error_names_the_key() {
    assert_eq!(key_of(&GOOD.replace("dimensions = 384", "dimensions = \"x\"")), "dimensions");
    assert_eq!(key_of(&GOOD.replace("dimensions = 384", "dimensions = 0")), "dimensions");
    assert_eq!(key_of(&GOOD.replace("dimensions = 384", "")), "dimensions");
    assert_eq!(key_of(&GOOD.replace("dimensions = 384", "dimensons = 384")), "dimensons");
    assert_eq!(key_of(&GOOD.replace("mask = ", "msk = ")), "inputs.msk");
    assert_eq!(key_of(&GOOD.replace("\"input_ids\"", "\"\"")), "inputs.ids");
    assert_eq!(key_of(&GOOD.replace("\"embedding\"", "\"embeding\"")), "kind");
    assert_eq!(key_of("kind = \"tensor\"\ndimensions = 3"), "dimensions");
    for (key, value) in [("pooling", "\"max\""), ("normalize", "1"), ("padding_side", "\"top\"")] {
        assert_eq!(key_of(&GOOD.replace("[inputs]", &format!("{key} = {value}\n[inputs]"))), key);
    }
    for line in ["pooling = \"mean\"", "normalize = true", "padding_side = \"left\""] {
        assert_eq!(key_of(&format!("kind = \"tensor\"\n{line}")), line.split(' ').next().unwrap());
    }
}

#[test]
fn the_tokenizer_stays_in_the_folder() {
    for bad in ["../tokenizer.json", "/etc/passwd", "a/b.json", "", ".", "..", "./t.json", "t.json/"] {
        assert_eq!(key_of(&GOOD.replace("tokenizer.json", bad)), "tokenizer", "{bad}");
    }
}

#[test]
fn a_syntax_error_names_the_line() {
    let error = Manifest::parse("kind = \"tensor\"\n\nx = = 1\n").unwrap_err();
    assert!(matches!(error, ManifestError::Syntax { line: 3, .. }), "{error}");
}
