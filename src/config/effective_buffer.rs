//! Checked buffers as TOML.

use super::checked::RouteConfig;
use super::checked_buffer::{BodyRoom, BuffersConfig, Over};
use super::effective::{line, quote, size, table};

pub(super) fn buffers(out: &mut String, buffers: &BuffersConfig) {
    let folder = buffers.folder.as_ref().map(|path| ("folder", quote(&path.to_string_lossy())));
    let bounds = [("memory", size(buffers.memory)), ("disk", size(buffers.disk))];
    line(out, "buffers", table(folder.into_iter().chain(bounds)));
}

pub(super) fn route(out: &mut String, route: &RouteConfig) {
    let request = route.buffer_request.map(|config| {
        let over = match config.over {
            Over::Stream => "stream",
            Over::Refuse => "refuse",
        };
        table(room(config.room).into_iter().chain([("over", quote(over))]))
    });
    line(out, "buffer_request", request.unwrap_or_else(|| quote("off")));
    let response = route.buffer_response.map(|config| table(room(config)));
    line(out, "buffer_response", response.unwrap_or_else(|| quote("off")));
}

fn room(room: BodyRoom) -> [(&'static str, String); 2] {
    [("memory", size(room.memory)), ("disk", size(room.disk))]
}
