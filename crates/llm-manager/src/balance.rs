//! Strategies of a pool: pure functions of the members as they stand, a turn and chance.

use std::fmt;
use std::time::Duration;

use llm_client::clock::Instant;

/// How a pool chooses between members that could take a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// One after another.
    RoundRobin,
    /// By chance, in proportion to the weights.
    Weighted,
    /// By chance, all alike.
    Random,
    /// The first in declared order; the others only while it cannot.
    Fallback,
    /// The one with the fewest calls on their way for its weight.
    #[default]
    LeastBusy,
    /// Of two by chance, the one that would answer sooner: its latency of late, times the calls on their way.
    Latency,
}

impl Strategy {
    /// Every strategy, in the order of the documentation.
    pub const ALL: [Self; 6] =
        [Self::RoundRobin, Self::Weighted, Self::Random, Self::Fallback, Self::LeastBusy, Self::Latency];

    /// Its name in files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RoundRobin => "round_robin",
            Self::Weighted => "weighted",
            Self::Random => "random",
            Self::Fallback => "fallback",
            Self::LeastBusy => "least_busy",
            Self::Latency => "latency",
        }
    }

    /// The strategy of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|strategy| strategy.as_str() == name)
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A member that could take the call now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Candidate {
    /// Its place among all members.
    pub(crate) member: usize,
    pub(crate) weight: u32,
    /// Calls on their way, whoever made them.
    pub(crate) in_flight: u32,
    /// Seconds until it answers, of late; `None` before its first answer.
    pub(crate) latency: Option<f64>,
}

/// Chooses one of the candidates, which stand in declared order; `None` without any. `turn` counts the choices of the
/// pool, `random` gives numbers in [0, 1).
pub(crate) fn choose(
    strategy: Strategy,
    candidates: &[Candidate],
    members: usize,
    turn: usize,
    mut random: impl FnMut() -> f64,
) -> Option<usize> {
    // From whose turn it is onward, so that equals take turns.
    let rotated =
        |candidate: &&Candidate| (candidate.member + members - turn % members.max(1)) % members.max(1);
    let chosen = match strategy {
        Strategy::Fallback => candidates.first(),
        Strategy::RoundRobin => candidates.iter().min_by_key(rotated),
        Strategy::Random => by_weight(candidates, |_| 1, random()),
        Strategy::Weighted => by_weight(candidates, |candidate| candidate.weight, random()),
        Strategy::LeastBusy => candidates.iter().min_by(|a, b| {
            // (in flight + 1) / weight, without dividing.
            let load = |one: &Candidate, other: &Candidate| {
                (u64::from(one.in_flight) + 1) * u64::from(other.weight.max(1))
            };
            load(a, b).cmp(&load(b, a)).then(rotated(a).cmp(&rotated(b)))
        }),
        Strategy::Latency => {
            let one = by_weight(candidates, |candidate| candidate.weight, random())?;
            let others: Vec<Candidate> =
                candidates.iter().filter(|other| other.member != one.member).copied().collect();
            let other = by_weight(&others, |candidate| candidate.weight, random()).copied();
            let slowest = candidates.iter().filter_map(|candidate| candidate.latency).fold(0.0, f64::max);
            return Some(match other {
                Some(other) if sooner(&other, one, slowest) => other.member,
                _ => one.member,
            });
        }
    };
    chosen.map(|candidate| candidate.member)
}

fn by_weight(
    candidates: &[Candidate],
    weight: impl Fn(&Candidate) -> u32,
    random: f64,
) -> Option<&Candidate> {
    let total: f64 = candidates.iter().map(|candidate| f64::from(weight(candidate))).sum();
    let mut left = random * total;
    for candidate in candidates {
        left -= f64::from(weight(candidate));
        if left < 0.0 {
            return Some(candidate);
        }
    }
    candidates.last()
}

/// Whether the first would answer before the second. One that has never answered is tried by one call; while that is on
/// its way, it counts as slow as the slowest.
fn sooner(one: &Candidate, other: &Candidate, slowest: f64) -> bool {
    let wait = |candidate: &Candidate| match (candidate.latency, candidate.in_flight) {
        (None, 0) => 0.0,
        (latency, in_flight) => latency.unwrap_or(slowest) * (f64::from(in_flight) + 1.0),
    };
    wait(one).total_cmp(&wait(other)).then(one.in_flight.cmp(&other.in_flight)).is_lt()
}

/// How long a member takes to answer, of late. A slow answer counts at once, quick ones over ten seconds; without any
/// the estimate fades, so that a member that was slow is tried again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Latency {
    secs: f64,
    at: Instant,
}

/// How long an answer counts.
const MEMORY: Duration = Duration::from_secs(10);

impl Latency {
    /// The first answer.
    pub(crate) fn new(sample: Duration, now: Instant) -> Self {
        Self { secs: sample.as_secs_f64(), at: now }
    }

    /// One more answer.
    pub(crate) fn observe(&mut self, sample: Duration, now: Instant) {
        let (sample, faded) = (sample.as_secs_f64(), fading(now.saturating_duration_since(self.at)));
        self.secs =
            if sample > self.secs * faded { sample } else { self.secs * faded + sample * (1.0 - faded) };
        self.at = now;
    }

    /// Seconds until it answers, as far as that is still known.
    pub(crate) fn estimate(&self, now: Instant) -> f64 {
        self.secs * fading(now.saturating_duration_since(self.at))
    }
}

fn fading(age: Duration) -> f64 {
    (-age.as_secs_f64() / MEMORY.as_secs_f64()).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(member: usize) -> Candidate {
        Candidate { member, weight: 1, in_flight: 0, latency: None }
    }

    /// How often each of three members is chosen in so many turns.
    fn shares(strategy: Strategy, candidates: &[Candidate], turns: u32) -> [u32; 3] {
        let mut shares = [0; 3];
        let mut chance = fastrand::Rng::with_seed(7);
        for turn in 0..turns {
            let chosen = choose(strategy, candidates, 3, turn as usize, || chance.f64()).unwrap();
            shares[chosen] += 1;
        }
        shares
    }

    #[test]
    fn every_strategy_has_a_name_that_leads_back_to_it() {
        for strategy in Strategy::ALL {
            assert_eq!(Strategy::parse(strategy.as_str()), Some(strategy));
        }
        assert_eq!(Strategy::parse("fastest"), None);
    }

    #[test]
    fn nobody_is_chosen_where_nobody_can() {
        for strategy in Strategy::ALL {
            assert_eq!(choose(strategy, &[], 3, 1, || 0.5), None, "{strategy}");
        }
    }

    #[test]
    fn shares_follow_the_strategy() {
        let all = [candidate(0), candidate(1), candidate(2)];
        assert_eq!(shares(Strategy::RoundRobin, &all, 300), [100, 100, 100]);
        assert_eq!(shares(Strategy::Fallback, &all, 300), [300, 0, 0]);
        assert_eq!(shares(Strategy::LeastBusy, &all, 300), [100, 100, 100]);
        for share in shares(Strategy::Random, &all, 3000) {
            assert!((900..1100).contains(&share), "{share}");
        }
        let heavy = [Candidate { weight: 8, ..candidate(0) }, candidate(1), candidate(2)];
        let [most, ..] = shares(Strategy::Weighted, &heavy, 3000);
        assert!((2300..2500).contains(&most), "{most}");
    }

    #[test]
    fn a_member_that_cannot_leaves_its_turn_to_the_next() {
        let two = [candidate(0), candidate(2)];
        assert_eq!(shares(Strategy::RoundRobin, &two, 300), [100, 0, 200]);
    }

    #[test]
    fn the_least_busy_is_so_for_its_weight() {
        let with = |in_flight, weight, member| Candidate { in_flight, weight, ..candidate(member) };
        let choice = |candidates: &[Candidate]| choose(Strategy::LeastBusy, candidates, 3, 0, || 0.0);
        assert_eq!(choice(&[with(3, 1, 0), with(2, 1, 1)]), Some(1));
        assert_eq!(choice(&[with(3, 4, 0), with(2, 1, 1)]), Some(0));
        assert_eq!(choice(&[with(5, 2, 0), with(2, 1, 1), with(9, 4, 2)]), Some(2));
    }

    #[test]
    fn the_quicker_of_two_is_chosen_as_long_as_it_is_not_crowded() {
        let with = |latency, in_flight, member| Candidate { latency, in_flight, ..candidate(member) };
        let choice = |candidates: &[Candidate]| {
            let [a, b] = [0.0, 0.99].map(|random| choose(Strategy::Latency, candidates, 3, 0, || random));
            assert_eq!(a, b, "of two, both orders of drawing give the same");
            a
        };
        assert_eq!(choice(&[with(Some(0.1), 0, 0), with(Some(1.0), 0, 1)]), Some(0));
        assert_eq!(choice(&[with(Some(0.1), 30, 0), with(Some(1.0), 0, 1)]), Some(1));
        // One that has never answered is tried, by one call at a time.
        assert_eq!(choice(&[with(Some(0.1), 0, 0), with(None, 0, 1)]), Some(1));
        assert_eq!(choice(&[with(Some(0.1), 0, 0), with(None, 1, 1)]), Some(0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_answer_counts_at_once_and_is_forgotten_in_time() {
        let start = Instant::now();
        let at = |secs: u64| start + Duration::from_secs(secs);
        let mut latency = Latency::new(Duration::from_millis(100), start);
        latency.observe(Duration::from_secs(2), at(1));
        assert!((latency.estimate(at(1)) - 2.0).abs() < 1e-9);
        latency.observe(Duration::from_millis(100), at(2));
        assert!(latency.estimate(at(2)) > 1.5);
        for second in 3..40 {
            latency.observe(Duration::from_millis(100), at(second));
        }
        assert!((0.09..0.2).contains(&latency.estimate(at(40))));
        assert!(latency.estimate(at(200)) < 1e-6);
    }
}
