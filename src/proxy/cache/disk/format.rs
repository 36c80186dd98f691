//! The file of one answer, as bytes. Pure. All numbers are little-endian.
//!
//! First the plan of the file, which never changes. Then two slots of one size, each with room for
//! what is known of the answer: who changes that writes the slot that is not in use, so that one of
//! both is whole at any time, and the younger one counts. Then a checksum for each block of the body.
//! Then the body. What does not add up is not read any further.

use super::super::stored::Label;
use crate::http::caching::Lifetime;

/// Bytes of a block of the body, which has a checksum of its own.
pub(super) const BLOCK: usize = 64 << 10;

/// The format of the files that are written, and the only one that is read.
pub(super) const VERSION: u32 = 1;

/// Bytes of the plan.
pub(super) const PLAN: usize = 48;

const MAGIC: [u8; 8] = *b"ringwayC";

/// Bytes in front of what is in a slot.
const SLOT_HEAD: usize = 16;

/// What a slot has room for beside what is in it at first: a later answer may say more.
const SLACK: usize = 512;

/// Slots are so large, or larger by whole multiples.
const STEP: usize = 512;

/// Bytes of the largest slot: what has a longer head or URL is not written.
const SLOT_MOST: usize = 128 << 10;

/// Bytes of the largest body that is believed.
const BODY_MOST: u64 = 1 << 40;

/// Why bytes are no file of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bad {
    /// It is of another version of the format.
    OtherVersion,
    /// It is damaged, or cut off, or something else.
    Damaged,
}

/// Where what is in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Its name: a file under another one is a copy.
    pub(super) id: u64,
    /// Bytes of the body.
    pub(super) body: u64,
    slot: u32,
    /// The checksum of the checksums.
    pub(super) sums: u32,
}

impl Plan {
    /// For a page of so many bytes, and a body; `None`: it is too large.
    pub(super) fn new(id: u64, page: usize, body: u64, sums: u32) -> Option<Self> {
        let slot = (SLOT_HEAD + page + SLACK).next_multiple_of(STEP);
        let fits = slot <= SLOT_MOST && body <= BODY_MOST;
        fits.then_some(Self { id, body, slot: u32::try_from(slot).ok()?, sums })
    }

    pub(super) fn write(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(PLAN);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&self.slot.to_le_bytes());
        out.extend_from_slice(&self.body.to_le_bytes());
        out.extend_from_slice(&self.id.to_le_bytes());
        out.extend_from_slice(&self.sums.to_le_bytes());
        out.resize(PLAN - 4, 0);
        let sum = crc32fast::hash(&out);
        out.extend_from_slice(&sum.to_le_bytes());
        out
    }

    /// Reads the beginning of a file.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Bad> {
        let bytes = bytes.get(..PLAN).ok_or(Bad::Damaged)?;
        let mut fields = Fields(bytes);
        if fields.take(8) != Some(&MAGIC) {
            return Err(Bad::Damaged);
        }
        // Before the checksum: another version may have it elsewhere.
        if fields.u32() != Some(VERSION) {
            return Err(Bad::OtherVersion);
        }
        let (slot, body) = (fields.u32().ok_or(Bad::Damaged)?, fields.u64().ok_or(Bad::Damaged)?);
        let (id, sums) = (fields.u64().ok_or(Bad::Damaged)?, fields.u32().ok_or(Bad::Damaged)?);
        let plan = Self { id, body, slot, sums };
        let fits = slot as usize <= SLOT_MOST && body <= BODY_MOST;
        // Every byte of it is one that would be written.
        if fits && plan.write() == bytes { Ok(plan) } else { Err(Bad::Damaged) }
    }

    /// Bytes from the beginning up to the checksums.
    pub(super) const fn front(&self) -> usize {
        PLAN + 2 * self.slot as usize
    }

    /// Where a slot is.
    pub(super) const fn slot_at(&self, slot: Slot) -> u64 {
        match slot {
            Slot::First => PLAN as u64,
            Slot::Second => PLAN as u64 + self.slot as u64,
        }
    }

    /// How many blocks the body has.
    pub(super) const fn blocks(&self) -> u64 {
        self.body.div_ceil(BLOCK as u64)
    }

    /// Bytes of the block of this number; 0: there is none.
    pub(super) fn block_length(&self, number: u64) -> usize {
        let start = number.saturating_mul(BLOCK as u64);
        usize::try_from(self.body.saturating_sub(start)).unwrap_or(BLOCK).min(BLOCK)
    }

    /// Where the block of this number is.
    pub(super) const fn block_at(&self, number: u64) -> u64 {
        self.front() as u64 + 4 * self.blocks() + number * BLOCK as u64
    }

    /// Bytes of the whole file.
    pub(super) const fn length(&self) -> u64 {
        self.front() as u64 + 4 * self.blocks() + self.body
    }
}

/// One of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    First,
    Second,
}

impl Slot {
    pub(super) const fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

/// What is known of the answer in a file.
#[derive(Debug)]
pub(super) struct Page {
    /// What it is found by: the whole key, of which the index knows a digest.
    pub(super) key: Box<[u8]>,
    pub(super) url: Box<[u8]>,
    /// Since when it is stale by an operator's word; 0: it is not.
    pub(super) stale_since: u64,
    pub(super) label: Label,
}

/// Writes a page down.
pub(super) fn write_page(key: &[u8], url: &[u8], stale_since: u64, label: &Label) -> Vec<u8> {
    // Whoever adds a field decides here whether it goes to disk.
    let Label { status, head, etag, last_modified, date, lifetime, came_at, vary, selected, tags } =
        label;
    let Lifetime {
        initial_age,
        fresh,
        always_validate,
        stale_while_revalidate,
        stale_if_error,
        may_be_stale,
    } = lifetime;
    let flags = [*always_validate, *may_be_stale, etag.is_some(), last_modified.is_some()];
    let flags = (0..).zip(flags).fold(0_u16, |all, (at, flag)| all | u16::from(flag) << at);
    let mut out = Vec::with_capacity(256 + head.len() + key.len() + url.len());
    out.extend_from_slice(&flags.to_le_bytes());
    out.extend_from_slice(&status.to_le_bytes());
    for number in
        [initial_age, fresh, stale_while_revalidate, stale_if_error, came_at, date, &stale_since]
    {
        out.extend_from_slice(&number.to_le_bytes());
    }
    let (etag, last_modified) = (etag.as_deref(), last_modified.as_deref());
    let validators = [etag.unwrap_or_default(), last_modified.unwrap_or_default()];
    for text in [key, url, head, vary, selected, tags].into_iter().chain(validators) {
        // Longer ones do not fit any slot.
        out.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(text);
    }
    out
}

/// Bytes that [`write_page`] makes of these.
pub(super) fn page_length(key: &[u8], url: &[u8], label: &Label) -> usize {
    let Label { head, etag, last_modified, vary, selected, tags, .. } = label;
    let optional = [etag, last_modified].into_iter().flatten();
    let texts = [key, url, head, vary, selected, tags].into_iter().map(<[u8]>::len);
    2 + 2 + 7 * 8 + 8 * 4 + texts.chain(optional.map(|text| text.len())).sum::<usize>()
}

fn read_page(bytes: &[u8]) -> Option<Page> {
    let mut fields = Fields(bytes);
    let flags = fields.u16().filter(|flags| *flags < 16)?;
    let flag = |at: u16| flags & (1 << at) != 0;
    let status = fields.u16()?;
    let lifetime = Lifetime {
        initial_age: fields.u64()?,
        fresh: fields.u64()?,
        always_validate: flag(0),
        stale_while_revalidate: fields.u64()?,
        stale_if_error: fields.u64()?,
        may_be_stale: flag(1),
    };
    let (came_at, date, stale_since) = (fields.u64()?, fields.u64()?, fields.u64()?);
    let (key, url, head) = (fields.text()?, fields.text()?, fields.text()?);
    let (vary, selected, tags) = (fields.text()?, fields.text()?, fields.text()?);
    let mut optional = |is_there: bool| {
        let text = fields.text()?;
        (is_there || text.is_empty()).then_some(is_there.then_some(text))
    };
    let (etag, last_modified) = (optional(flag(2))?, optional(flag(3))?);
    let label =
        Label { status, head, etag, last_modified, date, lifetime, came_at, vary, selected, tags };
    fields.0.is_empty().then_some(Page { key, url, stale_since, label })
}

/// Makes what is written into a slot; `None`: the page does not fit.
pub(super) fn write_slot(plan: &Plan, generation: u64, page: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(page.len()).ok()?;
    let mut out = vec![0; 4];
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&generation.to_le_bytes());
    out.extend_from_slice(page);
    let sum = crc32fast::hash(out.get(4..)?);
    out.splice(..4, sum.to_le_bytes());
    (out.len() <= plan.slot as usize).then_some(out)
}

fn read_slot(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut fields = Fields(bytes);
    let (sum, length) = (fields.u32()?, fields.u32()?);
    let end = usize::try_from(length).ok()?.checked_add(SLOT_HEAD)?;
    let generation = fields.u64()?;
    let page = fields.take(usize::try_from(length).ok()?)?;
    (crc32fast::hash(bytes.get(4..end)?) == sum).then_some((generation, page))
}

/// Reads both slots of a front; the younger page, its slot and its generation.
pub(super) fn read_front(plan: &Plan, front: &[u8]) -> Result<(Page, Slot, u64), Bad> {
    let of = |slot: Slot| {
        let at = usize::try_from(plan.slot_at(slot)).ok()?;
        let (generation, page) = read_slot(front.get(at..at + plan.slot as usize)?)?;
        Some((generation, slot, page))
    };
    let youngest = [Slot::First, Slot::Second].into_iter().filter_map(of);
    let youngest = youngest.max_by_key(|(generation, ..)| *generation);
    let (generation, slot, page) = youngest.ok_or(Bad::Damaged)?;
    Ok((read_page(page).ok_or(Bad::Damaged)?, slot, generation))
}

/// The checksums of a body's blocks, one behind the other, and the checksum of these.
pub(super) fn sums<'a>(body: impl Iterator<Item = &'a [u8]>) -> (Vec<u8>, u32) {
    let (mut sums, mut hasher, mut filled) = (Vec::new(), crc32fast::Hasher::new(), 0);
    for mut rest in body {
        while !rest.is_empty() {
            let (now, later) = rest.split_at_checked(BLOCK - filled).unwrap_or((rest, &[]));
            hasher.update(now);
            (filled, rest) = (filled + now.len(), later);
            if filled == BLOCK {
                sums.extend_from_slice(&std::mem::take(&mut hasher).finalize().to_le_bytes());
                filled = 0;
            }
        }
    }
    if filled > 0 {
        sums.extend_from_slice(&hasher.finalize().to_le_bytes());
    }
    let sum = crc32fast::hash(&sums);
    (sums, sum)
}

/// Reads checksums; `None`: they are not those that the plan knows.
pub(super) fn read_sums(plan: &Plan, bytes: &[u8]) -> Option<Box<[u32]>> {
    let whole = bytes.len() as u64 == 4 * plan.blocks() && crc32fast::hash(bytes) == plan.sums;
    let mut fields = Fields(bytes);
    whole.then(|| std::iter::from_fn(|| fields.u32()).collect())
}

/// What holds for every file: what is read of it is what would be written.
#[allow(clippy::panic)]
pub(super) fn fuzz(data: &[u8]) {
    let Ok(plan) = Plan::read(data) else { return };
    let written = plan.write();
    assert!(data.starts_with(&written), "a plan that nobody writes");
    let Ok((page, _, generation)) = read_front(&plan, data.get(..plan.front()).unwrap_or(data))
    else {
        return;
    };
    let Page { key, url, stale_since, label } = &page;
    let again = write_page(key, url, *stale_since, label);
    assert_eq!(again.len(), page_length(key, url, label), "a page has the length that is told");
    let slot = write_slot(&plan, generation, &again);
    let slot = slot.unwrap_or_default();
    assert!(!slot.is_empty(), "a page that was read fits its slot");
    assert!(memchr::memmem::find(data, &slot).is_some(), "a page that nobody writes");
    _ = read_sums(&plan, data.get(plan.front()..).unwrap_or_default());
}

/// Bytes that are taken from the front.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.take(2)?.try_into().ok()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn text(&mut self) -> Option<Box<[u8]>> {
        let length = self.u32()?;
        Some(self.take(usize::try_from(length).ok()?)?.into())
    }
}

#[cfg(test)]
#[path = "format_tests.rs"]
mod tests;
