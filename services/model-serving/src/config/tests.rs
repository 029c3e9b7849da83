use super::*;

fn refusal(change: impl FnOnce(&mut Config)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("lib.so");
    std::fs::write(&library, "").unwrap();
    let mut config = Config::new(folder.path());
    config.onnxruntime_library = Some(library);
    config.validate().unwrap();
    change(&mut config);
    config.validate().unwrap_err().to_string()
}

#[test]
fn each_mistake_is_one_clear_line() {
    let cases: [(&str, String); 4] = [
        (
            "model-serving.repository: '/nowhere' is not a folder",
            refusal(|c| c.repository = "/nowhere".into()),
        ),
        (
            "model-serving.onnxruntime_library: there is no file '/nowhere/x.so'",
            refusal(|c| c.onnxruntime_library = Some("/nowhere/x.so".into())),
        ),
        ("model-serving.max_items: 0 does not lie in 1..=65536", refusal(|c| c.max_items = 0)),
        ("model-serving.intra_threads: 9999", refusal(|c| c.intra_threads = 9999)),
    ];
    for (expected, line) in cases {
        assert!(line.contains(expected) && !line.contains('\n'), "{line}");
    }
}

#[test]
fn an_unknown_key_is_refused_and_the_repository_is_required() {
    let load = |text| ailayer_platform::config::load_from::<Config>(crate::NAME, Some(text), []);
    let unknown = load("[model-serving]\nrepository = \"x\"\nmax_itms = 3\n").unwrap_err().to_string();
    assert!(unknown.contains("max_itms"), "{unknown}");
    let missing = load("[model-serving]\n").unwrap_err().to_string();
    assert!(missing.contains("repository"), "{missing}");
    assert_eq!(load("[model-serving]\nrepository = \"x\"\n").unwrap().max_batch_rows, 8);
}
