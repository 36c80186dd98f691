//! What becomes of the places, answer by answer, and what holds whatever the answers.

use proptest::prelude::*;

use super::*;

fn config(members: &str, more: &str) -> PoolConfig {
    let text = format!(
        "[listener.a]\nbind = \"127.0.0.1:0\"\n[[route]]\npool = \"p\"\n[pool.p]\n\
         members = [{members}]\n{more}\n"
    );
    crate::config::load(&text, "test").expect("a good configuration").config.pools.remove(0)
}

fn at(seconds: u64) -> Instant {
    Instant::from_micros(1_000_000 * (1 + seconds))
}

fn address(number: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, number], 80))
}

fn found(number: u8, weight: u16, backup: bool) -> Found {
    Found { address: address(number), host: format!("host-{number}:80").into(), weight, backup }
}

fn answer(numbers: &[u8]) -> Vec<Found> {
    numbers.iter().map(|number| found(*number, 1, false)).collect()
}

/// The last byte of each place's address; 0: vacant.
fn shown(places: &Places) -> Vec<u8> {
    let number = |at| match places.site(id(at)).map(|site| &site.address) {
        Some(Address::Ip(SocketAddr::V4(v4))) => v4.ip().octets()[3],
        Some(other) => panic!("{other}"),
        None => 0,
    };
    (0..places.places.len()).map(number).collect()
}

const IDLE: fn(MemberId) -> bool = |_| false;

#[test]
fn members_of_the_file_have_their_places_in_order() {
    let members = r#""10.0.0.9:80", { address = "a.test:80", places = 2, weight = 3 }, "unix:/run/x",
        { address = "srv:_http._tcp.a.test", places = 1, backup = true }"#;
    let mut places = Places::new(&config(members, ""));
    let before = places.membership();
    let texts: Vec<_> = before
        .sites
        .iter()
        .map(|site| site.as_ref().map(|site| site.address.to_string()))
        .collect();
    let fixed = |text: &str| Some(text.to_owned());
    assert_eq!(texts, [fixed("10.0.0.9:80"), None, None, fixed("unix:/run/x"), None]);
    assert_eq!(before.weights, [1, 0, 0, 1, 0]);
    assert_eq!(before.backups, [false, false, false, false, true]);
    assert_eq!(places.site(MemberId(0)).unwrap().host.as_ref(), "10.0.0.9:80");
    assert_eq!(places.site(MemberId(3)).unwrap().host.as_ref(), "localhost");

    let changes = places.on_answer(at(0), 1, answer(&[7]), IDLE);
    assert_eq!(changes.came, [(MemberId(1), Address::Ip(address(7)))]);
    let changes = places.on_answer(at(0), 3, answer(&[8]), IDLE);
    assert_eq!(changes.came, [(MemberId(4), Address::Ip(address(8)))]);
    assert_eq!(places.membership().weights, [1, 3, 0, 1, 1]);
    assert_eq!(places.site(MemberId(1)).unwrap().host.as_ref(), "host-7:80");
    // No name, no such member, no address.
    for entry in [0, 2, 9] {
        assert!(places.on_answer(at(1), entry, Vec::new(), IDLE).is_empty());
    }
}

#[test]
fn who_stays_keeps_the_place_and_who_comes_takes_the_one_vacant_longest() {
    let mut places = Places::new(&config(r#"{ address = "a.test:80", places = 4 }"#, ""));
    for (second, numbers, expected) in [
        (0, &[1, 2, 3][..], [1, 2, 3, 0]),
        // The order of an answer means nothing.
        (1, &[3, 1, 2], [1, 2, 3, 0]),
        (2, &[2, 3], [0, 2, 3, 0]),
        (3, &[3], [0, 0, 3, 0]),
        // Nobody has had the last place yet; then the first, which was left before the second.
        (4, &[3, 4], [0, 0, 3, 4]),
        (5, &[3, 4, 5], [5, 0, 3, 4]),
        (6, &[3, 4, 5, 6], [5, 6, 3, 4]),
        // All at once.
        (7, &[9, 8], [0, 0, 8, 9]),
    ] {
        // The last step meets places that became vacant in the order 5, 6, 3, 4 by their number.
        places.on_answer(at(second), 0, answer(numbers), |member| second == 7 && member.0 < 2);
        assert_eq!(shown(&places), expected, "{second}");
    }
    let epochs: Vec<_> =
        (0..4).map(|at| places.site(MemberId(at)).map(|site| site.epoch)).collect();
    assert_eq!(epochs, [None, None, Some(1), Some(1)]);
}

#[test]
fn an_empty_answer_keeps_everybody() {
    let mut places = Places::new(&config(r#""a.test:80""#, ""));
    places.on_answer(at(0), 0, answer(&[1, 2]), IDLE);
    assert!(places.on_answer(at(1), 0, Vec::new(), IDLE).is_empty());
    assert_eq!(shown(&places)[..3], [1, 2, 0]);
}

#[test]
fn addresses_without_a_place_are_the_last_and_backups_before_others() {
    let mut places = Places::new(&config(r#"{ address = "srv:a.test", places = 2 }"#, ""));
    let all = [found(9, 1, false), found(1, 1, true), found(5, 1, false), found(7, 1, false)];
    let changes = places.on_answer(at(0), 0, all.to_vec(), IDLE);
    assert_eq!((changes.came.len(), changes.homeless), (2, 2));
    assert_eq!(shown(&places), [5, 7]);
    // Who is there stays, whoever comes.
    let changes = places.on_answer(at(1), 0, answer(&[2, 5, 7]), IDLE);
    assert_eq!((changes.is_empty(), changes.homeless), (true, 1));
}

#[test]
fn records_scale_the_weight_and_rank_behind_the_first() {
    let members = r#"{ address = "srv:a.test", weight = 3 }"#;
    let mut places = Places::new(&config(members, ""));
    let all = [found(1, 0, false), found(2, 5, false), found(3, u16::MAX, true)];
    places.on_answer(at(0), 0, all.to_vec(), IDLE);
    let now = places.membership();
    assert_eq!(now.weights[..4], [3, 15, u16::MAX, 0]);
    assert_eq!(now.backups[..3], [false, false, true]);
    // The same with other weights: nobody comes or leaves.
    let all = [found(1, 0, false), found(2, 4, false), found(3, u16::MAX, false)];
    let changes = places.on_answer(at(1), 0, all.to_vec(), IDLE);
    assert_eq!(changes.weighed, [MemberId(1), MemberId(2)]);
    assert!(changes.left.is_empty() && changes.came.is_empty());
    assert_eq!(places.membership().weights[..4], [3, 12, u16::MAX, 0]);
    assert_eq!(places.membership().backups[..3], [false; 3]);
    // Listed twice: once as a member, once as a backup.
    let twice = [found(1, 1, true), found(1, 2, false)];
    places.on_answer(at(2), 0, twice.to_vec(), IDLE);
    assert_eq!((places.weight(MemberId(0)), places.membership().backups[0]), (6, false));
}

#[test]
fn slow_starts_count_in_steps_as_fine_as_the_heaviest_allows() {
    let members =
        r#"{ address = "a.test:80", weight = 700 }, { address = "10.0.0.9:80", weight = 2 }"#;
    let mut places = Places::new(&config(members, "slow_start = \"1s\""));
    assert_eq!(places.membership().weights[16], 200);
    places.on_answer(at(0), 0, answer(&[1]), IDLE);
    assert_eq!(places.membership().weights[0], 700 * 93);
    assert_eq!(places.membership().weights[16], 2 * 93);
}

proptest! {
    #[test]
    fn whatever_the_answers(
        answers in proptest::collection::vec(
            (0usize..2, proptest::collection::vec((1u8..12, 0u16..3, any::<bool>()), 0..12)), 0..40,
        ),
        busy in 0u16..64,
    ) {
        let members = r#"{ address = "a.test:80", places = 3 }, "10.0.0.99:80", { address = "b.test:80", places = 4 }"#;
        let mut places = Places::new(&config(members, ""));
        let mut last = (0..8).map(|at| places.site(MemberId(at)).cloned()).collect::<Vec<_>>();
        for (second, (name, records)) in (0u64..).zip(answers) {
            let (entry, range) = if name == 0 { (0, 0..3) } else { (2, 4..8) };
            let all: Vec<Found> = records.iter().map(|(n, w, b)| found(*n, *w, *b)).collect();
            let wanted: BTreeSet<SocketAddr> = all.iter().map(|found| found.address).collect();
            let changes = places.on_answer(at(second), entry, all, |member| busy >> member.0 & 1 == 1);
            let now: Vec<_> = (0..8).map(|at| places.site(MemberId(at)).cloned()).collect();
            let membership = places.membership();
            prop_assert_eq!(&membership.sites, &now);
            let (mut left, mut came) = (Vec::new(), Vec::new());
            for (at, (before, after)) in last.iter().zip(&now).enumerate() {
                prop_assert_eq!(after.is_none(), membership.weights[at] == 0);
                let stays = before.as_ref().is_some_and(|site| match &site.address {
                    Address::Ip(ip) => wanted.contains(ip),
                    Address::Unix(_) => true,
                });
                if !range.contains(&at) || wanted.is_empty() || stays {
                    prop_assert_eq!(before, after, "place {}", at);
                    continue;
                }
                left.extend(before.as_ref().map(|site| (id(at), site.address.clone())));
                came.extend(after.as_ref().map(|site| (id(at), site.address.clone())));
                if let (Some(before), Some(after)) = (before, after) {
                    prop_assert!(before.epoch < after.epoch);
                }
            }
            let mut said = changes.came.clone();
            said.sort();
            prop_assert_eq!((&changes.left, said), (&left, came));
            let here: BTreeSet<_> =
                now[range.clone()].iter().flatten().map(|site| site.address.clone()).collect();
            prop_assert_eq!(here.len(), now[range.clone()].iter().flatten().count(), "twice");
            if !wanted.is_empty() {
                let fit = wanted.len().min(range.len());
                prop_assert_eq!((here.len(), changes.homeless), (fit, wanted.len() - fit));
            }
            last = now;
        }
    }
}
