//! What to do with a request, decided from its head.

use super::Dispatch;
use crate::handshake::{self, Intent};
use crate::http::{Head, Method, Problem, Response, Status};
use crate::reactor::{PeerInfo, Route};
use crate::server::auth::admission::Admission;
use crate::server::router::{Audience, Target};

/// What can be asked of a page.
const PAGE_METHODS: &str = "GET, HEAD, OPTIONS";

impl Dispatch {
    pub(super) fn route_of(&self, head: &Head<'_>, peer_info: &PeerInfo) -> Route<'_, Admission> {
        let answer = match self.router.find(head.path()) {
            // About the server as a whole (RFC 9110 §9.3.7); load balancers ask so.
            _ if head.path() == "*" => {
                Response::new(Status::NO_CONTENT).header("Allow", "GET, HEAD, POST, DELETE, OPTIONS")
            }
            // What is for others is not there, whatever is asked of it.
            Some(_) if !self.serves(head.path(), peer_info) => nothing_here(),
            None => nothing_here(),
            Some(Target::Endpoint(number)) => {
                let Some(endpoint) = self.router.endpoint_of(*number) else {
                    debug_assert!(false, "a path leads to an endpoint that is not there");
                    return Route::Respond(Response::new(Status::INTERNAL_SERVER_ERROR));
                };
                return self.upgrade(*number, endpoint, head, peer_info).unwrap_or_else(Route::Respond);
            }
            Some(Target::Api(api)) if handshake::intent(head) == Intent::Http => {
                return self.admit_request(api, head, peer_info).unwrap_or_else(Route::Respond);
            }
            Some(Target::Api(_)) => {
                Problem::new(Status::NOT_FOUND, "there is no WebSocket at this path").response()
            }
            Some(Target::Page(page)) => page_answer(page, head.method()),
        };
        // A client that wanted to leave HTTP may have sent frames behind the request: they must not be read as requests.
        let wanted_upgrade = handshake::intent(head) == Intent::Upgrade;
        Route::Respond(if wanted_upgrade { answer.close() } else { answer })
    }

    /// Whether a path is served where this request came in.
    fn serves(&self, path: &str, peer_info: &PeerInfo) -> bool {
        match self.router.audience_of(path) {
            _ if !self.has_admin => true,
            Audience::Public => !peer_info.admin,
            Audience::Operators => peer_info.admin,
            Audience::Everybody => true,
        }
    }
}

fn nothing_here() -> Response {
    Problem::new(Status::NOT_FOUND, "there is nothing at this path").response()
}

fn page_answer(page: &Response, method: Method) -> Response {
    match method {
        Method::Get | Method::Head => page.clone(),
        Method::Options => Response::new(Status::NO_CONTENT).header("Allow", PAGE_METHODS),
        Method::Post | Method::Put | Method::Delete | Method::Patch | Method::Other => {
            let problem = Problem::new(Status::METHOD_NOT_ALLOWED, "this page can only be read");
            problem.response().header("Allow", PAGE_METHODS)
        }
    }
}
