//! What a JOIN and a LEAVE say.

use super::kind::Kind;

/// The sender of notices.
pub(in crate::rooms) const SYSTEM_SENDER: &str = "SYSTEM";

/// The texts of JOIN and LEAVE; `{username}` stands for the user's name.
#[derive(Clone, Debug)]
pub struct Notices {
    /// Content of JOIN.
    pub join: String,
    /// Content of LEAVE.
    pub leave: String,
    /// A room with more members than this announces no newcomer, and so not that it leaves.
    pub members_max: usize,
}

impl Default for Notices {
    fn default() -> Self {
        let (join, leave) = ("{username} joined".into(), "{username} left".into());
        Notices { join, leave, members_max: usize::MAX }
    }
}

impl Notices {
    pub(in crate::rooms) fn text(&self, kind: Kind, user: &str) -> String {
        let template = if kind == Kind::Join { &self.join } else { &self.leave };
        template.replace("{username}", user)
    }
}
