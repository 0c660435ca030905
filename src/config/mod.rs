//! The configuration: every key with its unit, its default and its range.
//!
//! Defaults are overruled by a TOML file, that by the environment, that by the command line. An unknown key, a value
//! out of its range or without its unit is an error that names the key and its place, never a guess.
//!
//! | file | subject |
//! |---|---|
//! | `section` | declares a table: its keys, their defaults, their kinds |
//! | `value`, `kind` | how the values of a key are read and written; every kind of value |
//! | `choices` | what keys can be set to that are one of a few words |
//! | `load` | the file, the environment and the command line, one over the other |
//! | `environment` | variables of the environment |
//! | `unit`, `listen`, `filter`, `secret` | durations and sizes; addresses to listen on; filters of the log; what is never printed |
//! | `error`, `suggestion` | what is wrong, where, and what was probably meant |

mod choices;
mod environment;
mod error;
mod filter;
mod kind;
mod listen;
mod load;
mod secret;
mod section;
mod suggestion;
mod unit;
mod value;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

pub use choices::{Durability, HmacAlgorithm, LogFormat, OnFlood, OnLag};
pub use environment::own_variables;
pub use error::ConfigError;
pub use listen::{Listen, ListenError, Place};
pub use load::Flag;
pub use secret::Secret;
pub(crate) use unit::write_duration;
pub use unit::{parse_bytes, parse_duration};

#[doc(inline)]
pub use crate::proxy::Trusted;

use crate::http::Origins;
use kind::{
    Automatic, BearerToken, Bytes, BytesOrNone, Choice, Confidential, Count, DatabaseUrl, Directory,
    EngineUrl, File, Filter, Mode, Networks, Notice, Pages, PathPages, Places, PlacesIfAny, Switch, Text,
    Time,
};
use section::{Section, section};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
const GIB: usize = 1024 * MIB;

/// Below it, timers would wake more often than they are looked at; above it, nothing is waited for.
const TIMES: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(24 * 60 * 60);

/// More connections than addresses, memory and descriptors of one machine allow.
const CONNECTIONS_MAX: usize = 10_000_000;

section! {
    /// Everything that can be configured.
    Config {
        /// Where to serve: "ADDR:PORT" or "NAME:PORT", whose name is looked up once, at the start; port 0 picks a free one;
        /// "unix:/PATH" is a Unix socket; "tls:…" speaks TLS with the certificate below. Sockets that were passed by a service manager (LISTEN_FDS) take the place of all of these.
        listen: Vec<Listen> = vec![SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080).into()], Places;
        /// Who may connect to Unix sockets: their mode, in octal.
        unix_mode: u32 = 0o660, Mode;
        /// Threads that run rooms. 0: the thread that serves the sockets runs them, too, which costs least on a single
        /// core. Not set: one for each core, or 0 if there is one.
        workers: Option<usize> = None, Automatic { range: 0..=1024, example: 4 };
        /// Where chat rooms are kept: a directory that no other server uses. Created if it is not there.
        data: PathBuf = PathBuf::from("./foghorn-data"), Directory;
        /// Whether chat rooms are kept in memory only, and gone with the process.
        memory: bool = false, Switch;
        /// Which events are logged: a level (error, warn, info, debug, trace), or a list such as
        /// "warn,foghorn::reactor=debug".
        log: String = "info".to_owned(), Filter;
        /// How lines of the log look: "text" is for people, "json" an object a line for programs.
        log_format: LogFormat = LogFormat::Text, Choice(&[("text", LogFormat::Text), ("json", LogFormat::Json)]);
    }
    tables {
        /// How the server shows who it is, where it speaks TLS.
        tls: Tls;
        /// Proxies in front of the server, and what they say about its clients.
        proxy: Proxy;
        /// What one client, and all together, may cost.
        limits: Limits;
        /// Signs of life.
        heartbeat: Heartbeat;
        /// How much of a room stays in memory, and what becomes of members that lag.
        rooms: Rooms;
        /// What is kept of chat rooms, and how safely.
        history: History;
        /// A database in place of the directory.
        store: ExternalStore;
        /// Several servers that act as one.
        cluster: Cluster;
        /// Chat rooms.
        chat: Chat;
        /// Rooms of peers that are put in touch with each other.
        signaling: Signaling;
        /// Compression of messages.
        deflate: Compression;
        /// Which web pages may connect.
        origins: AllowedOrigins;
        /// Who may connect: with one of jwt_secret, jwt_public_key_file and jwks_file, only those who have a token (JWT).
        auth: Auth;
        /// STOMP on /ws/stomp.
        stomp: Stomp;
        /// What the server counts, at /metrics.
        metrics: Metrics;
        /// A way in for operators, apart from the public one.
        admin: Admin;
        /// How the server stops.
        shutdown: Shutdown;
    }
}

section! {
    /// How the server shows who it is, where it speaks TLS. Both files are read again on SIGHUP.
    Tls {
        /// The certificate, followed by those that vouch for it (PEM).
        certificate: Option<PathBuf> = None, File { example: "/etc/foghorn/certificate.pem" };
        /// The private key of the certificate (PEM).
        key: Option<PathBuf> = None, File { example: "/etc/foghorn/key.pem" };
    }
}

section! {
    /// Proxies in front of the server, and what they say about its clients.
    Proxy {
        /// The proxies that are believed, as networks ("10.0.0.0/8") or addresses: for these, X-Forwarded-For,
        /// X-Forwarded-Proto and Forwarded say whose request it is. From other peers they are ignored.
        trusted: Trusted = Trusted::default(), Networks;
        /// Whether every connection begins with a PROXY header (version 1 or 2); one without is closed. It is believed
        /// if it comes from a trusted proxy.
        protocol: bool = false, Switch;
    }
}

section! {
    /// What one client, and all together, may cost.
    Limits {
        /// The longest message a client may send; a longer one closes its session with 1009.
        message_bytes: usize = 64 * KIB, Bytes(125..=256 * MIB);
        /// The longest head of a request, up to its empty line; a longer one is answered with 431.
        request_head_bytes: usize = 16 * KIB, Bytes(KIB..=MIB);
        /// The longest body of a request; a longer one is answered with 413.
        body_bytes: usize = MIB, Bytes(KIB..=GIB);
        /// How long a TLS handshake may take, counted from the connection.
        tls_timeout: Duration = Duration::from_secs(10), Time { range: TIMES, zero: false };
        /// How long a request may take to arrive, counted from its connection (the end of its TLS handshake) or from
        /// the request before.
        handshake_timeout: Duration = Duration::from_secs(10), Time { range: TIMES, zero: false };
        /// How long the server waits for the other side to complete a closing handshake.
        close_timeout: Duration = Duration::from_secs(5), Time { range: TIMES, zero: false };
        /// How long a message may stay unfinished after its first byte.
        message_timeout: Duration = Duration::from_secs(30), Time { range: TIMES, zero: false };
        /// How long replies and control frames may wait for a client that takes none of them, or less than 4 KiB.
        write_timeout: Duration = Duration::from_secs(60), Time { range: TIMES, zero: false };
        /// Connections open at once; one more is answered with 503.
        connections: usize = 100_000, Count { range: 1..=CONNECTIONS_MAX, zero: false };
        /// Connections open at once from one address (of IPv6: from one network of 64 bits); 0 is no limit. Behind a
        /// proxy that is not in proxy.trusted all clients share its address: leave it at 0 there.
        connections_per_ip: usize = 0, Count { range: 1..=CONNECTIONS_MAX, zero: true };
        /// Replies waiting for one client before nothing more is read from it.
        reply_bytes: usize = MIB, Bytes(4 * KIB..=GIB);
        /// Sessions of one user at once that are in a chat room, in whatever rooms; 0 is no limit. One more is closed
        /// with 1013.
        sessions_per_user: usize = 0, Count { range: 1..=CONNECTIONS_MAX, zero: true };
        /// Rooms that one session may be in at a time.
        rooms_per_session: usize = 64, Count { range: 1..=4096, zero: false };
        /// Messages that one session may send in a second; 0 is no limit.
        messages_per_second: usize = 0, Count { range: 1..=10_000_000, zero: true };
        /// Bytes that one session may send in a second, frames and all; 0 is no limit.
        bytes_per_second: usize = 0, BytesOrNone(KIB..=GIB);
        /// What becomes of a session that sends more: "slow" reads no more of it until it is within its rates again,
        /// "close" ends it with 1008.
        on_flood: OnFlood = OnFlood::Slow, Choice(&[("slow", OnFlood::Slow), ("close", OnFlood::Close)]);
        /// Pings and pongs that one session may send in a second; 0 is no limit. More of them end it with 1008.
        control_frames_per_second: usize = 100, Count { range: 1..=1_000_000, zero: true };
        /// How much of a rate can be saved: a client that was quiet for so long may then send as much at once.
        burst: Duration = Duration::from_secs(10), Time { range: Duration::from_secs(1)..=Duration::from_secs(3600), zero: false };
        /// What may wait in memory for all clients together: replies they do not take, messages and requests they do
        /// not finish. Beyond it the connections with the largest backlogs are closed, with 4008 or 1013; 0
        /// is no limit.
        memory: usize = GIB, BytesOrNone(MIB..=1024 * GIB);
        /// What compressed messages of all clients together may be inflated to in one turn of the loop. Beyond it those
        /// that send them wait for the next turns, in the middle of a message if need be.
        inflated_bytes: usize = 128 * KIB, Bytes(64 * KIB..=GIB);
        /// Rooms open at once.
        rooms: usize = 1_000_000, Count { range: 1..=100_000_000, zero: false };
        /// Rooms created in a second, by all clients together; 0 is no limit. Who would create one more is closed with
        /// 1013 or answered with 429.
        room_creations_per_second: usize = 10_000, Count { range: 1..=1_000_000, zero: true };
        /// Rooms on their way from the store at once. What needs one more is closed with 1013 or answered with 503.
        openings: usize = 65_536, Count { range: 16..=10_000_000, zero: false };
        /// What may wait in memory for rooms on their way from the store: joins, messages, questions. More is closed with
        /// 1013, told "unavailable" or answered with 503; for one room 4 MiB wait at most.
        opening_bytes: usize = 64 * MIB, Bytes(64 * KIB..=64 * GIB);
        /// Members of one room at once; 0 is no limit.
        members_per_room: usize = 0, Count { range: 1..=CONNECTIONS_MAX, zero: true };
        /// Bans in all rooms together. One more is answered with 503, and the user is not banned.
        bans: usize = 100_000, Count { range: 1..=10_000_000, zero: false };
    }
}

section! {
    /// Signs of life.
    Heartbeat {
        /// How often the server pings a session.
        ping_interval: Duration = Duration::from_secs(30), Time { range: TIMES, zero: false };
        /// A session that sent nothing for so long is closed. Must be longer than ping_interval.
        idle_timeout: Duration = Duration::from_secs(75), Time { range: TIMES, zero: false };
        /// How often a chat session is sent the text HEARTBEAT, for clients that cannot see pings, and an event stream a
        /// comment; 0 is never.
        text_interval: Duration = Duration::from_secs(25), Time { range: TIMES, zero: true };
    }
}

section! {
    /// How much of a room stays in memory, and what becomes of members that lag.
    Rooms {
        /// The most messages of a room kept in memory.
        window_messages: usize = 256, Count { range: 1..=1_000_000, zero: false };
        /// The most bytes of a room kept in memory.
        window_bytes: usize = MIB, Bytes(4 * KIB..=GIB);
        /// Number of members from which all workers together send a room its messages; 0 is never.
        lane_members: usize = 2000, Count { range: 1..=CONNECTIONS_MAX, zero: true };
        /// What becomes of a member that falls behind the window: "catch-up" sends it what it missed from the store,
        /// "gap" tells it what it lost and goes on with the newest message, "close" ends its session with 4008.
        on_lag: OnLag = OnLag::CatchUp, Choice(&[
            ("catch-up", OnLag::CatchUp),
            ("gap", OnLag::Gap),
            ("close", OnLag::Close),
        ]);
        /// Rooms on /ws/raw whose name begins with this are conflated: they keep the latest value of each key, so that a
        /// member that lags is sent the newest state of each thing and not the way to it.
        conflated: Option<String> = None, Text { example: "state/" };
    }
}

section! {
    /// What is kept of chat rooms, and how safely. A room can have these its own way.
    History {
        /// What a message has survived before a member is shown it: "commit" the end of the process, "fsync" the loss
        /// of power, "async" nothing (it is shown at once and stored soon), "off" nothing (it is never stored).
        durability: Durability = Durability::Commit, Choice(&[
            ("commit", Durability::Commit),
            ("fsync", Durability::Fsync),
            ("async", Durability::Async),
            ("off", Durability::Off),
        ]);
        /// Messages kept of a room; 0 is no limit. The oldest go first, with this and the next two limits.
        messages_max: usize = 0, Count { range: 1..=usize::MAX >> 1, zero: true };
        /// Bytes of text kept of a room, in MiB; 0 is no limit.
        mebibytes_max: usize = 0, Count { range: 1..=1 << 30, zero: true };
        /// How long a message is kept; 0 is for ever.
        age_max: Duration = Duration::ZERO, Time { range: Duration::from_secs(1)..=Duration::from_secs(3650 * 86400), zero: true };
        /// How large the database's write-ahead log may grow while something that reads the database (another program, a
        /// backup) keeps it from starting again. At half of it a backup is given up; at all of it nothing is stored until
        /// the log can start again.
        log_bytes: usize = 4 * GIB, Bytes(256 * MIB..=1024 * GIB);
        /// Where rooms are kept in memory only (`memory = true`): messages of one room at most. What exceeds this or the
        /// next two goes, oldest first, and who asks for it is told what is missing.
        memory_messages: usize = 10_000, Count { range: 1..=100_000_000, zero: false };
        /// Where rooms are kept in memory only: what the messages of one room may take, 64 bytes counted for each besides
        /// its text.
        memory_room_bytes: usize = 16 * MIB, Bytes(KIB..=1024 * GIB);
        /// Where rooms are kept in memory only: what the messages of all rooms together may take, counted alike.
        memory_bytes: usize = 32 * MIB, Bytes(64 * KIB..=1024 * GIB);
    }
}

section! {
    /// A database in place of the directory `data`: a program that was built with the feature `mongodb` keeps its chat rooms
    /// there. `history` holds as it does for the directory, but that "commit" and "fsync" are the same: a majority of the
    /// servers has the message in its journal.
    ExternalStore {
        /// Where the database is: "mongodb://HOST:PORT/DATABASE" (27017 and "test" if they are left out), with USER:PASSWORD@
        /// before the host if need be. Not set: the rooms are in the directory.
        url: Option<Secret> = None, DatabaseUrl { example: "mongodb://127.0.0.1:27017/test" };
        /// How long the database may take to answer. After that a publisher is told "unavailable", or answered with 503.
        timeout: Duration = Duration::from_secs(2), Time { range: Duration::from_millis(100)..=Duration::from_secs(60), zero: false };
        /// How long after its last sign of life a server counts as gone. Until then no other server may use the database.
        lease: Duration = Duration::from_secs(15), Time { range: Duration::from_secs(1)..=Duration::from_secs(600), zero: false };
    }
}

section! {
    /// Several servers that act as one: they keep their chat rooms in the same Redis (7.0 or later) or Valkey. What `data`
    /// and `history.durability` say does not hold for chat rooms then.
    Cluster {
        /// Where Redis is: "redis://HOST:PORT/DATABASE" (6379 and 0 if they are left out), with USER:PASSWORD@ before the host if
        /// need be; some nodes of a Redis Cluster: "redis://HOST:PORT,HOST:PORT"; Sentinels and the name that they give to the
        /// master: "redis-sentinel://HOST:PORT,HOST:PORT/DATABASE#NAME" (26379), with ?sentinel_password=… before # if they ask
        /// for one; over TLS "rediss://" and "rediss-sentinel://". Not set: this server is alone.
        url: Option<Secret> = None, EngineUrl { example: "redis://127.0.0.1:6379" };
        /// The certificates by which those of Redis have to be signed (PEM), over TLS. Not set: those that the system trusts.
        ca: Option<PathBuf> = None, File { example: "/etc/foghorn/redis-ca.pem" };
        /// The certificate that this server shows to Redis over TLS, if it is asked for one (PEM).
        certificate: Option<PathBuf> = None, File { example: "/etc/foghorn/redis-client.pem" };
        /// The private key of that certificate (PEM).
        key: Option<PathBuf> = None, File { example: "/etc/foghorn/redis-client-key.pem" };
        /// How long Redis may take to answer. After that a publisher is told "unavailable", or answered with 503.
        timeout: Duration = Duration::from_secs(2), Time { range: Duration::from_millis(100)..=Duration::from_secs(60), zero: false };
        /// How long after its last sign of life a server counts as gone: its users are then announced as having left.
        lease: Duration = Duration::from_secs(10), Time { range: Duration::from_secs(1)..=Duration::from_secs(600), zero: false };
        /// Messages kept of a room at most, as history.messages_max: what Redis has to hold in memory.
        retention: usize = 10_000, Count { range: 1..=100_000_000, zero: false };
        /// How long a message is kept, as history.age_max.
        retention_age: Duration = Duration::from_secs(7 * 86400), Time { range: Duration::from_secs(1)..=Duration::from_secs(3650 * 86400), zero: false };
    }
}

section! {
    /// Chat rooms.
    Chat {
        /// Whether the first member of a room creates it; otherwise a member of a room that was not created is refused with 1008.
        open_rooms: bool = true, Switch;
        /// What the room is told when a user comes; {username} stands for the name.
        join_notice: String = "{username} joined".to_owned(), Notice;
        /// What the room is told when a user leaves.
        leave_notice: String = "{username} left".to_owned(), Notice;
        /// A room with more members than this does not announce who comes, nor that they leave; they are counted as
        /// online all the same. 0 announces everybody. Each notice goes to all members: what a room of n members costs
        /// to fill grows with the square of n.
        notices_max_members: usize = 0, Count { range: 1..=CONNECTIONS_MAX, zero: true };
        /// How long a message id is remembered, so that a message sent again is not stored again; 0 is not at all.
        dedup_window: Duration = Duration::from_secs(120), Time { range: TIMES, zero: true };
    }
}

section! {
    /// Rooms of peers that are put in touch with each other (`/room`).
    Signaling {
        /// Peers of one room at once, also of the one without a name; one more is closed with 1013. All the others hear of
        /// each who comes or leaves, so what a room of n peers costs to fill grows with the square of n.
        peers_per_room: usize = 1000, Count { range: 1..=100_000, zero: false };
    }
}

section! {
    /// Compression of messages (permessage-deflate, RFC 7692), for clients that offer it.
    Compression {
        /// Whether offers are accepted. Only messages of clients that offered it are ever compressed.
        enabled: bool = true, Switch;
        /// Messages shorter than this are sent as they are.
        threshold: usize = KIB, Bytes(0..=256 * MIB);
        /// How hard the server compresses, from 1 (fast) to 9 (small). A broadcast is compressed once for all members.
        level: usize = 1, Count { range: 1..=9, zero: false };
        /// Whether replies may refer back to earlier ones of the same session: smaller, but each costs as much time as
        /// a whole window, and each such session that window of memory. Broadcasts never do.
        server_context_takeover: bool = false, Switch;
        /// Whether a client's messages may refer back to its earlier ones: each such session costs a window of memory.
        client_context_takeover: bool = false, Switch;
        /// The window that the server compresses with: 2 to the power of this many bytes.
        server_window_bits: usize = 15, Count { range: 8..=15, zero: false };
        /// The window that clients are asked to keep to, if they can.
        client_window_bits: usize = 15, Count { range: 8..=15, zero: false };
    }
}

section! {
    /// Which web pages may connect.
    AllowedOrigins {
        /// "same-origin": pages from this server's own scheme, host and port. "*": all pages. Or a list such as
        /// `["https://chat.example"]`, needed also behind a proxy that speaks HTTPS for a server that does not.
        allowed: Origins = Origins::SameOrigin, Pages;
        /// The same for single paths, in place of `allowed`: a path, or with a slash at its end all paths that begin so;
        /// of several that fit, the longest counts.
        endpoints: Vec<(String, Origins)> = Vec::new(), PathPages;
    }
}

section! {
    /// Who may connect. Tokens are JSON Web Tokens; their keys can be changed while the server runs (`SIGHUP`).
    Auth {
        /// The secret that tokens are signed with, by HMAC. As long as a hash at least (32 bytes) and random, or it will
        /// be guessed. Best from the environment: FOGHORN_AUTH_JWT_SECRET.
        jwt_secret: Option<Secret> = None, Confidential { example: "at least 32 random bytes" };
        /// What tokens are signed with where there is a jwt_secret: "HS256", "HS384" or "HS512". With a public key its
        /// kind decides: RS256 for RSA, ES256 for P-256, EdDSA for Ed25519.
        jwt_algorithm: HmacAlgorithm = HmacAlgorithm::Hs256, Choice(&[
            ("HS256", HmacAlgorithm::Hs256),
            ("HS384", HmacAlgorithm::Hs384),
            ("HS512", HmacAlgorithm::Hs512),
        ]);
        /// A file with the public key of those who sign tokens, in PEM: RSA (2048 bits or more), P-256 or Ed25519.
        jwt_public_key_file: Option<PathBuf> = None, File { example: "/etc/foghorn/tokens.pem" };
        /// A file with several keys, as a JSON Web Key Set; a token names one of them by its `kid`.
        jwks_file: Option<PathBuf> = None, File { example: "/etc/foghorn/jwks.json" };
        /// Whom tokens have to be for (`aud`). Not set: only tokens without an audience are accepted.
        audience: Option<String> = None, Text { example: "chat" };
        /// Who tokens have to be from (`iss`). Not set: every issuer that has the key.
        issuer: Option<String> = None, Text { example: "https://login.example" };
        /// How far the clocks of those who sign may be off, for `exp` and `nbf`.
        leeway: Duration = Duration::ZERO, Time { range: Duration::from_secs(1)..=Duration::from_secs(600), zero: true };
        /// How long a session may take to send its token, if it did not come with the handshake; then it is closed with
        /// 4401.
        timeout: Duration = Duration::from_secs(10), Time { range: TIMES, zero: false };
        /// Sessions at once that have yet to send their token; one more is answered with 503. Each keeps its request, and
        /// may send messages of up to 16 KiB.
        pending_connections: usize = 1024, Count { range: 1..=CONNECTIONS_MAX, zero: false };
    }
}

section! {
    /// STOMP on /ws/stomp: its sessions, and its queues, which are kept in memory.
    Stomp {
        /// How often the server says something to a client that wants heart-beats, and wants to hear something of one that
        /// offers them; 0 is never.
        heartbeat: Duration = Duration::from_secs(10), Time { range: Duration::from_secs(1)..=Duration::from_secs(3600), zero: true };
        /// Subscriptions of one session at once; those to rooms count as limits.rooms_per_session, too.
        subscriptions: usize = 100, Count { range: 1..=4096, zero: false };
        /// Transactions of one session at once.
        transactions: usize = 100, Count { range: 1..=10_000, zero: false };
        /// What may wait in all transactions of one session.
        transaction_bytes: usize = MIB, Bytes(KIB..=GIB);
        /// Maximum number of messages of a queue that one subscription has not acknowledged; at the maximum it is sent no more.
        unacknowledged: usize = 1000, Count { range: 1..=1_000_000, zero: false };
        /// Messages that wait in a queue for a subscriber; one more is refused.
        queue_length: usize = 10_000, Count { range: 1..=10_000_000, zero: false };
        /// Bytes of one queue, unacknowledged messages included.
        queue_bytes: usize = 16 * MIB, Bytes(KIB..=64 * GIB);
        /// Queues at once; one without subscribers and messages is none.
        queues: usize = 10_000, Count { range: 1..=10_000_000, zero: false };
        /// Bytes of all queues together.
        memory: usize = 256 * MIB, Bytes(KIB..=1024 * GIB);
    }
}

section! {
    /// What the server counts, at /metrics.
    Metrics {
        /// What a scrape has to show, as `Authorization: Bearer`; without it, it is answered with 401. Not set: everybody who
        /// reaches the server may read the metrics. Best from the environment: FOGHORN_METRICS_TOKEN. Read again on SIGHUP.
        token: Option<Secret> = None, BearerToken { example: "at-least-32-random-characters" };
    }
}

section! {
    /// A way in for operators, apart from the public one.
    Admin {
        /// Where operators are served, written as in `listen`. /admin, /metrics and /api/stats are then served there and nowhere
        /// else; /healthz, /readyz and /api/chat/ are served there, too, and nothing else is. Its connections do not begin
        /// with a PROXY header, and count for none of the limits of the public's. Not set: operators come in like everybody.
        listen: Vec<Listen> = Vec::new(), PlacesIfAny { example: "127.0.0.1:9090" };
        /// Connections open at once there; one more is answered with 503.
        connections: usize = 64, Count { range: 1..=65_536, zero: false };
        /// What each room keeps of what has happened there lately, for the dashboard's flight recorder: 8 KiB are about 170
        /// events, and cost a few nanoseconds each. 0 is no recorder.
        recorder_bytes: usize = 8 * KIB, BytesOrNone(KIB..=MIB);
        /// What the recorders of all rooms may take together. Rooms for which nothing is left have none.
        recorder_memory: usize = 64 * MIB, BytesOrNone(MIB..=64 * GIB);
    }
}

section! {
    /// How the server stops.
    Shutdown {
        /// How long sessions have to take their leave before the process exits.
        grace: Duration = Duration::from_secs(10), Time { range: TIMES, zero: false };
    }
}

impl Auth {
    /// Whether tokens are asked for.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.jwt_secret.is_some() || self.jwt_public_key_file.is_some() || self.jwks_file.is_some()
    }
}

impl Config {
    /// The keys whose values differ from those of `other`, such as `limits.message_bytes`.
    #[must_use]
    pub fn changed_keys(&self, other: &Config) -> Vec<String> {
        let mut keys = Vec::new();
        self.push_changed(other, "", &mut keys);
        keys
    }

    /// The configuration as a file: every key with its value under its comment.
    pub fn to_toml(&self) -> String {
        let mut out = String::from(
            "# The configuration of foghorn. Every key can be overruled by the environment: limits.message_bytes by\n\
             # FOGHORN_LIMITS_MESSAGE_BYTES; a list or a table is rendered there as it is here, or with commas. Durations\n\
             # have a unit (ms, s, min, h, d), and so have sizes (B, KiB, MiB, GiB).\n\n",
        );
        self.write(&mut out);
        out.truncate(out.trim_end().len());
        out.push('\n');
        out
    }
}
