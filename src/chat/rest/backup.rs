//! A copy of everything that is stored, fetched in pieces while the server goes on: what `foghorn backup` asks for.
//!
//! | method and query | answer |
//! |---|---|
//! | `POST` | `201` `{id}`: a copy is being made |
//! | `GET ?id&offset` | `202` `{copied, total}` while it is; then `200` and a piece from that byte on, empty at the end; the length of the whole in `Foghorn-Backup-Bytes` |
//! | `DELETE ?id` | `204`: the client has all it wants |

use serde::Serialize;

use super::call::{Call, json};
use super::error::ApiError;
use crate::http::{Problem, Response, Status};
use crate::store::{BackupError, BackupId, BackupPart};

/// When another client may try, in seconds: a copy takes some time.
const RETRY_AFTER: &str = "10";

#[derive(Serialize)]
struct Begun {
    id: String,
}

#[derive(Serialize)]
struct Progress {
    copied: u64,
    total: u64,
}

pub(super) fn begin(call: Call<'_>) -> Result<(), ApiError> {
    let pending = call.pending.clone();
    let done = move |begun: Result<BackupId, BackupError>| {
        let begun = begun.map(|BackupId(id)| Begun { id: format!("{id:016x}") });
        pending.send(begun.map_err(refusal).and_then(|begun| json(Status::CREATED, &begun)));
    };
    Ok(call.store.begin_backup(Box::new(done))?)
}

pub(super) fn read(call: Call<'_>) -> Result<(), ApiError> {
    let (id, offset) = (id(&call)?, call.params.number("offset")?.unwrap_or(0));
    let pending = call.pending.clone();
    let done = move |part: Result<BackupPart, BackupError>| {
        pending.send(part.map_err(refusal).and_then(response));
    };
    Ok(call.store.read_backup(id, offset, Box::new(done))?)
}

pub(super) fn end(call: Call<'_>) -> Result<(), ApiError> {
    let id = id(&call)?;
    let pending = call.pending.clone();
    let done = move |ended: Result<(), BackupError>| {
        pending.send(ended.map_err(refusal).map(|()| Response::new(Status::NO_CONTENT)));
    };
    Ok(call.store.end_backup(id, Box::new(done))?)
}

fn id(call: &Call<'_>) -> Result<BackupId, ApiError> {
    let text = call.params.text("id")?.unwrap_or_default();
    let id = u64::from_str_radix(&text, 16).ok().filter(|_| text.len() == 16);
    id.map(BackupId).ok_or_else(|| ApiError::malformed("id is not the one of a backup"))
}

fn response(part: BackupPart) -> Result<Response, ApiError> {
    match part {
        BackupPart::Copying { copied, total } => json(Status::ACCEPTED, &Progress { copied, total }),
        BackupPart::Piece { bytes, total } => Ok(Response::new(Status::OK)
            .body("application/octet-stream", bytes)
            .header("Foghorn-Backup-Bytes", total.to_string())),
    }
}

fn refusal(error: BackupError) -> ApiError {
    let status = match error {
        BackupError::InMemory | BackupError::Elsewhere => Status::CONFLICT,
        BackupError::NoSuchBackup => Status::NOT_FOUND,
        BackupError::UnderWay | BackupError::Failed(_) => Status::SERVICE_UNAVAILABLE,
    };
    let response = Problem::new(status, error.to_string()).response();
    ApiError::new(if status == Status::SERVICE_UNAVAILABLE {
        response.header("Retry-After", RETRY_AFTER)
    } else {
        response
    })
}
