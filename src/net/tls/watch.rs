//! Files of certificates that change while they are in use: noticed, checked, taken as a whole.
//!
//! All files of a listener count as changed when they looked the same at two looks in a row: none
//! is being written then. Blocks: for the control thread.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::super::stamp::{Stamp, stamp};
use super::certificates::{self, Certificate, FileFault, LoadedCertificate};
use super::server::Termination;
use crate::config::{CertificateConfig, TlsConfig};

/// Certificates of a directory.
const DIRECTORY_MOST: usize = 10_000;

/// How the files of a listener looked.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// When they were taken.
    taken: HashMap<PathBuf, Stamp>,
    /// At the last look.
    seen: HashMap<PathBuf, Stamp>,
}

/// What has become of files that changed.
#[derive(Debug)]
pub enum FileChange {
    /// A certificate is in use from now on.
    Taken(LoadedCertificate),
    /// A certificate is no longer in use.
    Gone(LoadedCertificate),
    /// So many keys for tickets are in use from now on.
    TicketKeys(usize),
    /// Others may issue certificates of clients from now on: those of this file.
    Authorities(PathBuf),
    /// A file is not good: what was in use stays so.
    Refused(FileFault),
}

fn files(certificate: &CertificateConfig) -> impl Iterator<Item = &PathBuf> {
    [&certificate.chain, &certificate.key].into_iter().chain(&certificate.ocsp)
}

/// All certificates of a listener: those written, then those in the directory by name.
pub(super) fn certificates(config: &TlsConfig) -> Result<Vec<CertificateConfig>, FileFault> {
    let mut all = config.certificates.clone();
    let Some(directory) = &config.directory else { return Ok(all) };
    let fault =
        |error: std::io::Error| FileFault::new(directory, format!("cannot be read: {error}"));
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        let is_chain = path.extension().is_some_and(|end| end == "crt" || end == "pem");
        if is_chain && paths.len() < DIRECTORY_MOST && path.with_extension("key").exists() {
            paths.push(path);
        }
    }
    paths.sort();
    all.extend(paths.into_iter().map(|chain| {
        let ocsp = Some(chain.with_extension("ocsp")).filter(|path| path.exists());
        CertificateConfig { key: chain.with_extension("key"), chain, ocsp }
    }));
    Ok(all)
}

impl Watched {
    pub(super) fn new(config: &TlsConfig) -> Self {
        let now = Self::look(config, &certificates(config).unwrap_or_default());
        Self { taken: now.clone(), seen: now }
    }

    fn look(config: &TlsConfig, certificates: &[CertificateConfig]) -> HashMap<PathBuf, Stamp> {
        let authorities = config.client_auth.iter().map(|auth| &auth.ca);
        let paths = certificates.iter().flat_map(files).chain(&config.ticket_keys);
        let paths = paths.chain(authorities);
        paths.filter_map(|path| Some((path.clone(), stamp(path)?))).collect()
    }

    fn changed(&self, path: &PathBuf) -> bool {
        self.taken.get(path) != self.seen.get(path)
    }
}

impl Termination {
    /// Looks at the files; takes what has changed and is good, for all workers at once. What is
    /// not leaves everything as it was, and is told once.
    pub fn refresh(&mut self, now: Duration) -> Vec<FileChange> {
        self.tickets.rotate(now);
        // Of a directory that cannot be read everything stays.
        let Ok(written) = certificates(&self.config) else { return Vec::new() };
        let look = Watched::look(&self.config, &written);
        let stable = look == self.watched.seen;
        self.watched.seen = look;
        if !stable || self.watched.seen == self.watched.taken {
            return Vec::new();
        }
        let mut changes = Vec::new();
        if let Some(path) = &self.config.ticket_keys
            && self.watched.changed(path)
        {
            changes.push(match self.tickets.reload(path) {
                Ok(count) => FileChange::TicketKeys(count),
                Err(fault) => FileChange::Refused(fault),
            });
        }
        let authorities = self.config.client_auth.as_ref().map(|auth| auth.ca.clone());
        if let Some(path) = authorities.filter(|path| self.watched.changed(path)) {
            changes.push(match self.trust_anew() {
                Ok(()) => FileChange::Authorities(path),
                Err(fault) => FileChange::Refused(fault),
            });
        }
        self.swap(&written, &mut changes);
        self.watched.taken = self.watched.seen.clone();
        changes
    }

    fn swap(&self, written: &[CertificateConfig], changes: &mut Vec<FileChange>) {
        let old = self.store.certificates();
        let same = |one: &CertificateConfig| {
            old.iter().find(|had| had.about.chain == one.chain && had.about.key == one.key)
        };
        let before = changes.len();
        let mut new: Vec<Certificate> = Vec::new();
        for one in written {
            let had = same(one);
            if had.is_some() && !files(one).any(|path| self.watched.changed(path)) {
                new.extend(had.cloned());
                continue;
            }
            match self.reload(one, had) {
                Ok(certificate) => {
                    changes.push(FileChange::Taken(certificate.about.clone()));
                    new.push(certificate);
                }
                Err(fault) => {
                    changes.push(FileChange::Refused(fault));
                    new.extend(had.cloned());
                }
            }
        }
        let stays = |had: &&Certificate| {
            new.iter()
                .any(|one| one.about.chain == had.about.chain && one.about.key == had.about.key)
        };
        let gone: Vec<_> =
            old.iter().filter(|had| !stays(had)).map(|had| had.about.clone()).collect();
        // Without any the listener would serve nobody.
        if let (true, Some(directory)) = (new.is_empty(), &self.config.directory) {
            let fault = FileFault::new(directory, "has no certificate with a key in it any more");
            changes.push(FileChange::Refused(fault));
            return;
        }
        changes.extend(gone.into_iter().map(FileChange::Gone));
        let swaps =
            |change: &FileChange| matches!(change, FileChange::Taken(_) | FileChange::Gone(_));
        if changes.iter().skip(before).any(swaps) {
            self.store.swap(new);
        }
    }

    fn reload(
        &self,
        one: &CertificateConfig,
        had: Option<&Certificate>,
    ) -> Result<Certificate, FileFault> {
        let certificate = certificates::load(one, &self.provider, &mut Vec::new())?;
        match certificate.about.odd_time() {
            // One that is good now is better.
            Some(odd) if had.is_some_and(|had| had.about.not_after > certificate.about.loaded) => {
                Err(FileFault::new(&one.chain, odd))
            }
            _ => Ok(certificate),
        }
    }
}
