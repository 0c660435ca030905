//! What Redis does in one step.

use std::sync::OnceLock;

/// A script, known by its digest once Redis has it.
pub(super) struct Script {
    source: &'static str,
    digest: OnceLock<String>,
}

macro_rules! script {
    ($name:ident, $file:literal) => {
        pub(super) static $name: Script = Script::new(concat!(
            include_str!("scripts/common.lua"),
            include_str!(concat!("scripts/", $file))
        ));
    };
}

script!(APPEND, "append.lua");
script!(OPEN, "open.lua");
script!(PAGE, "page.lua");
script!(RENEW, "renew.lua");
script!(REAP, "reap.lua");
script!(BURY, "bury.lua");
script!(HEADS, "heads.lua");
script!(FENCE, "fence.lua");

impl Script {
    pub(super) const fn new(source: &'static str) -> Script {
        Script { source, digest: OnceLock::new() }
    }

    pub(super) fn source(&self) -> &'static str {
        self.source
    }

    pub(super) fn digest(&self) -> &str {
        self.digest.get_or_init(|| sha1_smol::Sha1::from(self.source).digest().to_string())
    }
}
