//! One declaration per section: its struct, its defaults, how its keys are set, and how they are written.

use super::value::{RawValue, Rendered};

/// Why a key could not be set.
pub(super) enum Refusal {
    /// There is no such key.
    Unknown,
    /// The value was refused.
    Value(String),
}

/// A table of the file, or the file itself: keys, and tables behind them.
pub(super) trait Section {
    /// The names of its keys, in the order they are written.
    fn keys(&self) -> &'static [&'static str];

    /// The names of its tables, in the order they are written.
    fn tables(&self) -> &'static [&'static str] {
        &[]
    }

    /// One of its tables.
    fn table(&mut self, _name: &str) -> Option<&mut dyn Section> {
        None
    }

    /// Sets one key.
    fn set(&mut self, key: &str, raw: &RawValue<'_>) -> Result<(), Refusal>;

    /// Appends every key, each under its comment, and every table.
    fn write(&self, out: &mut String);
}

/// Appends a comment, one line per line of documentation.
pub(super) fn write_comment(lines: &[&str], out: &mut String) {
    for line in lines {
        out.push('#');
        out.push_str(line);
        out.push('\n');
    }
}

/// Appends a key and its value.
pub(super) fn write_key(key: &str, rendered: Rendered, out: &mut String) {
    let (sign, value) = match rendered {
        Rendered::Value(value) => ("", value),
        Rendered::Example(value) => ("# ", value),
    };
    for part in [sign, key, " = ", &value, "\n\n"] {
        out.push_str(part);
    }
}

/// Appends the header of a table.
pub(super) fn write_header(table: &str, out: &mut String) {
    for part in ["[", table, "]\n\n"] {
        out.push_str(part);
    }
}

/// Declares a section. The documentation of a key is its comment in the file, so the two cannot differ.
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        $name:ident {
            $($(#[doc = $doc:literal])+ $key:ident: $type:ty = $default:expr, $kind:expr;)+
        }
        $(tables {
            $($(#[doc = $table_doc:literal])+ $table:ident: $table_type:ty;)+
        })?
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct $name {
            $($(#[doc = $doc])+ pub $key: $type,)+
            $($($(#[doc = $table_doc])+ pub $table: $table_type,)+)?
        }

        impl Default for $name {
            fn default() -> $name {
                $name { $($key: $default,)+ $($($table: <$table_type>::default(),)+)? }
            }
        }

        impl $name {
            /// Appends the keys whose values differ from those of `other`, each behind `prefix`.
            pub(super) fn push_changed(&self, other: &$name, prefix: &str, out: &mut Vec<String>) {
                $(
                    if self.$key != other.$key {
                        out.push(format!(concat!("{}", stringify!($key)), prefix));
                    }
                )+
                $($(self.$table.push_changed(&other.$table, concat!(stringify!($table), "."), out);)+)?
            }
        }

        impl $crate::config::section::Section for $name {
            fn keys(&self) -> &'static [&'static str] {
                &[$(stringify!($key)),+]
            }

            $(
                fn tables(&self) -> &'static [&'static str] {
                    &[$(stringify!($table)),+]
                }

                fn table(&mut self, name: &str) -> Option<&mut dyn $crate::config::section::Section> {
                    match name {
                        $(stringify!($table) => Some(&mut self.$table),)+
                        _ => None,
                    }
                }
            )?

            fn set(
                &mut self,
                key: &str,
                raw: &$crate::config::value::RawValue<'_>,
            ) -> Result<(), $crate::config::section::Refusal> {
                use $crate::config::{value::ValueKind, section::Refusal};
                match key {
                    $(stringify!($key) => self.$key = $kind.read(raw).map_err(Refusal::Value)?,)+
                    _ => return Err(Refusal::Unknown),
                }
                Ok(())
            }

            fn write(&self, out: &mut String) {
                use $crate::config::{value::ValueKind, section};
                $(
                    section::write_comment(&[$($doc),+], out);
                    section::write_key(stringify!($key), $kind.write(&self.$key), out);
                )+
                $($(
                    section::write_comment(&[$($table_doc),+], out);
                    section::write_header(stringify!($table), out);
                    section::Section::write(&self.$table, out);
                )+)?
            }
        }
    };
}

pub(super) use section;
