//! The format against a naive reader, and against damage.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// A file as the format is told in words.
fn file(plan: &Plan, slots: [&[u8]; 2], body: &[u8]) -> Vec<u8> {
    let mut file = plan.write();
    for (slot, at) in slots.into_iter().zip([Slot::First, Slot::Second]) {
        file.resize(usize::try_from(plan.slot_at(at)).unwrap(), 0);
        file.extend_from_slice(slot);
    }
    file.resize(plan.front(), 0);
    file.extend_from_slice(&sums([body].into_iter()).0);
    file.extend_from_slice(body);
    assert_eq!(file.len() as u64, plan.length());
    file
}

/// What a file says: its numbers, its texts and its body.
type Said = (Vec<u64>, Vec<Vec<u8>>, Vec<u8>);

/// What the file says. Reads one byte after the other, and
/// trusts nothing but the checksums.
fn naive(file: &[u8]) -> Option<Said> {
    let number = |at: usize, width: usize| -> Option<u64> {
        let mut number = 0;
        for byte in (at..at + width).rev() {
            number = number << 8 | u64::from(*file.get(byte)?);
        }
        Some(number)
    };
    let sum = |from: usize, to: usize| Some(u64::from(crc32fast::hash(file.get(from..to)?)));
    if file.get(..8)? != b"ringwayC" || number(8, 4)? != 1 || number(44, 4)? != sum(0, 44)? {
        return None;
    }
    let (slot, body) = (number(12, 4)? as usize, number(16, 8)? as usize);
    let mut best: Option<(u64, usize, usize)> = None;
    for start in [48, 48 + slot] {
        let length = number(start + 4, 4)? as usize;
        let whole =
            16 + length <= slot && number(start, 4)? == sum(start + 4, start + 16 + length)?;
        let generation = number(start + 8, 8)?;
        if whole && best.is_none_or(|(other, ..)| generation > other) {
            best = Some((generation, start + 16, start + 16 + length));
        }
    }
    let (_, mut at, end) = best?;
    let mut numbers = vec![number(at, 2)?, number(at + 2, 2)?];
    at += 4;
    for _ in 0..7 {
        numbers.push(number(at, 8)?);
        at += 8;
    }
    let mut texts = Vec::new();
    for _ in 0..8 {
        let length = number(at, 4)? as usize;
        texts.push(file.get(at + 4..at + 4 + length)?.to_vec());
        at += 4 + length;
    }
    let (sums, blocks) = (48 + 2 * slot, body.div_ceil(65536));
    if at != end || number(32, 4)? != sum(sums, sums + 4 * blocks)? {
        return None;
    }
    let start = sums + 4 * blocks;
    for block in 0..blocks {
        let (from, to) = (start + block * 65536, start + body.min((block + 1) * 65536));
        if number(sums + 4 * block, 4)? != sum(from, to)? {
            return None;
        }
    }
    (file.len() == start + body).then(|| (numbers, texts, file[start..].to_vec()))
}

/// The same by the format.
fn read(file: &[u8]) -> Option<Said> {
    let plan = Plan::read(file).ok().filter(|plan| plan.length() == file.len() as u64)?;
    let (page, ..) = read_front(&plan, &file[..plan.front()]).ok()?;
    let start = usize::try_from(plan.block_at(0)).unwrap();
    let sums = read_sums(&plan, &file[plan.front()..start])?;
    for number in 0..plan.blocks() {
        let from = usize::try_from(plan.block_at(number)).unwrap();
        let block = &file[from..from + plan.block_length(number)];
        if crc32fast::hash(block) != sums[usize::try_from(number).unwrap()] {
            return None;
        }
    }
    let Page { key, url, stale_since, label } = page;
    let Lifetime { initial_age, fresh, stale_while_revalidate, stale_if_error, .. } =
        label.lifetime;
    let flags = u64::from(label.lifetime.always_validate)
        | u64::from(label.lifetime.may_be_stale) << 1
        | u64::from(label.etag.is_some()) << 2
        | u64::from(label.last_modified.is_some()) << 3;
    let (came_at, date) = (label.came_at, label.date);
    let numbers = [flags, u64::from(label.status), initial_age, fresh, stale_while_revalidate];
    let more = [stale_if_error, came_at, date, stale_since];
    let texts = [key, url, label.head, label.vary, label.selected, label.tags];
    let validators = [label.etag.unwrap_or_default(), label.last_modified.unwrap_or_default()];
    let texts = texts.into_iter().chain(validators).map(Vec::from).collect();
    Some(([&numbers[..], &more].concat(), texts, file[start..].to_vec()))
}

fn text() -> impl Strategy<Value = Box<[u8]>> {
    vec(any::<u8>(), 0..40).prop_map(Into::into)
}

fn label() -> impl Strategy<Value = Label> {
    let lifetime = any::<[u64; 4]>().prop_flat_map(|numbers| {
        any::<[bool; 2]>().prop_map(move |[always_validate, may_be_stale]| Lifetime {
            initial_age: numbers[0],
            fresh: numbers[1],
            always_validate,
            stale_while_revalidate: numbers[2],
            stale_if_error: numbers[3],
            may_be_stale,
        })
    });
    let texts = (text(), text(), text(), text());
    let validators = (proptest::option::of(text()), proptest::option::of(text()));
    (lifetime, texts, validators, any::<(u16, u64, u64)>()).prop_map(
        |(lifetime, (head, vary, selected, tags), (etag, last_modified), numbers)| {
            let (status, date, came_at) = numbers;
            Label {
                status,
                head,
                etag,
                last_modified,
                date,
                lifetime,
                came_at,
                vary,
                selected,
                tags,
            }
        },
    )
}

/// A file with one page, in its first slot.
fn drafted(label: &Label, key: &[u8], stale: u64, body: &[u8]) -> (Plan, Vec<u8>) {
    let page = write_page(key, b"http://a/b", stale, label);
    assert_eq!(page.len(), page_length(key, b"http://a/b", label));
    let plan = Plan::new(7, page.len(), body.len() as u64, sums([body].into_iter()).1).unwrap();
    let slot = write_slot(&plan, 1, &page).unwrap();
    (plan, file(&plan, [&slot, &[]], body))
}

fn body(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 / 3) as u8).collect()
}

proptest! {
    #[test]
    fn a_naive_reader_reads_the_same(
        label in label(), key in text(), stale: u64, length in 0_usize..200_000,
    ) {
        let (_, file) = drafted(&label, &key, stale, &body(length));
        let found = read(&file);
        prop_assert!(found.is_some());
        prop_assert_eq!(&found, &naive(&file));
        let (numbers, texts, read) = found.unwrap();
        prop_assert_eq!(read, body(length));
        prop_assert_eq!((&*texts[0], &*texts[2]), (&*key, &*label.head));
        prop_assert_eq!((numbers[6], numbers[8]), (label.came_at, stale));
        fuzz(&file);
    }

    /// Whatever byte is another one: the file is refused, or says what it said.
    #[test]
    fn damage_is_found(label in label(), at: usize, to: u8, length in 0_usize..70_000) {
        let (plan, file) = drafted(&label, b"k", 1, &body(length));
        // The body is large: most damage is to be in front of it.
        let at = if at.is_multiple_of(4) { at % file.len() } else { at % plan.front() };
        let mut damaged = file.clone();
        damaged[at] = to;
        let found = read(&damaged);
        prop_assert_eq!(&found, &naive(&damaged));
        prop_assert!(found.is_none() || found == read(&file), "byte {} is {}", at, to);
        fuzz(&damaged);
    }

    #[test]
    fn what_is_cut_off_is_refused(label in label(), cut: usize, length in 0_usize..70_000) {
        let (_, mut file) = drafted(&label, b"k", 1, &body(length));
        file.truncate(cut % file.len());
        prop_assert_eq!(read(&file), None);
        prop_assert_eq!(naive(&file), None);
        fuzz(&file);
    }

    /// A page that is written anew, of which only the first bytes arrive: the old one holds, or the
    /// new one.
    #[test]
    fn a_torn_page_is_the_old_one(pages in vec((label(), any::<usize>()), 1..6)) {
        let (plan, mut file) = drafted(&pages[0].0, b"k", 0, &body(100));
        let mut holds = read(&file);
        for (label, torn) in &pages {
            let front = read_front(&plan, &file[..plan.front()]);
            let (_, slot, generation) = front.unwrap();
            let page = write_page(b"k", b"http://a/b", 5, label);
            let Some(written) = write_slot(&plan, generation + 1, &page) else { continue };
            let at = usize::try_from(plan.slot_at(slot.other())).unwrap();
            let count = if torn.is_multiple_of(2) { written.len() } else { torn % written.len() };
            file[at..at + count].copy_from_slice(&written[..count]);
            let now = read(&file);
            prop_assert!(now.is_some());
            prop_assert_eq!(&now, &naive(&file));
            if count == written.len() {
                prop_assert_eq!(&now.as_ref().unwrap().1[2], &label.head.to_vec());
                holds = now;
            } else {
                prop_assert!(now == holds || now.as_ref().unwrap().1[2] == *label.head);
                holds = now;
            }
        }
    }

    #[test]
    fn nothing_makes_the_reader_panic(mut bytes in vec(any::<u8>(), 0..2000), begins: bool) {
        if begins && bytes.len() >= PLAN {
            let slot = u32::from_le_bytes([bytes[12], bytes[13], 0, 0]);
            let plan = Plan { id: 3, body: 9, slot, sums: 4 };
            bytes[..PLAN].copy_from_slice(&plan.write());
        }
        fuzz(&bytes);
        prop_assert_eq!(read(&bytes), naive(&bytes));
    }
}

#[test]
fn other_versions_are_told_from_damage() {
    let plan = Plan::new(1, 100, 5, 0).unwrap();
    let mut bytes = plan.write();
    assert_eq!((Plan::read(&bytes), plan.block_length(0)), (Ok(plan), 5));
    assert_eq!(Plan::read(&bytes[..47]), Err(Bad::Damaged));
    bytes[8] = 2;
    assert_eq!(Plan::read(&bytes), Err(Bad::OtherVersion));
    bytes[0] = b'R';
    assert_eq!(Plan::read(&bytes), Err(Bad::Damaged));
    assert_eq!(Plan::new(1, SLOT_MOST, 5, 0), None);
    assert_eq!(Plan::new(1, 100, BODY_MOST + 1, 0), None);
}

#[test]
fn blocks_of_many_pieces() {
    let body = body(3 * BLOCK + 1);
    let whole = sums([&body[..]].into_iter());
    assert_eq!(sums(body.chunks(1000)), whole);
    assert_eq!(sums(body.chunks(BLOCK)), whole);
    assert_eq!(whole.0.len(), 16);
    let plan = Plan::new(1, 10, body.len() as u64, whole.1).unwrap();
    assert_eq!([0, 2, 3, 4].map(|at| plan.block_length(at)), [BLOCK, BLOCK, 1, 0]);
    assert_eq!(plan.length(), plan.block_at(3) + 1);
    assert_eq!(sums(std::iter::empty()).0.len(), 0);
}
