//! Connections break and servers have problems; the right bytes arrive, or an error says what happened.

use std::collections::{HashSet, VecDeque};
use std::time::Instant;

use proptest::prelude::*;

use crate::server::{content_of, etag};
use crate::*;

const FILE: &str = "model.safetensors";

fn one_file(size: usize) -> Site {
    site(&[(FILE, &bytes(size))])
}

/// Fetches a file over connections that break after these numbers of bytes, one after the other.
fn fetch_over_breaks(size: usize, redirects: bool, breaks: &[usize]) -> World {
    let mut left: VecDeque<usize> = breaks.iter().copied().collect();
    let mut world = World::new(Site { redirects, ..one_file(size) }, move |request, answer| {
        let is_content = request.is_transfer() && answer.status != 302;
        Answer { cut: if is_content { left.pop_front() } else { None }, ..answer }
    });
    let snapshot = world.fetch(&[FILE]).unwrap();
    assert_eq!(std::fs::read(snapshot.join(FILE)).unwrap(), bytes(size), "{breaks:?}");
    world
}

/// Whether a request is the first of its kind.
fn firsts() -> impl FnMut(&Request) -> bool + Send {
    let mut seen = HashSet::new();
    move |request| seen.insert((request.method.clone(), request.path.clone()))
}

#[test]
fn a_broken_transfer_goes_on_where_it_broke() {
    let size = 5000;
    for at in [0, 1, 2, 999, size / 2, size - 2, size - 1] {
        let world = fetch_over_breaks(size, false, &[at]);
        let expected = (at > 0).then_some(at);
        assert_eq!(world.server.offsets(), [None, expected], "broken at {at}");
        assert!(world.events.contains(&format!("started {FILE} {at}")), "{:?}", world.events);
    }
    let world = fetch_over_breaks(size, true, &[10]);
    assert_eq!(*world.server.offsets().last().unwrap(), Some(10), "elsewhere, too");
}

#[test]
fn a_large_file_that_breaks_at_ten_places_is_sent_once() {
    // 200 MB by hand, less for every day.
    let size = std::env::var("ADAMOLE_HUB_TEST_BYTES").map_or(20_000_000, |bytes| bytes.parse().unwrap());
    let (site, mut left) = (Site { redirects: true, ..one_file(size) }, 10);
    let mut world = World::new(site, move |request, answer| {
        let breaks = request.is_transfer() && answer.status != 302 && left > 0;
        left -= usize::from(breaks);
        Answer { cut: breaks.then_some(size / 11), ..answer }
    });
    // The stand-in hashes the whole file for each answer.
    let hub = world.hub().with_network(Network { read_timeout: Duration::from_secs(60), ..impatient() });
    let snapshot = world.fetch_with(&hub, "org/name", &[FILE]).unwrap();
    assert!(std::fs::read(snapshot.join(FILE)).unwrap() == bytes(size), "the right bytes");
    let others = world.server.log().iter().filter(|request| request.is_listing()).count() * 1000;
    assert_eq!(world.server.offsets().len(), 22, "eleven redirects, and as many parts");
    let sent = world.server.sent();
    eprintln!("{sent} bytes sent for {size}, of which at most {others} are the list of files");
    assert!((size..size + others).contains(&sent), "{sent}");
}

#[test]
fn an_answer_may_break_before_it_has_begun() {
    for at in [0, 1, 20, 40] {
        let mut is_first = firsts();
        let mut world = World::new(one_file(5000), move |request, answer| Answer {
            head: is_first(request).then_some(at),
            ..answer
        });
        world.fetch(&[FILE]).unwrap();
        assert_eq!(world.events.iter().filter(|event| event.starts_with("retrying")).count(), 3, "broken at {at}");
    }
}

#[test]
fn half_a_list_of_files_is_asked_for_again() {
    let mut calls = 0;
    let mut world = World::new(one_file(5000), move |_, answer| {
        calls += 1;
        Answer { cut: (calls == 1).then_some(30), ..answer }
    });
    world.fetch(&[FILE]).unwrap();
    assert_eq!(world.events[0], "retrying the connection to 127.0.0.1 failed");
}

#[test]
fn many_breaks_in_a_row_are_no_failure_as_long_as_it_gets_further() {
    let world = fetch_over_breaks(5000, false, &[1, 1, 1, 1, 1, 1, 100, 1000, 0, 1]);
    assert_eq!(world.server.offsets().len(), 11);
}

#[test]
fn a_transfer_that_gets_no_further_is_given_up_and_kept() {
    let mut calls = 0;
    let mut world = World::new(one_file(5000), move |request, answer| {
        calls += i32::from(request.is_transfer());
        Answer { cut: request.is_transfer().then_some(if calls == 1 { 1000 } else { 0 }), ..answer }
    });
    let error = world.fetch(&[FILE]).unwrap_err();
    assert!(matches!(&error, HubError::Network { .. }), "{error}");
    let partial = world.root().join("blobs").join(format!("{}.incomplete", etag(&bytes(5000))));
    assert_eq!(std::fs::read(partial).unwrap(), bytes(5000)[..1000]);
    assert_eq!(world.server.offsets().len(), 3, "one that got further and two that did not");
    assert!(!world.root().join("refs").exists(), "no branch leads to half a snapshot");
}

#[test]
fn a_later_run_continues_an_earlier_one() {
    for (left_over, range) in [
        (&bytes(5000)[..1234], Some(1234)),
        (&bytes(5000)[..], None),
        // Longer than the whole: this is not the beginning of it.
        (&bytes(5001)[..], None),
    ] {
        let mut world = World::new(one_file(5000), right);
        let blobs = world.root().join("blobs");
        std::fs::create_dir_all(&blobs).unwrap();
        std::fs::write(blobs.join(format!("{}.incomplete", etag(&bytes(5000)))), left_over).unwrap();
        let snapshot = world.fetch(&[FILE]).unwrap();
        assert_eq!(std::fs::read(snapshot.join(FILE)).unwrap(), bytes(5000));
        let transfers = usize::from(left_over.len() != 5000);
        assert_eq!(world.server.offsets(), vec![range; transfers]);
    }
}

#[test]
fn a_server_that_cannot_continue_starts_anew() {
    let content = bytes(5000);
    for what in ["the whole", "less", "other bytes", "416"] {
        let (content, mut calls) = (content.clone(), 0);
        let mut world = World::new(one_file(5000), move |request, answer| {
            calls += i32::from(request.is_transfer());
            match (calls, request.header("range")) {
                (1, _) if request.is_transfer() => Answer { cut: Some(1000), ..answer },
                (_, None) => answer,
                (_, Some(_)) => match what {
                    "the whole" => content_of(&content, &Request { headers: Default::default(), ..request.clone() }),
                    "less" => Answer::new(206, &content[1001..]),
                    // Of the length that was asked for, but from elsewhere.
                    "other bytes" => Answer::new(206, &content[999..4999]),
                    _ => Answer::new(416, ""),
                },
            }
        });
        let snapshot = world.fetch(&[FILE]).unwrap();
        assert_eq!(std::fs::read(snapshot.join(FILE)).unwrap(), bytes(5000), "{what}");
        let transfers = if what == "the whole" { 2 } else { 3 };
        assert_eq!(world.server.offsets().len(), transfers, "{what}");
        assert_eq!(world.server.offsets()[1], Some(1000), "{what}");
    }
}

#[test]
fn a_wrong_hash_is_tried_once_more_from_the_start() {
    // A content of the right size, but with one other byte.
    for (size, wrong_times) in [(5000, 1), (5000, 2), (100, 1), (100, 2)] {
        let mut calls = 0;
        let mut world = World::new(one_file(size), move |request, mut answer| {
            calls += i32::from(request.is_transfer());
            if request.is_transfer() && calls <= wrong_times {
                answer.body[size / 2] ^= 1;
            }
            answer
        });
        let result = world.fetch(&[FILE]);
        assert_eq!(world.server.offsets(), [None, None]);
        let blobs = world.root().join("blobs");
        if wrong_times == 1 {
            assert_eq!(std::fs::read(result.unwrap().join(FILE)).unwrap(), bytes(size));
        } else {
            let mut wrong = bytes(size);
            wrong[size / 2] ^= 1;
            let message = result.unwrap_err().to_string();
            assert!(message.contains(&etag(&bytes(size))) && message.contains(&etag(&wrong)), "{message}");
            assert_eq!(std::fs::read_dir(blobs).unwrap().count(), 0, "what is wrong is deleted");
        }
    }
}

#[test]
fn a_left_over_of_another_file_is_found_out() {
    let mut world = World::new(one_file(5000), right);
    let blobs = world.root().join("blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    std::fs::write(blobs.join(format!("{}.incomplete", etag(&bytes(5000)))), [7; 1000]).unwrap();
    let snapshot = world.fetch(&[FILE]).unwrap();
    assert_eq!(std::fs::read(snapshot.join(FILE)).unwrap(), bytes(5000));
    assert_eq!(world.server.offsets(), [Some(1000), None]);
}

#[test]
fn a_wrong_size_is_an_error() {
    for wrong in [4999_usize, 5001] {
        let mut world = World::new(one_file(5000), move |request, answer| match request.is_transfer() {
            true => content_of(&bytes(wrong), request),
            false => answer,
        });
        let error = world.fetch(&[FILE]).unwrap_err();
        let expected = matches!(error, HubError::WrongSize { expected: 5000, got, .. } if got == wrong as u64);
        assert!(expected, "{error}");
    }
    // The server does not say how much comes, and sends too much.
    let mut world = World::new(one_file(5000), |request, answer| match request.is_transfer() {
        true => Answer::new(200, format!("{:x}\r\n{}\r\n0\r\n\r\n", 6000, "x".repeat(6000)))
            .with("transfer-encoding", "chunked")
            .with("content-length", ""),
        false => answer,
    });
    let error = world.fetch(&[FILE]).unwrap_err();
    assert!(matches!(error, HubError::WrongSize { expected: 5000, got: 5001.., .. }), "{error}");
}

#[test]
fn a_stalled_connection_is_given_up() {
    let mut calls = 0;
    let mut world = World::new(one_file(5000), move |request, answer| {
        calls += i32::from(request.is_transfer());
        Answer { stall: (request.is_transfer() && calls == 1).then_some(2000), ..answer }
    });
    let start = Instant::now();
    let snapshot = world.fetch(&[FILE]).unwrap();
    assert!(start.elapsed() < Duration::from_secs(30), "the server would stall for a minute");
    assert_eq!(std::fs::read(snapshot.join(FILE)).unwrap(), bytes(5000));
    assert_eq!(world.server.offsets()[1], Some(2000));
}

#[test]
fn a_server_with_a_problem_is_asked_again() {
    for status in [500, 502, 503, 504, 408, 429] {
        let mut is_first = firsts();
        // Every request fails once: the list, the headers and the file.
        let mut world = World::new(
            one_file(5000),
            move |request, answer| {
                if is_first(request) { Answer::error(status, "") } else { answer }
            },
        );
        world.fetch(&[FILE]).unwrap();
        assert_eq!(world.events.iter().filter(|event| event.starts_with("retrying")).count(), 3, "{status}");
    }
}

#[test]
fn a_server_with_a_lasting_problem_is_named() {
    let mut world = World::new(one_file(5000), |_, _| Answer::error(500, ""));
    let error = world.fetch(&[FILE]).unwrap_err();
    assert!(matches!(&error, HubError::Status { status: 500, .. }), "{error}");
    assert!(error.to_string().contains("/api/models/org/name/revision/main answered with status 500: no, sorry"));
    assert_eq!(world.server.log().len(), 3);

    let mut world = World::new(one_file(5000), |_, _| Answer::error(501, ""));
    assert!(matches!(world.fetch(&[FILE]), Err(HubError::Status { status: 501, .. })));
    assert_eq!(world.server.log().len(), 1, "this will not change");
}

#[test]
fn a_server_is_left_alone_for_as_long_as_it_asks() {
    let mut calls = 0;
    let mut world = World::new(one_file(5000), move |_, answer| {
        calls += 1;
        if calls == 1 { Answer::error(429, "").with("retry-after", "1") } else { answer }
    });
    let start = Instant::now();
    world.fetch(&[FILE]).unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn wherever_it_breaks_the_right_bytes_arrive(
        size in 1_usize..300_000,
        breaks in prop::collection::vec(1_usize..100_000, 0..8),
        redirects: bool,
    ) {
        fetch_over_breaks(size, redirects, &breaks);
    }
}
