//! Lessons of a lane, one by one; `simulation` has the whole story.

use super::*;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// 64 requests at once, of which the server takes ten; it asks for a second's rest.
fn after_a_volley(start: Instant) -> Pace {
    let mut pace = Pace::new(start);
    for _ in 0..64 {
        assert_eq!(pace.check(start), Ok(()), "nothing is spaced before the first refusal");
        pace.take(start);
    }
    for level in 11..=64 {
        pace.refuse(start, Some(ms(1000)), level, start + ms(100));
    }
    assert_eq!(pace.learn(start + ms(1100)), None, "a volley says nothing about calls in flight");
    pace
}

/// Sends at every chance for so long; returns the moments in milliseconds.
fn send(pace: &mut Pace, start: Instant, from: u64, until: u64) -> Vec<u64> {
    let mut sent = Vec::new();
    for at in from..until {
        if pace.check(start + ms(at)).is_ok() {
            pace.take(start + ms(at));
            pace.succeed(3);
            sent.push(at);
        }
    }
    sent
}

#[test]
fn the_first_lesson_is_what_was_taken_in_the_span_that_the_server_named() {
    let start = clock::now();
    for (taken, asked, rate) in
        [(10, Some(1000), 9.7), (10, None, 9.7), (40, Some(20_000), 1.94), (0, None, 0.97)]
    {
        let mut pace = Pace::new(start);
        (0..taken + 5).for_each(|_| pace.take(start));
        (0..5).for_each(|_| pace.refuse(start, asked.map(ms), 1, start));
        pace.learn(start + ms(20_000));
        assert!(
            (pace.rate().unwrap() - rate).abs() < 1e-6,
            "{taken} taken, {asked:?} asked: {:?}",
            pace.rate()
        );
    }
}

#[test]
fn sends_are_spaced_evenly_and_nobody_catches_up_with_a_burst() {
    let start = clock::now();
    let mut pace = after_a_volley(start);
    let sent = send(&mut pace, start, 1100, 5100);
    assert_eq!(sent.len(), 39, "9.7 a second");
    assert!(sent.windows(2).all(|pair| pair[1] - pair[0] >= 103), "{sent:?}");
    // After a silence there is no more than the slack for late timers to catch up with.
    let late = send(&mut pace, start, 9000, 9200);
    assert_eq!(late, [9000, 9084, 9187]);
}

#[test]
fn a_volley_keeps_the_server_busy_until_its_span_is_over() {
    let start = clock::now();
    let mut pace = Pace::new(start);
    (0..12).for_each(|_| pace.take(start));
    (0..2).for_each(|_| pace.refuse(start, None, 11, start + ms(10)));
    pace.learn(start + ms(500));
    assert_eq!(pace.check(start + ms(500)), Err(start + ms(1000)));
}

#[test]
fn a_rate_is_held_then_creeps_then_climbs_then_is_forgotten() {
    let start = clock::now();
    let mut pace = after_a_volley(start);
    let mut from = 1100;
    for (until, at_least, at_most) in [(9_000, 9.7, 9.71), (16_000, 9.8, 10.3), (21_000, 12.0, 16.0)] {
        send(&mut pace, start, from, until);
        from = until;
        let rate = pace.rate().unwrap();
        assert!((at_least..=at_most).contains(&rate), "{rate} at {until} ms");
    }
    send(&mut pace, start, 21_000, 50_000);
    pace.take(start + ms(51_000));
    assert_eq!(pace.rate(), None);
}

#[test]
fn a_rate_that_nobody_uses_is_forgotten_too() {
    let start = clock::now();
    let mut pace = after_a_volley(start);
    pace.take(start + Duration::from_secs(200));
    assert!(pace.rate().is_some());
    pace.take(start + Duration::from_secs(302));
    assert_eq!(pace.rate(), None);
}

#[test]
fn a_refusal_while_probing_leads_back_to_the_rate_that_was_borne_and_longer() {
    let start = clock::now();
    let mut pace = after_a_volley(start);
    let mut at = 1100;
    for hold in [10.0, 20.0, 40.0, 60.0, 60.0] {
        assert_eq!(pace.learned.unwrap().hold, hold);
        while pace.rate().unwrap() < 10.05 {
            send(&mut pace, start, at, at + 100);
            at += 100;
        }
        pace.refuse(pace.last_sent.unwrap(), Some(ms(1000)), 3, start + ms(at));
        pace.learn(start + ms(at + 1000));
        assert!((pace.rate().unwrap() - 9.7).abs() < 0.01, "{:?}", pace.rate());
        at += 1000;
    }
}

#[test]
fn many_refusals_are_believed_and_a_few_are_not() {
    let start = clock::now();
    for (refused, wanted) in [(1, 9.7 / 2.0), (2, 9.7 / 4.0), (5, 9.7 / 32.0)] {
        let mut pace = after_a_volley(start);
        for at in send(&mut pace, start, 1100, 1100 + refused * 103) {
            pace.refuse(start + ms(at), None, 3, start + ms(2000));
        }
        pace.learn(start + ms(2500));
        let ceiling = pace.learned.unwrap().ceiling;
        assert!((ceiling - wanted).abs() < 0.01, "all of {refused} refused: {ceiling}");
    }
}

#[test]
fn a_late_refusal_corrects_the_lesson_and_starts_no_other() {
    let start = clock::now();
    let mut pace = Pace::new(start);
    (0..20).for_each(|_| pace.take(start));
    pace.refuse(start, None, 5, start + ms(10));
    pace.learn(start + ms(700));
    assert!((pace.learned.unwrap().ceiling - 19.0).abs() < 1e-9);
    for _ in 0..9 {
        pace.refuse(start, None, 5, start + ms(900));
    }
    assert!((pace.learned.unwrap().ceiling - 10.0).abs() < 1e-9);
    assert_eq!(pace.learn(start + ms(1000)), None);
    assert!((pace.learned.unwrap().ceiling - 10.0).abs() < 1e-9);
}

#[test]
fn refusals_above_all_that_was_ever_borne_speak_of_calls_in_flight() {
    let start = clock::now();
    // (level at which a call was answered, level refused, conclusion)
    for (borne, refused, wanted) in [(10, 11, Some(10)), (10, 10, None), (0, 11, None), (30, 11, None)] {
        let mut pace = after_a_volley(start);
        pace.succeed(borne);
        pace.take(start + ms(1100));
        pace.refuse(start + ms(1100), None, refused, start + ms(1200));
        assert_eq!(pace.learn(start + ms(2200)), wanted, "{borne} borne, {refused} refused");
    }
}

#[test]
fn what_never_left_was_never_sent() {
    let start = clock::now();
    let mut pace = Pace::new(start);
    (0..30).for_each(|_| pace.take(start));
    (0..20).for_each(|_| pace.take_back(start));
    pace.refuse(start, None, 5, start);
    pace.learn(start + ms(1000));
    assert!((pace.learned.unwrap().ceiling - 9.0).abs() < 1e-9);
}
