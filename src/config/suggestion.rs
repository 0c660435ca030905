//! "Did you mean …?"

/// The name among `known` that `name` was most likely meant to be, if any is near enough.
pub(super) fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let lower = name.to_ascii_lowercase().replace('-', "_");
    let distance = |known: &&str| strsim::damerau_levenshtein(&lower, known);
    let nearest = known.into_iter().min_by_key(distance)?;
    // A third of the letters: beyond that it is another word.
    (distance(&nearest) <= name.chars().count().max(nearest.len()).div_ceil(3)).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let known = ["message_bytes", "connections", "rooms", "log"];
        for (name, expected) in [
            ("message_byte", Some("message_bytes")),
            ("mesage_bytes", Some("message_bytes")),
            ("message-bytes", Some("message_bytes")),
            ("Connections", Some("connections")),
            ("romos", Some("rooms")),
            ("lgo", Some("log")),
            ("colour", None),
            ("nope", None),
        ] {
            assert_eq!(nearest(name, known), expected, "{name}");
        }
    }
}
