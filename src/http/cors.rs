//! Which web pages may see an answer, and how their browser is told (Fetch standard, "CORS protocol").

use super::head::Head;
use super::origin::Origins;
use super::response::Response;

/// Response header fields that a page may see, besides the harmless ones.
const HEADERS_EXPOSED: &str = "ETag, Foghorn-Position, Location, Retry-After, WWW-Authenticate";

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access<'r> {
    /// No web page.
    Client,
    /// A page of this origin, which is let in.
    Page {
        /// As it stands in the request.
        origin: &'r str,
        /// Whether all origins are let in, so that none may bring cookies.
        anybody: bool,
    },
    /// A page that is not let in.
    Stranger,
}

impl<'r> Access<'r> {
    /// Who sent this request, where `origins` are let in; `secure` says that it came over TLS.
    pub fn of(origins: &Origins, head: &Head<'r>, secure: bool) -> Access<'r> {
        let Ok(origin) = head.fields().only("Origin") else { return Access::Stranger };
        let Some(origin) = origin else { return Access::Client };
        if origins.allows(Some(origin), head.host().unwrap_or_default(), secure) {
            Access::Page { origin, anybody: *origins == Origins::Any }
        } else {
            Access::Stranger
        }
    }

    /// The header fields that let the page see the answer.
    pub fn fields(&self) -> CorsFields {
        CorsFields(self.headers())
    }

    fn headers(&self) -> Vec<(&'static str, String)> {
        let Access::Page { origin, anybody } = self else { return Vec::new() };
        let exposed = ("Access-Control-Expose-Headers", HEADERS_EXPOSED.to_owned());
        if *anybody {
            return vec![("Access-Control-Allow-Origin", "*".to_owned()), exposed];
        }
        let credentials = ("Access-Control-Allow-Credentials", "true".to_owned());
        vec![("Access-Control-Allow-Origin", (*origin).to_owned()), credentials, exposed]
    }

    /// Adds these fields, and that the answer depends on who asks.
    #[must_use]
    pub fn apply(&self, response: Response) -> Response {
        self.fields().apply(response)
    }
}

/// The header fields that let a page see an answer, kept for an answer that comes later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorsFields(Vec<(&'static str, String)>);

impl CorsFields {
    /// Adds these fields, and that the answer depends on who asks.
    #[must_use]
    pub fn apply(&self, response: Response) -> Response {
        let response = response.header("Vary", "Origin");
        self.0.iter().fold(response, |response, (name, value)| response.header(*name, value.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::HeadLimits;

    #[test]
    fn a_page_is_told_by_its_origin_and_nobody_brings_cookies_where_everybody_is_let_in() {
        let list = Origins::parse(&["https://a"]).unwrap();
        let cases = [
            ("", &list, Access::Client, ""),
            (
                "Origin: https://a\r\n",
                &list,
                Access::Page { origin: "https://a", anybody: false },
                "https://a",
            ),
            ("Origin: https://b\r\n", &list, Access::Stranger, ""),
            ("Origin: https://a\r\nOrigin: https://a\r\n", &list, Access::Stranger, ""),
            ("Origin: null\r\n", &Origins::Any, Access::Page { origin: "null", anybody: true }, "*"),
        ];
        for (fields, origins, expected, allowed) in cases {
            let text = format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
            let (head, _) = Head::parse(text.as_bytes(), 0, &HeadLimits::default()).unwrap().unwrap();
            let access = Access::of(origins, &head, false);
            assert_eq!(access, expected);
            let headers = access.headers();
            let value =
                |name| headers.iter().find(|(given, _)| *given == name).map_or("", |(_, value)| value);
            assert_eq!(value("Access-Control-Allow-Origin"), allowed);
            assert_eq!(value("Access-Control-Allow-Credentials") == "true", allowed.starts_with("https"));
        }
    }
}
