//! `foghorn token`: a signed token, for scripts and for trying out.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use super::config;
use super::failure::{Failure, cannot_print};
use crate::auth::{Issuer, check_name};
use crate::config::{Flag, parse_duration};
use crate::request::names::ROOM_BYTES_MAX;
use crate::server::hmac_algorithm;
use crate::system::since_epoch;

/// Maximum time that a token lasts: ten years.
const TTL_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

#[derive(Debug, clap::Args)]
#[group(id = "token")]
pub(super) struct TokenArgs {
    /// The secret that the server has as auth.jwt_secret. Others on this machine can see it here: better leave it in
    /// FOGHORN_AUTH_JWT_SECRET or in the configuration file
    #[arg(long, value_name = "SECRET")]
    secret: Option<String>,
    /// The user's name
    #[arg(long, value_name = "NAME")]
    sub: String,
    /// A room that the user may enter; may be repeated [default: all rooms]
    #[arg(long = "room", value_name = "ROOM")]
    rooms: Vec<String>,
    /// The user may kick, delete, publish by REST, see who is online and how the server is
    #[arg(long)]
    admin: bool,
    /// How long the token lasts
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = ttl)]
    ttl: Duration,
    /// Take secret, algorithm, audience and issuer from this configuration file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

fn ttl(text: &str) -> Result<Duration, String> {
    let ttl = parse_duration(text)?;
    if ttl < Duration::from_secs(1) || ttl > TTL_MAX {
        return Err("must be between 1s and 3650d".to_owned());
    }
    Ok(ttl)
}

/// Prints the token, and nothing else.
pub(super) fn run(arguments: TokenArgs) -> Result<(), Failure> {
    for room in &arguments.rooms {
        let checked = check_name(room, ROOM_BYTES_MAX).map_err(|why| why.rule(ROOM_BYTES_MAX));
        checked.map_err(|why| Failure::usage(format!("--room {room:?}: {why}")))?;
    }
    let flag = |value| Flag { name: "--secret", key: "auth.jwt_secret", value };
    let flags: Vec<_> = arguments.secret.map(flag).into_iter().collect();
    let auth = config::load(arguments.config.as_deref(), &flags)?.auth;
    let Some(secret) = auth.jwt_secret else {
        let remedy =
            "no secret: give it with --secret, FOGHORN_AUTH_JWT_SECRET or auth.jwt_secret in --config FILE";
        return Err(Failure::usage(remedy));
    };
    let issuer = Issuer::new(
        secret.reveal().as_bytes(),
        hmac_algorithm(auth.jwt_algorithm),
        auth.audience,
        auth.issuer,
    );
    let rooms = (!arguments.rooms.is_empty()).then_some(&arguments.rooms[..]);
    let token = issuer.issue(&arguments.sub, rooms, arguments.admin, since_epoch(), arguments.ttl);
    let token = token.map_err(|error| Failure::usage(format!("--sub {:?}: {error}", arguments.sub)))?;
    writeln!(io::stdout(), "{token}").map_err(cannot_print)
}
