use std::fs;

use super::{Tool, Toolbox};
use crate::DevnetError;

fn toolbox(entries: &[(&str, &str)]) -> Toolbox {
    Toolbox::with_environment(entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())))
}

#[test]
fn environment_wins_over_file_and_file_over_path() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| {
        let path = dir.path().join(name);
        fs::create_dir_all(&path).unwrap();
        let file = path.join("bitcoind");
        fs::write(&file, "").unwrap();
        file.to_str().unwrap().to_owned()
    };
    let (by_variable, by_file, on_path) = (at("variable"), at("file"), at("path"));
    let cache = dir.path().to_str().unwrap();
    let path = dir.path().join("path");
    let base = [("AILAYER_CACHE", cache), ("PATH", path.to_str().unwrap())];

    assert_eq!(toolbox(&base).path_of(Tool::Bitcoind).unwrap().to_str().unwrap(), on_path);

    fs::write(dir.path().join("env"), format!("# made by setup\nBITCOIND_EXE={by_file}\n")).unwrap();
    assert_eq!(toolbox(&base).path_of(Tool::Bitcoind).unwrap().to_str().unwrap(), by_file);

    let with_variable = [base[0], base[1], ("BITCOIND_EXE", by_variable.as_str())];
    assert_eq!(toolbox(&with_variable).path_of(Tool::Bitcoind).unwrap().to_str().unwrap(), by_variable);
}

#[test]
fn a_missing_tool_is_named_together_with_its_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().to_str().unwrap();
    let error = toolbox(&[("AILAYER_CACHE", cache), ("PATH", cache)]).path_of(Tool::ElectrumX).unwrap_err();
    let text = error.to_string();
    for part in
        ["ElectrumX is missing", "ELECTRUMX_EXE", "electrumx_server", "make setup", "deploy/dev/setup"]
    {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
}

#[test]
fn an_explicit_setting_that_names_nothing_is_an_error_and_not_skipped() {
    let error = toolbox(&[("BITCOIND_EXE", "/nowhere/bitcoind")]).path_of(Tool::Bitcoind).unwrap_err();
    assert!(matches!(error, DevnetError::WrongTool { variable: "BITCOIND_EXE", .. }), "{error}");
}
