//! The chat page: static files inside the binary.

use crate::http::{Response, Status};
use crate::server::Router;

/// Only what comes with the page may run in it, and it may talk only to the server it came from.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

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
        let file = Response::new(Status::OK)
            .header("Content-Security-Policy", CONTENT_SECURITY_POLICY)
            .header("X-Content-Type-Options", "nosniff")
            .header("Referrer-Policy", "no-referrer")
            .header("Cache-Control", "no-cache")
            .body(*content_type, content.as_bytes());
        router.page(*path, file)
    })
}
