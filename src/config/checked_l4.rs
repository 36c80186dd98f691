//! The checked configuration of what a listener does below HTTP. Immutable.

use super::checked::{Cidr, HostPattern};
use crate::ids::PoolId;

/// `protocol` of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `"http"`, the default: requests, which routes send to pools.
    Http,
    /// `"tcp"`: every connection is relayed to this pool, byte by byte.
    Tcp(PoolId),
    /// `"udp"`: datagrams.
    Udp(UdpConfig),
}

/// What a listener with `protocol = "udp"` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpConfig {
    /// Where its datagrams go.
    pub pool: PoolId,
    /// Datagrams from the member after which a flow ends. `None`, the default: it ends when idle.
    pub replies: Option<u32>,
}

/// `proxy_protocol = {...}` of a listener: the header of a load balancer in front, which says who
/// the client is.
#[derive(Clone, Debug)]
pub struct ProxyProtocolConfig {
    /// Peers whose header is believed. At least one.
    pub trusted: Vec<Cidr>,
    /// `mode = "required"`, the default, rather than `"optional"`.
    pub required: bool,
}

/// `[[listener.NAME.passthrough]]` and `passthrough_default`: TLS that is not terminated here.
#[derive(Clone, Debug)]
pub struct PassthroughConfig {
    /// In file order.
    pub rules: Vec<PassthroughRule>,
    /// Where connections go that no rule takes.
    pub default: Option<PoolId>,
}

/// Which connections go to a pool with their TLS untouched.
#[derive(Clone, Debug)]
pub struct PassthroughRule {
    /// Names that clients ask for. At least one.
    pub sni: Vec<HostPattern>,
    /// Where they go.
    pub pool: PoolId,
}

/// `proxy_protocol = "..."` of a pool: the header that members get in front of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyVersion {
    /// `"v1"`: a line of text.
    V1,
    /// `"v2"`: binary.
    V2,
}
