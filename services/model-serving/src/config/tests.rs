use super::repository::TRIAL_SLACK_BYTES;
use super::*;
use crate::memory::Machine;

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
    let cases: [(&str, String); 8] = [
        (
            "model-serving.repository: '/nowhere' is not a folder",
            refusal(|c| c.repository = "/nowhere".into()),
        ),
        (
            "model-serving.onnxruntime_library: there is no file '/nowhere/x.so'",
            refusal(|c| c.onnxruntime_library = Some("/nowhere/x.so".into())),
        ),
        ("model-serving.max_items: 0 does not lie in 1..=65536", refusal(|c| c.max_items = 0)),
        ("model-serving.poll_interval: must be longer", refusal(|c| c.poll_interval = Duration::ZERO)),
        ("model-serving.load_at_start: has no meaning", refusal(|c| c.load_at_start = vec!["m".to_owned()])),
        (
            "model-serving.load_at_start: there is no model 'm'",
            refusal(|c| {
                c.model_control = ModelControl::Explicit;
                c.load_at_start = vec!["*".to_owned(), "m".to_owned()];
            }),
        ),
        (
            "model-serving.trial_executable: there is no file '/nowhere/x'",
            refusal(|c| c.trial_executable = Some("/nowhere/x".into())),
        ),
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
    assert_eq!(load("[model-serving]\nrepository = \"x\"\n").unwrap().max_batch_rows, 16);
}

#[test]
fn memory_is_bounded_by_what_there_is_unless_the_configuration_says_otherwise() {
    let machine = Machine { total_bytes: Some(1000), available_bytes: Some(400) };
    let config = |memory_budget_bytes| Config { memory_budget_bytes, ..Config::new("") };
    let budgets = [None, Some(0), Some(5000)].map(|bytes| config(bytes).memory_budget(machine));
    assert_eq!(budgets, [Some(800), None, Some(5000)]);
    let trials = [None, Some(0), Some(100)].map(|bytes| config(bytes).trial_limits(machine).memory_bytes);
    assert_eq!(trials, [300, 300, 100].map(|bytes| bytes + TRIAL_SLACK_BYTES));
    let said = Config { trial_memory_bytes: Some(7), ..Config::new("") };
    assert_eq!(said.trial_limits(machine).memory_bytes, 7);
}

#[test]
fn control_and_trials_are_written_in_words() {
    let load = |keys: &str| {
        let text = format!("[model-serving]\nrepository = \"x\"\n{keys}");
        ailayer_platform::config::load_from::<Config>(crate::NAME, Some(&text), [])
    };
    let config = load("").unwrap();
    assert_eq!((config.model_control, config.trial), (ModelControl::None, Switch::On));
    let config = load(
        "model_control = \"explicit\"\nload_at_start = [\"a\"]\ntrial = \"off\"\npoll_interval = \"2s\"\n",
    );
    let config = config.unwrap();
    assert_eq!((config.model_control, config.trial), (ModelControl::Explicit, Switch::Off));
    assert_eq!(config.poll_interval, Duration::from_secs(2));
    assert!(config.loads_at_start("a") && !config.loads_at_start("b"));
    assert!(load("model_control = \"always\"").is_err());
}
