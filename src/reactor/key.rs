//! The name of a connection, by which everything but the table of connections knows it.

use mio::Token;

/// A connection: its place in the table and the generation of that place. A key outlives its connection harmlessly:
/// the next owner of the place has another generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl Key {
    /// The key as one number, for those to whom it is opaque.
    pub(crate) fn to_bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// The key that [`Key::to_bits`] made this of.
    pub(crate) fn from_bits(bits: u64) -> Key {
        Key { index: low(bits), generation: low(bits >> 32) }
    }

    pub(crate) fn token(self) -> Token {
        Token(usize::try_from(self.to_bits()).unwrap_or(usize::MAX))
    }

    pub(crate) fn of(token: Token) -> Key {
        Key::from_bits(token.0 as u64)
    }
}

fn low(bits: u64) -> u32 {
    u32::try_from(bits & u64::from(u32::MAX)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_the_way_through_a_token() {
        let key = Key { index: 7, generation: u32::MAX - 3 };
        assert_eq!(Key::of(key.token()), key);
        assert_eq!(Key::from_bits(key.to_bits()), key);
    }
}
