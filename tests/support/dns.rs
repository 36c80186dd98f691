//! A name server over UDP that says what the test wants: A, AAAA and SRV records, no such name,
//! nothing at all. Only as much of RFC 1035 as that takes.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use super::wire::again;

/// How long answers last, in seconds: the least there is.
const TTL: u32 = 1;

/// What a record says.
#[derive(Clone, Debug)]
pub(crate) enum Record {
    /// An address, of either family.
    Address(IpAddr),
    /// Priority, weight, port and target.
    Service(u16, u16, u16, String),
}

/// The server; it ends with the test.
pub(crate) struct Dns {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// By name in lower case, without its final dot. Absent: no such name.
    records: Mutex<HashMap<String, Vec<Record>>>,
    silent: AtomicBool,
    failing: AtomicBool,
    questions: AtomicUsize,
}

impl Dns {
    /// One that knows nothing yet.
    pub(crate) fn new() -> Dns {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("binding a name server");
        let address = socket.local_addr().expect("its address");
        let shared = Arc::new(Shared::default());
        let seen = Arc::clone(&shared);
        thread::spawn(move || serve(&socket, &seen));
        Dns { address, shared }
    }

    /// The line of `[server]` that makes it the only one.
    pub(crate) fn line(&self) -> String {
        format!("resolvers = [\"{}\"]", self.address)
    }

    /// From now on the name has these records.
    pub(crate) fn set(&self, name: &str, records: &[Record]) {
        self.shared.records.lock().expect("the records").insert(name.to_owned(), records.to_vec());
    }

    /// From now on the name has these addresses.
    pub(crate) fn set_addresses(&self, name: &str, members: &[SocketAddr]) {
        let records: Vec<_> = members.iter().map(|member| Record::Address(member.ip())).collect();
        self.set(name, &records);
    }

    /// From now on there is no such name.
    pub(crate) fn forget(&self, name: &str) {
        self.shared.records.lock().expect("the records").remove(name);
    }

    /// Whether it answers at all.
    pub(crate) fn be_silent(&self, silent: bool) {
        self.shared.silent.store(silent, Ordering::SeqCst);
    }

    /// Whether it answers that it failed (SERVFAIL).
    pub(crate) fn fail(&self, failing: bool) {
        self.shared.failing.store(failing, Ordering::SeqCst);
    }

    /// Questions so far, answered or not.
    pub(crate) fn questions(&self) -> usize {
        self.shared.questions.load(Ordering::SeqCst)
    }
}

fn serve(socket: &UdpSocket, shared: &Shared) {
    let mut question = [0; 1500];
    loop {
        let (length, peer) = again(|| socket.recv_from(&mut question)).expect("a question");
        shared.questions.fetch_add(1, Ordering::SeqCst);
        if shared.silent.load(Ordering::SeqCst) {
            continue;
        }
        let answer = answer(&question[..length], shared);
        // Who has asked may be gone.
        drop(socket.send_to(&answer, peer));
    }
}

fn answer(question: &[u8], shared: &Shared) -> Vec<u8> {
    let (name, end) = read_name(question);
    let kind = u16::from_be_bytes([question[end], question[end + 1]]);
    let records = shared.records.lock().expect("the records");
    let known = records.get(&name);
    let code = match (shared.failing.load(Ordering::SeqCst), known) {
        (true, _) => 2,
        (false, None) => 3,
        (false, Some(_)) => 0,
    };
    let fitting: Vec<Vec<u8>> =
        known.into_iter().flatten().filter_map(|record| data(record, kind)).collect();
    let count = if code == 0 { fitting.len() as u16 } else { 0 };
    // Identifier; an answer, with recursion; the code; one question.
    let mut out = question[..2].to_vec();
    out.extend([0x85, 0x80 | code, 0, 1]);
    out.extend(count.to_be_bytes());
    out.extend([0; 4]);
    out.extend(&question[12..end + 4]);
    for data in fitting.into_iter().take(count.into()) {
        // The name is that of the question.
        out.extend([0xc0, 12]);
        out.extend(kind.to_be_bytes());
        out.extend([0, 1]);
        out.extend(TTL.to_be_bytes());
        out.extend((data.len() as u16).to_be_bytes());
        out.extend(data);
    }
    out
}

/// What follows the length of a record of this kind; `None`: it is of another one.
fn data(record: &Record, kind: u16) -> Option<Vec<u8>> {
    match (record, kind) {
        (Record::Address(IpAddr::V4(ip)), 1) => Some(ip.octets().to_vec()),
        (Record::Address(IpAddr::V6(ip)), 28) => Some(ip.octets().to_vec()),
        (Record::Service(priority, weight, port, target), 33) => {
            let numbers = [*priority, *weight, *port].map(u16::to_be_bytes).concat();
            let labels = target.split('.').flat_map(|label| {
                std::iter::once(label.len() as u8).chain(label.bytes()).collect::<Vec<u8>>()
            });
            Some(numbers.into_iter().chain(labels).chain([0]).collect())
        }
        _ => None,
    }
}

/// The name of the question, in lower case, and where it ends.
fn read_name(question: &[u8]) -> (String, usize) {
    let (mut labels, mut at) = (Vec::new(), 12);
    while question[at] > 0 {
        let end = at + 1 + usize::from(question[at]);
        labels.push(String::from_utf8_lossy(&question[at + 1..end]).to_lowercase());
        at = end;
    }
    (labels.join("."), at + 1)
}
