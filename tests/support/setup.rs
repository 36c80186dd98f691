//! A configuration with one listener `web`, written from a test's few words.

use std::net::SocketAddr;

use super::origin::Origin;
use super::proxy::Proxy;
use super::system::Confinement;

/// A configuration and how to start the proxy with it. Lines are TOML.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    workers: usize,
    bind: SocketAddr,
    server: String,
    limits: String,
    listener: String,
    route: String,
    pool: String,
    /// Takes the place of the one route and the one pool.
    body: Option<String>,
    members: Vec<String>,
    /// Files beside the configuration: names and what is in them.
    files: Vec<(String, Vec<u8>)>,
    confinement: Confinement,
    driver: Option<String>,
}

impl Setup {
    /// Everything goes to a pool of these origins.
    pub(crate) fn to(origins: &[&Origin]) -> Setup {
        let members: Vec<_> = origins.iter().map(|origin| origin.address()).collect();
        Setup::to_addresses(&members)
    }

    /// Everything goes to a pool of these addresses.
    pub(crate) fn to_addresses(members: &[SocketAddr]) -> Setup {
        let members: Vec<_> = members.iter().map(|member| format!("\"{member}\"")).collect();
        Setup::to_members(&members)
    }

    /// Everything goes to a pool of these members, written as TOML.
    pub(crate) fn to_members(members: &[impl AsRef<str>]) -> Setup {
        Setup {
            workers: 2,
            bind: SocketAddr::from(([127, 0, 0, 1], 0)),
            server: String::new(),
            limits: String::new(),
            listener: String::new(),
            route: String::new(),
            pool: String::new(),
            body: None,
            members: members.iter().map(|member| member.as_ref().to_owned()).collect(),
            files: Vec::new(),
            confinement: Confinement::default(),
            driver: None,
        }
    }

    /// Routes and pools as written here.
    pub(crate) fn with_body(body: impl Into<String>) -> Setup {
        let mut setup = Setup::to_addresses(&[]);
        setup.body = Some(body.into());
        setup
    }

    /// This many workers instead of two.
    pub(crate) fn workers(mut self, workers: usize) -> Setup {
        self.workers = workers;
        self
    }

    /// Listens here instead of where the kernel likes.
    pub(crate) fn bind(mut self, address: SocketAddr) -> Setup {
        self.bind = address;
        self
    }

    /// A line more in `[server]`.
    pub(crate) fn server(mut self, line: impl AsRef<str>) -> Setup {
        push(&mut self.server, line.as_ref());
        self
    }

    /// A line more in `[limits]`.
    pub(crate) fn limits(mut self, line: impl AsRef<str>) -> Setup {
        push(&mut self.limits, line.as_ref());
        self
    }

    /// A line more in `[listener.web]`.
    pub(crate) fn listener(mut self, line: impl AsRef<str>) -> Setup {
        push(&mut self.listener, line.as_ref());
        self
    }

    /// A line more in the one route.
    pub(crate) fn route(mut self, line: impl AsRef<str>) -> Setup {
        push(&mut self.route, line.as_ref());
        self
    }

    /// A line more in the one pool.
    pub(crate) fn pool(mut self, line: impl AsRef<str>) -> Setup {
        push(&mut self.pool, line.as_ref());
        self
    }

    /// A file beside the configuration.
    pub(crate) fn beside(mut self, name: &str, content: impl AsRef<[u8]>) -> Setup {
        self.files.push((name.to_owned(), content.as_ref().to_vec()));
        self
    }

    /// The files beside the configuration.
    pub(crate) fn files_beside(&self) -> &[(String, Vec<u8>)] {
        &self.files
    }

    /// At most this many open files in the child.
    pub(crate) fn files(mut self, files: u64) -> Setup {
        self.confinement.files = Some(files);
        self
    }

    /// A child whose files cannot become larger than this.
    pub(crate) fn file_size(mut self, size: u64) -> Setup {
        self.confinement.file_size = Some(size);
        self
    }

    /// A child to which the kernel refuses io_uring.
    pub(crate) fn without_io_uring(mut self) -> Setup {
        self.confinement.no_io_uring = true;
        self
    }

    /// This driver, whatever the environment asks for.
    pub(crate) fn driver(mut self, driver: &str) -> Setup {
        self.driver = Some(driver.to_owned());
        self
    }

    /// The driver that the child is asked to use.
    pub(crate) fn chosen_driver(&self) -> String {
        let asked = std::env::var("RINGWAY_TEST_DRIVER").unwrap_or_else(|_| "auto".to_owned());
        self.driver.clone().unwrap_or(asked)
    }

    /// What the child lives with.
    pub(crate) fn confinement(&self) -> Confinement {
        self.confinement
    }

    /// The file.
    pub(crate) fn text(&self) -> String {
        let Setup { workers, bind, server, limits, listener, route, pool, members, .. } = self;
        let members = members.join(", ");
        let body = self.body.clone().unwrap_or_else(|| {
            format!(
                "[[route]]\npool = \"main\"\n{route}\n[pool.main]\nmembers = [{members}]\n{pool}"
            )
        });
        patient(&format!(
            "[server]\nworkers = {workers}\n{server}\n[limits]\n{limits}\n\
             [listener.web]\nbind = [\"{bind}\"]\n{listener}\n{body}"
        ))
    }

    /// Starts the proxy and waits until it serves.
    #[track_caller]
    pub(crate) fn start(self) -> Proxy {
        Proxy::start(&self)
    }
}

/// `text` with times that a slow machine keeps, too, where it says none: a test that is of something
/// else is not to fail by one.
fn patient(text: &str) -> String {
    let lines: Vec<_> = text.split_inclusive('\n').collect();
    let tables = lines.chunk_by(|_, next| !next.starts_with('['));
    tables.map(|table| patient_table(text, table[0], table[1..].concat())).collect()
}

fn patient_table(text: &str, head: &str, lines: String) -> String {
    let name = head.trim_end().trim_matches(['[', ']']);
    let times: &[_] = match *name.split('.').collect::<Vec<_>>() {
        ["pool", _] => &[
            ("timeouts", "connect"),
            ("timeouts", "response"),
            ("queue", "timeout"),
            ("retry", "deadline"),
        ],
        // Others have not all of them.
        ["listener", _] if lines.contains("protocol = ") => &[],
        ["listener", _] if text.contains("passthrough") => {
            &[("timeouts", "head"), ("timeouts", "write")]
        }
        ["listener", _] => &[
            ("timeouts", "head"),
            ("timeouts", "body"),
            ("timeouts", "write"),
            ("timeouts", "idle"),
        ],
        _ => &[],
    };
    let mut lines = lines;
    for (part, key) in times {
        let inline = format!("{part} = {{ ");
        let elsewhere = text.contains(&format!("[{name}.{part}"));
        if lines.contains(&inline) && !lines.contains(&format!("{key} = ")) {
            lines = lines.replacen(&inline, &format!("{inline}{key} = \"5m\", "), 1);
        } else if !elsewhere && !lines.contains(&format!("{part} = ")) {
            let dotted = format!("{part}.{key} = ");
            let there = lines.contains(&dotted);
            lines.insert_str(0, &if there { String::new() } else { format!("{dotted}\"5m\"\n") });
        }
    }
    format!("{head}{lines}")
}

fn push(lines: &mut String, line: &str) {
    lines.push_str(line);
    lines.push('\n');
}
