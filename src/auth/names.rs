//! Which texts can be the name of a user or a room.
//!
//! The rule is for names that come into being. What has an older name stays readable and deletable.

/// Maximum length of a user's name in bytes, for any way to prove it.
// It is stored and sent with each message; in any script 64 bytes are 16 characters.
pub const USER_BYTES_MAX: usize = 64;

/// Names that would be taken for something else: the sender of notices, and steps in a path. Compared without regard to
/// case.
const RESERVED: [&str; 3] = ["SYSTEM", ".", ".."];

/// What is wrong with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameError {
    Empty,
    TooLong,
    /// A control character, or one that turns the direction of the text around it.
    Control,
    /// It means something else here.
    Reserved,
    /// Nothing of it can be seen.
    Invisible,
}

impl NameError {
    /// What a name must be instead.
    pub(crate) fn rule(self, bytes_max: usize) -> String {
        match self {
            NameError::Empty | NameError::TooLong => format!("must have 1 to {bytes_max} bytes"),
            NameError::Control => {
                "must have no control characters, nor ones that turn text around".to_owned()
            }
            NameError::Reserved => "must not be SYSTEM, . or ..".to_owned(),
            NameError::Invisible => "must have something that can be seen".to_owned(),
        }
    }
}

/// Whether the text can be a name of at most `bytes_max` bytes.
pub(crate) fn check_name(text: &str, bytes_max: usize) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > bytes_max {
        return Err(NameError::TooLong);
    }
    if text.chars().any(|c| c.is_control() || turns_text(c)) {
        return Err(NameError::Control);
    }
    if RESERVED.iter().any(|reserved| text.eq_ignore_ascii_case(reserved)) {
        return Err(NameError::Reserved);
    }
    if text.chars().all(is_invisible) {
        return Err(NameError::Invisible);
    }
    Ok(())
}

/// Whether the text can be a user's name.
pub(crate) fn is_user_name(text: &str) -> bool {
    check_name(text, USER_BYTES_MAX).is_ok()
}

/// Bidirectional controls (UAX #9 §2): with them a name can show what it is not.
const fn turns_text(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// White space, and what Unicode calls default-ignorable, with the blanks that are letters or symbols by their category.
fn is_invisible(c: char) -> bool {
    c.is_whitespace()
        || matches!(c,
            '\u{00ad}' | '\u{034f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_seen_and_means_nothing_else() {
        let long = "x".repeat(65);
        let cases = [
            ("", Err(NameError::Empty)),
            (&*long, Err(NameError::TooLong)),
            ("a\0", Err(NameError::Control)),
            ("a\u{85}b", Err(NameError::Control)),
            ("a\u{202e}b", Err(NameError::Control)),
            ("\u{061c}a", Err(NameError::Control)),
            ("a\u{2069}", Err(NameError::Control)),
            ("\u{200f}", Err(NameError::Control)),
            ("SYSTEM", Err(NameError::Reserved)),
            ("sYsTem", Err(NameError::Reserved)),
            (".", Err(NameError::Reserved)),
            ("..", Err(NameError::Reserved)),
            (" ", Err(NameError::Invisible)),
            ("\u{a0}\u{2003}", Err(NameError::Invisible)),
            ("\u{200b}\u{200d}", Err(NameError::Invisible)),
            ("\u{feff}", Err(NameError::Invisible)),
            ("\u{3164}", Err(NameError::Invisible)),
            ("\u{2800}\u{ad}", Err(NameError::Invisible)),
            ("\u{e0041}", Err(NameError::Invisible)),
            ("\u{2028}", Err(NameError::Invisible)),
            ("...", Ok(())),
            (".a", Ok(())),
            ("SYSTEMS", Ok(())),
            ("J\u{f6}rg K", Ok(())),
            ("\u{645}\u{62d}\u{645}\u{62f}", Ok(())),
            // A family is joined by what alone is invisible.
            ("\u{1f468}\u{200d}\u{1f469}", Ok(())),
        ];
        for (name, verdict) in cases {
            assert_eq!(check_name(name, USER_BYTES_MAX), verdict, "{name:?}");
        }
    }
}
