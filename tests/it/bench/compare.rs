//! Two reports side by side.

use std::path::Path;

use super::Running;
use crate::support::process::run;

/// A short load whose report is written to this file.
fn report(server: &Running, path: &Path, members: &str) {
    let url = format!("ws://{}", server.addr);
    let own =
        ["bench", "fanout", &url, "--members", members, "--seconds", "0.6", "--warmup", "0", "--no-metrics"];
    let output = run(&[&own[..], &["--json", path.to_str().unwrap()]].concat(), b"");
    assert!(output.status.success(), "{}", output.stderr.escape_ascii());
}

fn compare(arguments: &[&Path]) -> std::process::Output {
    let arguments: Vec<&str> = arguments.iter().map(|path| path.to_str().unwrap()).collect();
    run(&[&["bench", "compare"], &arguments[..]].concat(), b"")
}

#[test]
fn two_reports_are_laid_side_by_side() {
    let (server, directory) = (Running::start(), tempfile::tempdir().unwrap());
    let file = |name: &str| directory.path().join(name);
    let (before, after, page) = (file("be<fore.json"), file("after.json"), file("page.html"));
    report(&server, &before, "3");
    report(&server, &after, "5");
    let output = compare(&[&before, &after, Path::new("--html"), &page]);
    assert!(output.status.success(), "{}", output.stderr.escape_ascii());
    let (text, page) = (String::from_utf8(output.stdout).unwrap(), std::fs::read_to_string(page).unwrap());
    for shown in ["be<fore", "after", "change", "parameters", "messages per second", "latency p99, ms", " %"]
    {
        assert!(text.contains(shown), "no {shown} in\n{text}");
    }
    assert!(text.contains("not those of the same load"), "{text}");
    assert!(page.contains("be&lt;fore") && !page.contains("be<fore"), "{page}");
    assert!(!page.contains("<script") && !page.contains("src=") && !page.contains("href="));
    // Where the load generator was what limits a run, it has no speed and no curve.
    let plots = page.matches("class=\"plot\"").count();
    assert_eq!(page.matches("line l1").count(), 2 * plots, "each plot has both, and so has its legend");
    let same = compare(&[&before, &before]);
    let text = String::from_utf8(same.stdout).unwrap();
    assert!(same.status.success() && !text.contains("same load"), "{text}");
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let (server, directory) = (Running::start(), tempfile::tempdir().unwrap());
    let file = |name: &str| directory.path().join(name);
    let (sound, series, broken) = (file("sound.json"), file("series.json"), file("broken.json"));
    report(&server, &sound, "3");
    std::fs::write(&series, r#"{"mode":"latency","runs":[]}"#).unwrap();
    std::fs::write(&broken, "{\"a\":1}").unwrap();
    for (other, why) in [
        (&broken, "no report of `foghorn bench --json`"),
        (&file("missing.json"), "cannot read"),
        (&series, "no run in common"),
    ] {
        for pair in [[&sound, other], [other, &sound]] {
            let output = compare(&pair.map(|path| &**path));
            let told = String::from_utf8(output.stderr).unwrap();
            assert!(!output.status.success() && output.stdout.is_empty(), "{other:?}");
            assert!(told.contains(why), "{told}");
        }
    }
}
