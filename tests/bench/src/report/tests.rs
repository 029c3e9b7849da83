use super::*;

const REPORT: Report = Report { name: "tried", order: &["S1", "S3", "K2"] };

#[test]
fn a_page_keeps_what_is_around_the_table() {
    let figure = Figure::of("S1", Better::Higher, 0.97, "texts/s", &[(60.0, 61.0, 60.0 / 61.0)]);
    let page = "# Head\n<!-- bench-tried: begin -->\nof yesterday\n<!-- bench-tried: end -->\ntail\n";
    let filled = REPORT.fill(page, std::slice::from_ref(&figure), &Machine::default()).unwrap();
    assert!(
        filled.starts_with("# Head\n") && filled.ends_with("-->\ntail\n") && !filled.contains("yesterday")
    );
    assert!(
        filled.contains("| S1 | 60.00 | 61.00 | 0.984 | 0.984 | >= 0.97 | texts/s | holds |"),
        "{filled}"
    );
    assert_eq!(REPORT.fill(&filled, &[figure], &Machine::default()).unwrap(), filled);
    assert!(REPORT.fill("no markers", &[], &Machine::default()).is_err());
}

#[test]
fn figures_of_the_last_run_stay_if_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let figure = |id, ours| Figure::of(id, Better::Higher, 1.0, "x", &[(ours, 1.0, ours)]);
    let machine = Machine::default();
    REPORT.write(folder.path(), vec![figure("K2", 1.0), figure("S1", 1.0)], &machine, false).unwrap();
    REPORT.write(folder.path(), vec![figure("K2", 2.0)], &machine, true).unwrap();
    let (figures, _) = REPORT.read(folder.path()).unwrap();
    let seen: Vec<_> = figures.iter().map(|figure| (figure.id.as_str(), figure.ours)).collect();
    assert_eq!(seen, [("S1", 1.0), ("K2", 2.0)]);
    REPORT.write(folder.path(), vec![figure("S3", 1.0)], &machine, false).unwrap();
    assert_eq!(REPORT.read(folder.path()).unwrap().0.len(), 1);
}

#[test]
fn a_figure_without_a_goal_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let reported = Figure::reported("K2", "bytes", &[(700.0, 140.0, 5.0)]);
    REPORT.write(folder.path(), vec![reported], &Machine::default(), false).unwrap();
    let (figures, _) = REPORT.read(folder.path()).unwrap();
    assert_eq!(figures.first().and_then(|figure| figure.goal), None);
    assert!(table(&figures).contains("reported"));
}

#[test]
fn a_figure_that_says_nothing_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let void = Figure::of("K2", Better::Lower, 1.0, "x", &[(f64::NAN, f64::INFINITY, f64::NAN)]);
    REPORT
        .write(folder.path(), vec![void.void_if(true, "nothing came")], &Machine::default(), false)
        .unwrap();
    let (figures, _) = REPORT.read(folder.path()).unwrap();
    assert!(figures[0].ratio.is_nan() && figures[0].rounds[0].is_nan() && !figures[0].holds);
}
