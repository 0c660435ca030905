//! The chat page: static files inside the binary.

use crate::http::asset::{self, CSS, HTML, SCRIPT, SVG};
use crate::server::Router;

/// Path, type and content of every file.
const FILES: &[(&str, &str, &str)] = &[
    ("/", HTML, include_str!("assets/index.html")),
    ("/assets/chat.css", CSS, include_str!("assets/chat.css")),
    ("/assets/chat.js", SCRIPT, include_str!("assets/chat.js")),
    ("/assets/connection.js", SCRIPT, include_str!("assets/connection.js")),
    ("/assets/log.js", SCRIPT, include_str!("assets/log.js")),
    ("/assets/presence.js", SCRIPT, include_str!("assets/presence.js")),
    ("/assets/mark.svg", SVG, include_str!("assets/mark.svg")),
];

/// Adds the chat page at `/` and what belongs to it.
#[must_use]
pub fn routes(router: Router) -> Router {
    FILES.iter().fold(router, |router, (path, content_type, content)| {
        router.page(*path, asset::response(content_type, content))
    })
}
