//! The least proxy that Pingora makes: every request goes to one origin, over connections that are kept.
//! usage: pingora-peer WORKERS ADDRESS ORIGIN [CERTIFICATE, in one file with its key]

use std::error::Error as StdError;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::Result;
use pingora_core::server::Server;
use pingora_core::server::configuration::ServerConf;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_proxy::{ProxyHttp, Session, http_proxy_service};

struct Origin(SocketAddr);

#[async_trait]
impl ProxyHttp for Origin {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> Result<Box<HttpPeer>> {
        let mut peer = HttpPeer::new(self.0, false, String::new());
        peer.options.idle_timeout = Some(Duration::from_secs(3600));
        Ok(Box::new(peer))
    }
}

fn main() -> std::result::Result<(), Box<dyn StdError>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [workers, address, origin, rest @ ..] = &arguments[..] else {
        return Err("usage: pingora-peer WORKERS ADDRESS ORIGIN [CERTIFICATE]".into());
    };
    let workers: usize = workers.parse()?;
    let conf = ServerConf {
        threads: workers,
        // Threads that take tasks from each other cost more than they give where there is one.
        work_stealing: workers > 1,
        upstream_keepalive_pool_size: 512,
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(0),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let mut service = http_proxy_service(&Arc::clone(&server.configuration), Origin(origin.parse()?));
    service.threads = Some(workers);
    match rest.first() {
        Some(certificate) => service.add_tls(address, certificate, certificate)?,
        None => service.add_tcp(address),
    }
    server.add_service(service);
    server.run_forever();
}
