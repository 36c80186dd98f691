//! The keys of `buffers` of the server, and of `buffer_request` and `buffer_response` of routes.

use super::key_table::{KIB, MIB, key};
use super::keys::Key;
use super::keys::Kind::{Choice, Form, Size, Switch, Table};
use super::keys::Section::{BufferRequest, BufferResponse, Buffers, Route, Server};

/// The most that a size here may be.
const MOST: u64 = 1 << 44;

/// All of them.
#[rustfmt::skip]
pub(super) const KEYS: &[Key] = &[
    key(Server, "buffers", Table(Buffers), "What all bodies together may take that routes buffer.", "buffers = { folder = \"/var/lib/ringway/bodies\", disk = \"4GiB\" }"),
    key(Buffers, "folder", Form("the path of a folder", "none"),
        "Where bodies go that are too large for memory: in files that have no name, which nobody else can read and which are gone with the process, however it ends. Without it nothing goes to disk.",
        "folder = \"/var/lib/ringway/bodies\""),
    key(Buffers, "memory", Size { default: Some(256 * MIB), min: MIB, max: MOST },
        "Bytes of memory that the bodies take at the most, over all workers.", "memory = \"1GiB\""),
    key(Buffers, "disk", Size { default: Some(1024 * MIB), min: MIB, max: MOST },
        "Bytes of disk that they take at the most, over all workers.", "disk = \"20GiB\""),

    key(Route, "buffer_request", Switch { section: BufferRequest, on: false },
        "Takes a request's body in whole before a member is chosen for it, so that a client that sends slowly holds none, see [buffering](buffering.md).",
        "buffer_request = { disk = \"64MiB\" }"),
    key(Route, "buffer_response", Switch { section: BufferResponse, on: false },
        "Takes answers in as fast as members send them, so that a client that reads slowly holds none, see [buffering](buffering.md).",
        "buffer_response = { memory = \"256KiB\", disk = \"1GiB\" }"),

    key(BufferRequest, "memory", Size { default: Some(MIB), min: 64 * KIB, max: MOST },
        "Bytes of memory that one body takes at the most.", "memory = \"256KiB\""),
    key(BufferRequest, "disk", Size { default: Some(0), min: 0, max: MOST },
        "Bytes of disk that it takes beside that; needs `buffers.folder`.", "disk = \"64MiB\""),
    key(BufferRequest, "over", Choice(&["stream", "refuse"]),
        "What becomes of a body for which there is no room: it goes on to a member as it comes, behind what was taken in, or the request is refused: with 413 where it is larger than the two bounds above, with 503 where those of the process are met.",
        "over = \"refuse\""),
    key(BufferResponse, "memory", Size { default: Some(MIB), min: 64 * KIB, max: MOST },
        "Bytes of memory that one answer takes at the most.", "memory = \"256KiB\""),
    key(BufferResponse, "disk", Size { default: Some(0), min: 0, max: MOST },
        "Bytes of disk that it takes beside that; needs `buffers.folder`. Of an answer for which there is no room the member sends as much as its client reads.", "disk = \"1GiB\""),
];
