//! Exit statuses, and the one line that says what was wrong.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Output, Stdio};

use super::process::{BINARY, full};

struct Run<'r> {
    arguments: &'r [&'r str],
    variables: &'r [(&'r str, &'r [u8])],
    input: &'r str,
}

fn run(arguments: &[&str], variables: &[(&str, &[u8])], input: &str) -> Output {
    output(&Run { arguments, variables, input }, Stdio::piped())
}

fn output(run: &Run<'_>, stdout: Stdio) -> Output {
    let variables = run.variables.iter().map(|(name, value)| (name, OsStr::from_bytes(value)));
    let mut child = Command::new(BINARY)
        .env_clear()
        .envs(variables)
        .args(run.arguments)
        .stdin(Stdio::piped())
        .stdout(stdout)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary");
    let mut stdin = child.stdin.take().expect("a pipe");
    // A command that fails early does not read it.
    let _not_read = stdin.write_all(run.input.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("its end")
}

/// Asserts that a command ends with this status and one line that contains all of these.
#[track_caller]
fn refused(arguments: &[&str], variables: &[(&str, &[u8])], input: &str, status: i32, expected: &[&str]) {
    let output = run(arguments, variables, input);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{arguments:?} {variables:?}: {text}");
    for part in expected {
        assert!(text.contains(part), "{arguments:?} {variables:?}: {text}");
    }
    assert_eq!(text.trim_end().lines().count(), 1, "{text}");
}

#[test]
fn a_value_that_makes_no_sense_is_a_usage_error_wherever_it_was_said() {
    for (flags, expected) in [
        (&["--log", "verbose"][..], "log: \"verbose\" is not a filter"),
        (&["--log", "inof"], "did you mean \"info\"?"),
        (&["--log", ""], "log: "),
        (&["--log-format", "xml"], "log_format: must be \"text\" or \"json\""),
        (&["--workers", "many"], "workers: expected a whole number"),
        (&["--workers", "5000"], "workers: must be between"),
        (&["--listen", "8080"], "\"8080\" is a port alone"),
        (&["--listen", ":8080"], "\":8080\" is a port alone"),
        (&["--listen", "[::1]"], "is not an address"),
        (&["--listen", "tls:127.0.0.1:0"], "TLS needs tls.certificate and tls.key"),
        (&["--tls-key", "k.pem"], "only together"),
        (&["--config", "/no/such/file.toml"], "/no/such/file.toml: cannot be read"),
    ] {
        refused(&[&["serve"], flags].concat(), &[], "", 2, &[expected]);
        refused(flags, &[], "", 2, &[expected]);
    }
    for (name, value, expected) in [
        ("FOGHORN_LOG", &b"verbose"[..], "environment variable FOGHORN_LOG: log: \"verbose\""),
        ("FOGHORN_NOPE", b"1", "environment variable FOGHORN_NOPE: there is no such key"),
        ("FOGHORN_LIMITS_NOPE", b"1", "environment variable FOGHORN_LIMITS_NOPE: limits.nope: unknown key"),
        ("FOGHORN_LIMIT_ROOMS", b"1", "did you mean FOGHORN_LIMITS_ROOMS?"),
        ("FOGHORN_LISTN", b"1", "did you mean FOGHORN_LISTEN?"),
        ("FOGHORN_LOG", b"\xff", "environment variable FOGHORN_LOG: its value is not UTF-8"),
        ("FOGHORN_LISTEN", b"[\"127.0.0.1:0\"", "TOML"),
        ("FOGHORN_ORIGINS_ENDPOINTS", b"{ \"/a\" = ", "TOML"),
        ("FOGHORN_ORIGINS_ENDPOINTS", b"nonsense", "TOML"),
        ("FOGHORN_SHUTDOWN_GRACE", b"10", "is not a duration like"),
    ] {
        refused(&["serve"], &[(name, value)], "", 2, &[expected]);
        refused(&["export", "room"], &[(name, value)], "", 2, &[expected]);
    }
    for (text, expected) in [
        ("worker = 1", "1: worker: unknown key, did you mean workers?"),
        ("message_bytes = \"1 KiB\"", "did you mean limits.message_bytes?"),
        ("\n[limit]\nrooms = 1", "2: limit: unknown table, did you mean limits?"),
        ("[limits]\nroms = 1", "2: limits.roms: unknown key, did you mean rooms?"),
        ("[heartbeat]\nidle_timeout = \"1s\"", "must be longer than ping_interval"),
        ("log = \"inof\"", "did you mean \"info\"?"),
        ("log = ", "1: "),
    ] {
        let files = tempfile::tempdir().expect("a directory");
        let path = files.path().join("f.toml");
        std::fs::write(&path, text).expect("a file");
        let path = path.to_str().expect("UTF-8");
        refused(&["serve", "--config", path], &[], "", 2, &["f.toml:", expected]);
        refused(&["config", "check", path], &[], "", 2, &["f.toml:", expected]);
        refused(&["config", "check", "-"], &[], text, 2, &["standard input:", expected]);
    }
    refused(&["token", "--sub", "a"], &[], "", 2, &["no secret"]);
    refused(&["bench", "echo", "127.0.0.1:1"], &[], "", 2, &["it must begin with ws://"]);
    refused(&["bench", "echo", "ws://127.0.0.1:port"], &[], "", 2, &["no port behind the colon"]);
    refused(&["bench", "fanout", "--members", "0", "ws://127.0.0.1:1"], &[], "", 2, &["a member"]);
}

#[test]
fn standard_input_can_be_checked() {
    let output = run(&["config", "check", "-"], &[], "workers = 1\n");
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(0), &b"standard input is fine\n"[..]));
}

#[test]
fn a_lock_file_that_is_a_pipe_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let (data, lock) = (directory.path().to_str().expect("UTF-8"), directory.path().join("foghorn.lock"));
    let made = Command::new("mkfifo").arg(&lock).status().expect("mkfifo");
    assert!(made.success());
    let expected = ["foghorn.lock", "no ordinary file"];
    refused(&["serve", "--data", data, "--listen", "127.0.0.1:0", "--log", "off"], &[], "", 1, &expected);
    refused(&["export", "room", "--data", data], &[], "", 1, &expected);
}

#[test]
fn a_token_is_for_a_name_that_a_session_may_have() {
    let secret: &[(&str, &[u8])] = &[("FOGHORN_AUTH_JWT_SECRET", b"0123456789abcdef0123456789abcdef")];
    for name in ["", "a\u{7}b", &"x".repeat(65)] {
        refused(&["token", "--sub", name], secret, "", 2, &["--sub ", "user name"]);
    }
}

#[test]
fn what_cannot_be_started_is_no_usage_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    refused(
        &["serve", "--memory", "--listen", &address, "--log", "off"],
        &[],
        "",
        1,
        &["cannot listen on", &address],
    );
    let name = "no-such-name.invalid:0";
    refused(
        &["serve", "--memory", "--listen", name, "--log", "off"],
        &[],
        "",
        1,
        &["cannot listen on", name],
    );
}

#[test]
fn an_environment_of_any_bytes_is_nobody_s_business() {
    let others: &[(&str, &[u8])] = &[("OTHER", b"\xff\xfe"), ("FOGHORN_PORT", b"tcp://10.0.0.1:80")];
    let secret: &[(&str, &[u8])] = &[("FOGHORN_AUTH_JWT_SECRET", b"0123456789abcdef0123456789abcdef")];
    let output = run(&["token", "--sub", "ann"], &[others, secret].concat(), "");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn lists_and_tables_of_the_environment_may_be_toml() {
    let path = tempfile::tempdir().expect("a directory");
    let data = path.path().join("none");
    for (name, value) in [
        ("FOGHORN_LISTEN", "[\"127.0.0.1:0\", \"[::1]:0\"]"),
        ("FOGHORN_LISTEN", "127.0.0.1:0, [::1]:0"),
        ("FOGHORN_LISTEN", "[::1]:0"),
        ("FOGHORN_PROXY_TRUSTED", "[\"10.0.0.0/8\"]"),
        ("FOGHORN_ORIGINS_ALLOWED", "[\"https://a\", \"https://b\"]"),
        ("FOGHORN_ORIGINS_ENDPOINTS", "{ \"/ws/chat\" = [\"https://a\"], \"/api/\" = \"*\" }"),
        ("FOGHORN_ORIGINS_ENDPOINTS", "/ws/chat=https://a, /api/=*"),
    ] {
        // The configuration is fine; what is missing is the directory.
        let data = data.to_str().expect("UTF-8");
        refused(
            &["export", "r", "--data", data],
            &[(name, value.as_bytes())],
            "",
            1,
            &["there is no data directory"],
        );
    }
}

#[test]
fn a_full_standard_output_is_named() {
    let secret: &[(&str, &[u8])] = &[("FOGHORN_AUTH_JWT_SECRET", b"0123456789abcdef0123456789abcdef")];
    for arguments in [
        &["config", "default"][..],
        &["config", "check", "-"],
        &["token", "--sub", "ann"],
        &["--version"],
        &["--help"],
        &["serve", "--memory", "--listen", "127.0.0.1:0", "--log", "error"],
    ] {
        let run = Run { arguments, variables: secret, input: "" };
        let output = output(&run, full().into());
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {text}");
        assert!(text.contains("cannot write to standard output: No space left"), "{arguments:?}: {text}");
    }
}
