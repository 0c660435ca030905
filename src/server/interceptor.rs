//! What looks at requests and sessions before the application does.

use crate::http::{Head, Response};
use crate::reactor::{Attributes, Context, PeerInfo};

/// Looks at every request for a WebSocket endpoint or an [`Api`](super::Api) before these do: refuses it, or attaches to
/// it what was found out.
///
/// An interceptor that attaches an [`Identity`](crate::auth::Identity) has vouched for the user: no token is asked for,
/// and the session or request is that user's as if it had brought one.
///
/// ```
/// use foghorn::auth::Identity;
/// use foghorn::http::{Head, Problem, Response, Status};
/// use foghorn::server::{Attributes, Context, Interceptor, PeerInfo, Router};
///
/// /// A proxy in front of this server has asked for the password.
/// struct Proxy;
///
/// impl Interceptor for Proxy {
///     fn before(
///         &self,
///         head: &Head<'_>,
///         peer_info: &PeerInfo,
///         attributes: &mut Attributes,
///     ) -> Result<(), Response> {
///         let refused = || Problem::new(Status::UNAUTHORIZED, "come through the proxy").response();
///         let user = head.fields().only("X-User").ok().flatten().filter(|_| peer_info.peer.ip().is_loopback());
///         attributes.set(Identity::new(user.ok_or_else(refused)?));
///         Ok(())
///     }
///
///     fn after(&self, cx: &mut Context<'_>, _head: &Head<'_>) {
///         let user = cx.identity().map(|identity| identity.user().to_owned());
///         println!("session {:032x} is {user:?}", cx.id());
///     }
/// }
///
/// let router = Router::new().intercept(Proxy);
/// ```
///
/// The calls come from the reactor's thread, in the order in which the interceptors were added, and must not block. One
/// that panics costs its own request or session.
pub trait Interceptor: Send + Sync + 'static {
    /// A request has come: for a WebSocket, a correct opening handshake from an allowed origin, before its 101; for an
    /// [`Api`](super::Api), its head, before its body. `attributes` go with the request, or on to the session.
    ///
    /// # Errors
    /// The response that refuses. Others are not asked any more.
    fn before(
        &self,
        head: &Head<'_>,
        peer_info: &PeerInfo,
        attributes: &mut Attributes,
    ) -> Result<(), Response> {
        let _ = (head, peer_info, attributes);
        Ok(())
    }

    /// A session begins: its 101 is on the way, who the user is has been proved if that was asked for, and the handler's
    /// `open` is next, unless the session is closed here: then its handler never hears of it.
    fn after(&self, cx: &mut Context<'_>, head: &Head<'_>) {
        let _ = (cx, head);
    }
}
