//! `/metrics`: what the server counts, in the text format of Prometheus (0.0.4).
//!
//! Nothing is counted here: the reactor, the shards and the store count for themselves, and are asked at each scrape.
//! Labels have few values, known beforehand; no name of a room or a user is among them. `docs/metrics.md` has them all.
//!
//! | file | subject |
//! |---|---|
//! | `access` | who may read them |
//! | `figures` | what a scrape has gathered |
//! | `families`, `cluster` | the metrics: their names, what they mean, their values; those of a node of a cluster |
//! | `encoder` | how one metric is written |

mod access;
mod cluster;
mod encoder;
mod families;
mod figures;

use prometheus_client::encoding::prometheus_text;
use prometheus_client::registry::Registry;

use self::access::Access;
use self::figures::Figures;
use crate::config::Config;
use crate::http::{Head, Method, Problem, Response, Status};
use crate::server::{Answer, Api, Audience, Request, Responder, Router};
use crate::store::Store;

const PATH: &str = "/metrics";
const ALLOW: &str = "GET, HEAD, OPTIONS";

/// Adds the metrics, also those of `store`, which must be the server's own.
#[must_use]
pub fn routes(router: Router, config: &Config, store: &Store) -> Router {
    router
        .audience(PATH, Audience::Operators)
        .api(PATH, Metrics { access: Access::new(config.metrics.token.clone()), store: store.clone() })
}

struct Metrics {
    access: Access,
    store: Store,
}

impl Api for Metrics {
    /// It names nobody, and who scrapes has no token of a user; `metrics.token` is another.
    fn needs_token(&self, head: &Head<'_>) -> bool {
        head.path() != PATH
    }

    fn reconfigure(&self, config: &Config) {
        self.access.set(config.metrics.token.clone());
    }

    fn call(&self, request: &Request<'_>, responder: Responder) -> Answer {
        if request.head.path() != PATH {
            return Answer::Now(Problem::new(Status::NOT_FOUND, "there is nothing at this path").response());
        }
        match request.head.method() {
            Method::Get | Method::Head => {}
            Method::Options => return Answer::Now(Response::new(Status::NO_CONTENT).header("Allow", ALLOW)),
            Method::Post | Method::Put | Method::Delete | Method::Patch | Method::Other => {
                let problem = Problem::new(Status::METHOD_NOT_ALLOWED, "metrics can only be read");
                return Answer::Now(problem.response().header("Allow", ALLOW));
            }
        }
        if let Err(refusal) = self.access.check(request.head) {
            return Answer::Now(refusal);
        }
        let (rooms, store) = (request.rooms.clone(), self.store.clone());
        let asked = request.rooms.figures(move |reactor, shards| {
            responder.respond(answer(Figures::gather(reactor, &shards, &rooms, &store)));
        });
        if asked.is_err() {
            let problem =
                Problem::new(Status::SERVICE_UNAVAILABLE, "too much waits for the rooms").response();
            return Answer::Now(problem.header("Retry-After", "1"));
        }
        Answer::Pending
    }
}

fn answer(figures: Figures) -> Response {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(figures));
    let mut text = String::new();
    if let Err(error) = prometheus_text::encode(&mut text, &registry) {
        tracing::error!(%error, "the metrics could not be written");
        return Problem::new(Status::INTERNAL_SERVER_ERROR, "the metrics could not be written").response();
    }
    let response = Response::new(Status::OK).body(prometheus_text::CONTENT_TYPE, text.into_bytes());
    response.header("Cache-Control", "no-store").header("X-Content-Type-Options", "nosniff")
}

#[cfg(test)]
mod tests;
