//! Filters of log events: what `tracing` takes, less what is a slip of the pen.

use super::suggestion::nearest;

/// The levels, and none at all.
const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

/// Checks a filter such as `info` or `warn,foghorn::reactor=debug`.
pub(super) fn check(text: &str) -> Result<(), String> {
    let refusal = |what: &str| {
        let similar =
            nearest(what, LEVELS).map_or(String::new(), |level| format!("; did you mean {level:?}?"));
        format!("{text:?} is not a filter like \"info\" or \"warn,foghorn::reactor=debug\"{similar}")
    };
    for part in text.split(',').map(str::trim) {
        let is_level = |word: &str| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word));
        match part.rsplit_once('=') {
            Some((_, level)) if !is_level(level.trim()) => return Err(refusal(level.trim())),
            Some(_) => {}
            // `tracing` takes any word for a part of the program, of which everything is then logged, and nothing else.
            None if !is_level(part) => return Err(refusal(part)),
            None => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_parts_of_the_program_with_a_level_are_filters() {
        for text in ["info", "WARN", "off", "warn,foghorn::reactor=debug", "foghorn=trace, info"] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn a_word_that_is_no_level_is_refused_with_the_one_that_was_meant() {
        for (text, hint) in [
            ("verbose", ""),
            ("inof", "; did you mean \"info\"?"),
            ("infos", "; did you mean \"info\"?"),
            ("warning", "; did you mean \"warn\"?"),
            ("warn,foghorn::reactor", ""),
            ("foghorn=loud", ""),
            ("foghorn=debgu", "; did you mean \"debug\"?"),
            ("", ""),
            ("info,", ""),
            ("3", ""),
        ] {
            let problem = check(text).unwrap_err();
            assert!(
                problem.contains(" is not a filter like ")
                    && problem.ends_with(if hint.is_empty() { "debug\"" } else { hint }),
                "{problem}"
            );
        }
    }
}
