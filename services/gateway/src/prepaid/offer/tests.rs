use ailayer_primitives::Digest;

use super::*;

fn model(max_input_tokens: u32) -> Loaded {
    Loaded {
        name: "mini".to_owned(),
        version: "1".to_owned(),
        digest: Digest::sha256(b"model"),
        kind: "embedding".to_owned(),
        execution_provider: "CPUExecutionProvider".to_owned(),
        max_input_tokens,
        dimensions: 2,
        max_items: 8,
        max_text_bytes: 100,
        inputs: Vec::new(),
        outputs: Vec::new(),
    }
}

#[test]
fn no_text_has_more_tokens_than_bytes_but_for_the_special_ones() {
    let input = |texts: &[&str]| EmbedInput {
        texts: texts.iter().map(|text| (*text).to_owned()).collect(),
        truncate: false,
    };
    assert_eq!(most_tokens(&input(&["a", "four"]), &model(256)), 1 + 3 + 4 + 3);
    assert_eq!(most_tokens(&input(&["a text that is longer than the model reads"]), &model(8)), 8);
}
