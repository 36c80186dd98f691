//! TLS that is not terminated here: which pool a connection goes to, by the name that its client
//! asks for.

use std::cell::RefCell;
use std::collections::HashMap;

use super::greeting::Refused;
use crate::config::{HostPattern, ListenerConfig, PassthroughConfig};
use crate::ids::PoolId;
use crate::net::{Buffer, Failure, Size, Stream};
use crate::stats::Reason;
use crate::wire::{ClientHello, HELLO_MOST, HelloReader};

/// The alert that tells a client that nobody here has the name that it asks for (RFC 6066).
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 1, 0, 2, 2, 112];

/// The pools of one listener by name.
#[derive(Debug)]
pub(super) struct Passthrough {
    exact: HashMap<Vec<u8>, PoolId>,
    /// By suffix with its leading dot.
    wildcard: HashMap<Vec<u8>, PoolId>,
    default: Option<PoolId>,
}

impl Passthrough {
    pub(super) fn new(config: &PassthroughConfig) -> Self {
        let (mut exact, mut wildcard) = (HashMap::new(), HashMap::new());
        for rule in &config.rules {
            for name in &rule.sni {
                match name {
                    HostPattern::Exact(name) => exact.insert(name.clone().into_bytes(), rule.pool),
                    HostPattern::Wildcard(suffix) => {
                        wildcard.insert(suffix.clone().into_bytes(), rule.pool)
                    }
                };
            }
        }
        Self { exact, wildcard, default: config.default }
    }

    /// The pool for a name in lower case; empty: the client names none. An exact name comes before
    /// wildcards, a longer wildcard before a shorter one.
    fn find(&self, name: &[u8]) -> Option<PoolId> {
        if let Some(pool) = self.exact.get(name) {
            return Some(*pool);
        }
        let suffixes = memchr::memchr_iter(b'.', name).filter_map(|dot| name.get(dot..));
        // A wildcard stands for a label at least.
        let mut suffixes = suffixes.filter(|suffix| suffix.len() < name.len());
        suffixes.find_map(|suffix| self.wildcard.get(suffix)).copied().or(self.default)
    }

    /// Reads what the client asks for, and says which pool the connection goes to; `None`: to none
    /// of those whose TLS passes through. What was read stays in `received`, from the first byte
    /// on, for the member or for whoever terminates TLS. The name is left in `name`.
    pub(super) async fn sort(
        &self,
        listener: &ListenerConfig,
        stream: &Stream,
        received: &mut Buffer,
        name: &RefCell<Vec<u8>>,
    ) -> Result<Option<PoolId>, Refused> {
        // One deadline for all of it.
        stream.arm_read(listener.timeouts.head);
        let hello = read(stream, received).await;
        stream.disarm_read();
        let hello = hello?;
        let pool = self.find(&hello.server_name);
        *name.borrow_mut() = hello.server_name;
        Ok(pool)
    }
}

async fn read(stream: &Stream, received: &mut Buffer) -> Result<ClientHello, Refused> {
    let mut reader = HelloReader::default();
    loop {
        match reader.read(received.data()) {
            Ok(Some(hello)) => return Ok(hello),
            Ok(None) => {}
            Err(_) => return Err(Refused::For(Reason::BadHello)),
        }
        if received.capacity() == 0 {
            *received = Buffer::take(Size::Small);
        } else if received.room() == 0 {
            received.compact();
            let size = received.capacity().saturating_mul(4).min(HELLO_MOST);
            if received.room() == 0 {
                // The reader gives up at this size, so this ends.
                received.grow(size.max(received.len() + 1));
            }
        }
        match stream.recv(received).await {
            Ok(_) => {}
            Err(Failure::TimedOut) => return Err(Refused::For(Reason::HelloTimeout)),
            Err(_) if received.is_empty() => return Err(Refused::Silent),
            Err(_) => return Err(Refused::For(Reason::ClientGone)),
        }
    }
}

/// Tells a client that nobody here has the name that it asks for.
pub(super) async fn turn_away(listener: &ListenerConfig, stream: &Stream) {
    let mut alert = Buffer::take(Size::Small);
    alert.tail().extend_from_slice(&UNRECOGNIZED_NAME);
    // It may be gone already.
    _ = stream.send_within(&mut alert, listener.timeouts.write).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PassthroughRule;

    #[test]
    fn the_most_specific_name_wins() {
        let exact = |name: &str| HostPattern::Exact(name.to_owned());
        let wildcard = |suffix: &str| HostPattern::Wildcard(suffix.to_owned());
        let rule = |sni, pool| PassthroughRule { sni, pool: PoolId(pool) };
        let rules = vec![
            rule(vec![wildcard(".example")], 1),
            rule(vec![wildcard(".deep.example"), exact("b.example")], 2),
            rule(vec![exact("a.example"), exact("x.deep.example")], 3),
        ];
        for default in [None, Some(PoolId(9))] {
            let passed = Passthrough::new(&PassthroughConfig { rules: rules.clone(), default });
            for (name, expected) in [
                ("a.example", Some(PoolId(3))),
                ("b.example", Some(PoolId(2))),
                ("c.example", Some(PoolId(1))),
                ("c.d.example", Some(PoolId(1))),
                ("c.deep.example", Some(PoolId(2))),
                ("c.d.deep.example", Some(PoolId(2))),
                ("x.deep.example", Some(PoolId(3))),
                ("deep.example", Some(PoolId(1))),
                ("example", default),
                (".example", default),
                ("aexample", default),
                ("", default),
                ("other", default),
            ] {
                assert_eq!(passed.find(name.as_bytes()), expected, "{name}");
            }
        }
    }
}
