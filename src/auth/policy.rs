//! Which paths need a token, where tokens are asked for.
//!
//! All that leads to a WebSocket endpoint or to an [`Api`](crate::server::Api) does, except for what stands in the table
//! here; static pages never do. So what is added later is closed until somebody opens it.

use crate::http::Method;

/// What can be asked for without a token: a path, or with a slash at its end all below it.
const OPEN: [&str; 5] = ["/api/auth/", "/healthz", "/readyz", "/metrics", "/openapi.json"];

/// Whether a request of HTTP needs a token. A browser asks with `OPTIONS`, and without a token, whether a page may ask.
pub fn request_needs_token(method: Method, path: &str) -> bool {
    method != Method::Options && path_needs_token(path)
}

/// Whether a path needs a token. Paths are compared as they were sent, which is how they are routed, too.
pub fn path_needs_token(path: &str) -> bool {
    !OPEN.iter().any(|open| if open.ends_with('/') { path.starts_with(open) } else { path == *open })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_closed_that_is_not_in_the_table() {
        let cases = [
            ("/ws/chat", true),
            ("/ws/stomp", true),
            ("/echo", true),
            ("/room", true),
            ("/sse/rooms/r", true),
            ("/poll/rooms/r", true),
            ("/api/chat/rooms", true),
            ("/api/stats", true),
            ("/api/", true),
            ("/api/auth", true),
            ("/api/authx/", true),
            ("/api/%61uth/login", true),
            ("/API/auth/", true),
            ("//api/auth/", true),
            ("/healthzz", true),
            ("/healthz/", true),
            ("/api/auth/login", false),
            ("/healthz", false),
            ("/readyz", false),
            ("/metrics", false),
            ("/openapi.json", false),
        ];
        for (path, needs) in cases {
            assert_eq!(path_needs_token(path), needs, "{path}");
            assert_eq!(request_needs_token(Method::Get, path), needs, "{path}");
            assert!(!request_needs_token(Method::Options, path), "{path}");
        }
    }
}
