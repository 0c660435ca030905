//! What happened, in words.

/// What happened, if somebody wants to know.
#[derive(Debug, Default)]
pub(crate) struct Story {
    pub(crate) is_told: bool,
    pub(crate) lines: Vec<String>,
    pub(crate) step: u64,
}

impl Story {
    pub(crate) fn tell(&mut self, line: impl FnOnce() -> String) {
        if self.is_told {
            self.lines.push(format!("{:>6}  {}", self.step, line()));
        }
    }
}
