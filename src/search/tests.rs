use super::*;
use crate::harness::{Prefetch, StressKind};
use crate::layout::LayoutKind;

/// A simulated machine at one distance: the races per second of each arm.
struct Machine<'a> {
    rates: &'a [f64],
    random: fastrand::Rng,
}

impl Machine<'_> {
    /// A turn of 10 ms, with noise of 20 %.
    fn turn(&mut self, arm: usize) -> Turn {
        let noise = 0.8 + 0.4 * self.random.f64();
        let races = (self.rates[arm] * noise * 0.01).round();
        Turn { iterations: 100_000, races: races as u64, variety: 1000.0, seconds: 0.01, level: 0 }
    }
}

fn searched(rates: &[f64], turns: usize, seed: u64) -> Search {
    let mut search = Search::new();
    rates.iter().for_each(|_| search.add(ArmPace::Paced));
    let mut machine = Machine { rates, random: fastrand::Rng::with_seed(seed) };
    for _ in 0..turns {
        let arm = search.next().unwrap();
        let turn = machine.turn(arm);
        search.seen(arm, turn);
    }
    search
}

impl Search {
    /// The best arm where the search is.
    fn best(&self) -> (usize, Measure) {
        self.best_in(self.here())
    }

    fn values(&self) -> (Measure, Vec<(f64, f64)>) {
        self.at(self.here()).values()
    }

    /// The turns of an arm in a stratum, also those that tell nothing.
    fn turns_in(&self, arm: usize, stratum: usize) -> impl Iterator<Item = &Turn> {
        self.turns(arm).filter(move |turn| self.stratum(turn.level) == self.stratum(stratum))
    }
}

/// A turn of a second with 10,000 iterations.
fn turn(races: u64) -> Turn {
    Turn { iterations: 10_000, races, variety: 0.0, seconds: 1.0, level: 0 }
}

/// Changes of a variant.
const NONE: Change = Change { stretch: None, stress: None, batch: None, prefetch: None, from: None };
const LONGER: Change = Change { stretch: Some(2), ..NONE };
const OFF: Change = Change { prefetch: Some(Prefetch::Off), ..NONE };

#[test]
fn the_arm_with_the_most_races_per_second_is_found() {
    let rates = [1e5, 2e5, 3e6, 4e5, 1e6, 5e5, 2.2e6, 1e5];
    for seed in 0..200 {
        let search = searched(&rates, 40, seed);
        assert_eq!(search.best(), (2, Measure::Races), "{seed}");
        // The best two have most of the turns, and no arm has fewer than its share of the floor.
        let turns: Vec<usize> = (0..8).map(|arm| search.turns(arm).len()).collect();
        assert_eq!(turns.iter().sum::<usize>(), 40);
        assert!(turns[2] + turns[6] >= 18, "{turns:?}");
        assert!(turns.iter().all(|turns| *turns > (40 - 8) / FLOOR / 8), "{turns:?}");
    }
}

/// A simulated machine whose CPUs move, on which the best arm depends on the distance. `moves` gives the stratum of each turn. A turn with
/// the period and the skews for the other distance has a tenth of the races.
fn searched_by_distance(rates: [&[f64]; 2], moves: impl Fn(usize) -> usize, turns: usize, seed: u64) -> Search {
    let mut search = Search::new();
    rates[0].iter().for_each(|_| search.add(ArmPace::Paced));
    let mut machines = rates.map(|rates| Machine { rates, random: fastrand::Rng::with_seed(seed) });
    for at in 0..turns {
        let arm = search.next().unwrap();
        let level = moves(at);
        let turn = machines[level].turn(arm);
        let races = if search.here() == level { turn.races } else { turn.races / 10 };
        search.seen(arm, Turn { level, races, ..turn });
    }
    search
}

/// The arm that is the best near has a tenth of the races of another one far away.
const NEAR: [f64; 6] = [1e6, 2.5e6, 4e6, 1e6, 5e5, 2e6];
const FAR: [f64; 6] = [1e5, 2e5, 1e5, 1e5, 1e6, 6e5];

#[test]
fn each_distance_has_its_own_best_arm() {
    // The CPUs move once, move back, stay for five turns each time, for three, or for one to three.
    let moves: [(usize, &dyn Fn(usize) -> usize); 5] = [
        (80, &|at| usize::from(at >= 40)),
        (80, &|at| usize::from((20..60).contains(&at))),
        (100, &|at| at / 5 % 2),
        (200, &|at| at / 3 % 2),
        (300, &|at| [0, 1, 1, 0, 0, 0, 1, 1, 1, 0, 0, 1][at % 12]),
    ];
    for (kind, (turns, moves)) in moves.into_iter().enumerate() {
        let right = (0..200).filter(|&seed| {
            let search = searched_by_distance([&NEAR, &FAR], moves, turns, seed);
            [0, 1].map(|stratum| search.best_in(stratum)) == [2, 4].map(|best| (best, Measure::Races))
        });
        let right = right.count();
        assert!(right >= 196, "{kind}: {right} of 200");
    }
    // Without strata, one of them has the settings of the other.
    let search = searched_by_distance([&NEAR, &FAR], |at| usize::from(at >= 40), 80, 1);
    let mut one = Search::new();
    for arm in 0..NEAR.len() {
        one.add(ArmPace::Paced);
        search.turns(arm).for_each(|turn| one.seen(arm, Turn { level: 0, ..*turn }));
    }
    assert_eq!(one.best().0, 2);
}

#[test]
fn a_search_is_where_two_turns_in_a_row_were() {
    let mut search = Search::new();
    (0..3).for_each(|_| search.add(ArmPace::Paced));
    let mut at = |strata: &[usize]| {
        strata.iter().for_each(|&stratum| search.seen(0, Turn { level: stratum, ..turn(100) }));
        (search.here(), search.next())
    };
    assert_eq!(at(&[0]), (0, Some(1)));
    // One look elsewhere leads nowhere.
    assert_eq!(at(&[3]), (0, Some(1)));
    assert_eq!(at(&[0, 4, 3]), (0, Some(1)));
    // Two do. They ran with what was found elsewhere, so no arm has a turn there that tells.
    assert_eq!(at(&[3]), (3, Some(0)));
    assert_eq!(at(&[2, 2]), (2, Some(0)));
    assert_eq!(at(&[2]), (2, Some(1)));
    assert_eq!(search.best_in(7), (0, Measure::Variety), "nothing was seen there");
    // Every arm has its turn at a new distance, the first one too.
    (0..2).for_each(|arm| search.seen(arm, Turn { level: 6, ..turn(100) }));
    assert_eq!((search.here(), search.next()), (6, Some(0)));
    search.seen(1, Turn { level: 6, ..turn(900) });
    search.seen(2, Turn { level: 6, ..turn(100) });
    assert_eq!((search.here(), search.next()), (6, Some(0)));
    assert_eq!((search.turns(1).len(), search.turns_in(1, 6).count(), search.turns_in(1, 5).count()), (2, 2, 0));
    assert!(search.joining(&[(1, OFF)], true).is_empty(), "arm 0 had no turn here");
    search.seen(0, Turn { level: 6, ..turn(100) });
    assert_eq!(search.joining(&[(1, OFF)], true), [0]);
}

#[test]
fn levels_of_one_stratum_are_joined() {
    let mut search = Search::new();
    (0..2).for_each(|_| search.add(ArmPace::Paced));
    let seen = |search: &mut Search, all: &[(usize, u64, usize)]| {
        all.iter().for_each(|&(arm, races, stratum)| search.seen(arm, Turn { level: stratum, ..turn(races) }));
    };
    seen(&mut search, &[(0, 1000, 0), (1, 100, 0), (0, 1, 1), (0, 1, 1), (0, 1000, 1), (1, 4000, 1)]);
    assert_eq!([0, 1].map(|stratum| search.best_in(stratum).0), [0, 1]);
    assert_eq!(search.at(0).values().1[1].0, 100.0);
    assert_eq!([0, 1].map(|arm| search.turns_in(arm, 1).count()), [3, 1]);
    search.join(vec![0, 0]);
    assert_eq!([0, 1].map(|arm| search.turns_in(arm, 1).count()), [4, 2]);
    // The first turn of an arm does not count if there is another.
    assert_eq!(search.at(0).values().1[1].0, 4000.0);
    assert_eq!((search.best_in(0), search.best_in(1)), ((1, Measure::Races), (1, Measure::Races)));
    assert_eq!([0, 1, 2].map(|level| search.stratum(level)), [0, 0, 2]);
    seen(&mut search, &[(0, 10, 0), (0, 10, 1)]);
    assert_eq!(search.here(), 0);
}

#[test]
fn a_first_turn_that_still_looks_for_its_settings_does_not_decide() {
    // The best arm sees a fourth of its races in its first turn, the others all of theirs.
    let rates = [1e6, 2e6, 3e6, 1.5e6];
    let right = (0..100).filter(|&seed| {
        let mut search = Search::new();
        rates.iter().for_each(|_| search.add(ArmPace::Paced));
        let mut machine = Machine { rates: &rates, random: fastrand::Rng::with_seed(seed) };
        for _ in 0..20 {
            let arm = search.next().unwrap();
            let turn = machine.turn(arm);
            let looks = arm == 2 && search.turns(arm).len() == 0;
            search.seen(arm, Turn { races: if looks { turn.races / 4 } else { turn.races }, ..turn });
        }
        search.best().0 == 2
    });
    let right = right.count();
    assert!(right >= 98, "{right} of 100");
    // An arm that is hopeless gets no second turn before the others.
    let mut search = Search::new();
    (0..3).for_each(|_| search.add(ArmPace::Paced));
    let order: Vec<usize> = (0..6)
        .map(|_| {
            let arm = search.next().unwrap();
            let races = [1000, 10, 900][arm];
            search.seen(arm, Turn { iterations: 1000, races, variety: 0.0, seconds: 1.0, level: 0 });
            arm
        })
        .collect();
    assert_eq!(order[..5], [0, 1, 2, 0, 2]);
}

/// Runs of one machine choose alike: of seven arms that are equally good, the first.
#[test]
fn chance_does_not_choose_among_equal_arms() {
    let first = (0..200).filter(|&seed| searched(&[1e5; 7], 30, seed).best().0 == 0).count();
    assert!(first >= 196, "{first} of 200");
}

/// A spread of the turns that is as large as the difference does not hide an arm that is 1.8 times as good.
#[test]
fn a_large_difference_is_taken_however_much_the_turns_spread() {
    let mut search = Search::new();
    (0..2).for_each(|_| search.add(ArmPace::Paced));
    for (arm, races) in [(0, 0), (0, 400), (0, 1600), (0, 1000), (1, 0), (1, 1800), (1, 2900), (1, 700)] {
        search.seen(arm, Turn { iterations: 10_000, races, variety: 0.0, seconds: 1.0, level: 0 });
    }
    let values = search.values().1;
    assert!(values[0].1 > 0.3 * values[0].0, "{values:?}");
    assert_eq!(search.best().0, 1);
}

#[test]
fn a_small_difference_leaves_the_first_arm() {
    for (rate, chosen) in [(1.05e6, 0), (1.5e6, 1)] {
        for seed in 0..50 {
            assert_eq!(searched(&[1e6, rate], 40, seed).best().0, chosen, "{rate}");
        }
    }
}

#[test]
fn without_races_the_arms_are_worth_what_others_say_or_their_variety() {
    let quiet = |variety| Turn { iterations: 1000, races: 0, variety, seconds: 1.0, level: 0 };
    let mut search = Search::new();
    (0..3).for_each(|_| search.add(ArmPace::Paced));
    assert_eq!(search.best(), (0, Measure::Variety));
    [10.0, 400.0, 90.0].into_iter().enumerate().for_each(|(arm, variety)| search.seen(arm, quiet(variety)));
    assert_eq!(search.best(), (1, Measure::Variety));
    assert_eq!(search.lessons(0), None);
    // What controls profited from decides, and the best of these is tried right after the first arm.
    let mut search = Search::new();
    (0..4).for_each(|_| search.add(ArmPace::Paced));
    search.know(vec![Some(0.1), None, Some(0.9), Some(0.5)]);
    let mut order = Vec::new();
    for _ in 0..4 {
        let arm = search.next().unwrap();
        order.push(arm);
        search.seen(arm, quiet(100.0 + 1000.0 * f64::from(u8::from(arm == 1))));
    }
    assert_eq!(order, [0, 2, 3, 1]);
    assert_eq!(search.best(), (2, Measure::Controls));
    // But settings at which the threads of this test do not meet are not chosen, however good they were for others.
    let mut alone = Search::new();
    (0..2).for_each(|_| alone.add(ArmPace::Paced));
    alone.know(vec![Some(0.1), Some(1.0)]);
    [400.0, 3.0].into_iter().enumerate().for_each(|(arm, variety)| alone.seen(arm, quiet(variety)));
    assert_eq!(alone.best(), (0, Measure::Controls));
    // Its own races decide once there are enough.
    search.seen(3, Turn { races: ENOUGH - 1, ..quiet(0.0) });
    assert_eq!(search.best().1, Measure::Controls);
    search.seen(3, Turn { races: 1, ..quiet(0.0) });
    assert_eq!(search.best(), (3, Measure::Races));
    let lessons = search.lessons(0).unwrap();
    assert_eq!(lessons.iter().find(|(arm, _)| *arm == 3), Some(&(3, 1.0)));
}

#[test]
fn the_measured_rate_of_the_chosen_arm_is_not_the_one_that_chose_it() {
    // Ten arms of the same rate: the best seen rate is too high, and the intervals of what is measured afterwards cover the
    // true rate as often as they say.
    let (rate, trials) = (0.01, 20_000_u64);
    let mut random = fastrand::Rng::with_seed(7);
    let mut count = |trials: u64| (0..trials).filter(|_| random.f64() < rate).count() as u64;
    let (mut too_high, mut covered) = (0, 0);
    for _ in 0..1000 {
        let mut search = Search::new();
        for arm in 0..10 {
            search.add(ArmPace::Paced);
            let races = count(2000);
            search.seen(arm, Turn { iterations: 2000, races, variety: 0.0, seconds: 1.0, level: 0 });
        }
        let races = |arm: usize| search.turns(arm).next().unwrap().races;
        let best = (0..10).max_by_key(|&arm| races(arm)).unwrap();
        too_high += u32::from(races(best) as f64 > rate * 2000.0);
        let interval = crate::stats::interval(count(trials), trials).unwrap();
        covered += u32::from(interval.low <= rate && rate <= interval.high);
    }
    assert!(too_high > 950, "{too_high}");
    assert!(covered >= 940, "{covered}");
}

#[test]
fn the_first_arm_has_the_default_settings_and_none_comes_twice() {
    let all = arms(&Allowed::all());
    assert_eq!((all[0], all.len()), (Arm::FIRST, 11));
    // What is hardly worse than the best is chosen by this order.
    let dense: Vec<usize> =
        all[1..5].iter().filter(|arm| arm.layout == LayoutKind::Dense).map(|arm| arm.group).collect();
    assert_eq!(dense, [16, 32, 64, 8]);
    let packed =
        arms(&Allowed { free: false, layouts: vec![LayoutKind::Packed, LayoutKind::Padded], ..Allowed::all() });
    let kinds: Vec<_> = packed.iter().map(|arm| (arm.layout, arm.group)).collect();
    let of = |layout| [1, 4, 8].map(|group| (layout, group));
    assert_eq!(kinds, [of(LayoutKind::Padded), of(LayoutKind::Packed)].concat());
    assert!((0..all.len()).all(|at| !all[..at].contains(&all[at])));
    assert!(all.iter().any(|arm| arm.layout == LayoutKind::Dense && arm.group == 16 && arm.pace == ArmPace::Paced));
    assert!(all.iter().any(|arm| arm.pace == ArmPace::Free && arm.layout == LayoutKind::Dense));
    let [on, off, turns, ahead] = Prefetch::ALL;
    for arm in all.iter().filter(|arm| arm.pace == ArmPace::Paced) {
        assert_eq!(arm.prefetch, if arm.layout == LayoutKind::Dense { ahead } else { turns }, "{arm}");
    }
    let dense = all.iter().copied().find(|arm| arm.layout == LayoutKind::Dense).unwrap();
    let spare = Allowed { spare_cpus: true, ..Allowed::all() };
    assert_eq!(variants(dense, &spare).len(), 4 + StressKind::ALL.len());
    let of = |arm| variants(arm, &Allowed::all()).iter().map(|arm| (arm.prefetch, arm.stretch)).collect::<Vec<_>>();
    assert_eq!(of(dense), [(on, 1), (off, 1), (ahead, 2), (ahead, 4)]);
    let to_on = |arm: Arm| Change::between(arm, Arm { prefetch: on, ..arm });
    assert_ne!(to_on(dense), to_on(Arm::FIRST), "one is in place of ahead, the other of turns");
    assert_eq!(of(Arm::FIRST), [(on, 1), (ahead, 1), (off, 1), (turns, 2), (turns, 4)]);
    assert_eq!(of(Arm { stretch: 4, ..dense }), [(on, 4), (off, 4), (ahead, 8)]);
    assert_eq!(of(Arm { stretch: 2, prefetch: on, ..dense }), [(ahead, 2), (off, 2)]);
    let free = all.iter().copied().find(|arm| arm.pace == ArmPace::Free).unwrap();
    assert_eq!(variants(free, &Allowed::all()), [Arm { batch: Some(8192), ..free }]);
}

#[test]
fn what_was_given_is_not_varied() {
    let given = Allowed { layouts: vec![LayoutKind::Packed], group: Some(3), batch: Some(99), ..Allowed::all() };
    let all = arms(&given);
    assert_eq!(all, [Arm { layout: LayoutKind::Packed, group: 3, batch: Some(99), ..Arm::FIRST }]);
    let prefetched = Allowed { prefetch: Some(Prefetch::On), stress: Some(StressKind::Sets), ..Allowed::all() };
    let all = arms(&prefetched);
    assert!(all.len() == 7 && all.iter().all(|arm| arm.prefetch == Prefetch::On && arm.stress.is_some()));
    assert_eq!(variants(all[3], &prefetched), [2, 4].map(|stretch| Arm { stretch, ..all[3] }));
    let batch = arms(&Allowed { batch: Some(99), ..Allowed::all() });
    assert!(batch.iter().any(|arm| arm.pace == ArmPace::Free) && batch.iter().all(|arm| arm.batch == Some(99)));
    for (free, paced) in [(true, false), (false, true)] {
        let all = arms(&Allowed { free, paced, ..Allowed::all() });
        assert!(!all.is_empty() && all.iter().all(|arm| (arm.pace == ArmPace::Paced) == paced));
    }
}

#[test]
fn knowledge_is_of_the_same_cpus_in_the_same_order() {
    let mut knowledge = Knowledge::default();
    knowledge.learn(&[0, 1], Arm::FIRST, None, 0.5);
    knowledge.learn(&[0, 1], Arm::FIRST, Some(30.0), 1.0);
    assert_eq!(knowledge.value(&[0, 1], Arm::FIRST, None), Some(0.75));
    assert_eq!(knowledge.value(&[1, 0], Arm::FIRST, None), None);
    // What was learned at a distance counts there, and all where nothing was.
    let at = |ns| knowledge.value(&[0, 1], Arm::FIRST, Some(ns));
    assert_eq!([at(31.0), at(170.0)], [Some(1.0), Some(0.75)]);
    let chosen = Chosen { arm: Arm::FIRST, period_ticks: 3.0, best_period_ticks: None, reach: 1, distance_ns: None };
    knowledge.choose(&[0, 1], "a", chosen, 1.0);
    assert_eq!((knowledge.chosen(&[0, 1], "a"), knowledge.chosen(&[0, 1], "b")), (&[chosen][..], &[][..]));
}

#[test]
fn what_runs_free_is_compared_by_half_of_its_races() {
    for (races, wins) in [(1_900, false), (2_300, false), (2_600, true)] {
        let mut search = Search::new();
        search.add(ArmPace::Paced);
        search.add(ArmPace::Free);
        for _ in 0..4 {
            search.seen(0, turn(1_000));
            search.seen(1, turn(races));
        }
        assert_eq!(search.best().0, usize::from(wins), "{races}");
        let finals = [(0, 1_000.0), (1, races as f64)];
        assert_eq!(search.winner(&finals), Some(usize::from(wins)), "{races}");
        // Another test divides by the handicap itself.
        let lessons = search.lessons(0).unwrap();
        assert!((lessons[0].1 - 1_000.0 / races as f64).abs() < 1e-9 && lessons[1] == (1, 1.0), "{lessons:?}");
    }
    // Where all run free, they are compared as they are.
    let mut free = Search::new();
    (0..2).for_each(|_| free.add(ArmPace::Free));
    assert_eq!(free.winner(&[(0, 1_000.0), (1, 1_300.0)]), Some(1));
    assert_eq!(free.winner(&[(0, 1_000.0), (1, 1_100.0)]), Some(0));
}

/// Nothing is known of the other arms, so they are not worthless.
#[test]
fn what_is_recalled_is_worth_more_than_the_others() {
    let mut knowledge = Knowledge::default();
    let [first, other] = [1, 4].map(|group| Arm { group, ..Arm::FIRST });
    assert_eq!(knowledge.value(&[0, 1], first, Some(30.0)), None);
    knowledge.recall(&[0, 1], first, Some(30.0));
    let values = |knowledge: &Knowledge, ns| [first, other].map(|arm| knowledge.value(&[0, 1], arm, Some(ns)));
    assert_eq!(values(&knowledge, 31.0), [Some(1.0), Some(0.5)]);
    assert_eq!(values(&knowledge, 150.0), [Some(0.5), Some(0.5)]);
    assert_eq!(knowledge.value(&[1, 0], first, Some(30.0)), None);
    // What this run has learned goes first.
    knowledge.learn(&[0, 1], first, Some(30.0), 0.2);
    assert_eq!(values(&knowledge, 31.0), [Some(0.2), Some(0.5)]);
    knowledge.recall(&[2, 3], other, None);
    assert_eq!(knowledge.value(&[2, 3], other, Some(30.0)), Some(1.0));
}

/// Settings that were chosen at a distance.
fn at(group: usize, ns: f64) -> Chosen {
    Chosen {
        arm: Arm { group, ..Arm::FIRST },
        period_ticks: 3.0,
        best_period_ticks: None,
        reach: 1,
        distance_ns: Some(ns),
    }
}

#[test]
fn what_was_given_counts_where_nothing_was_chosen() {
    let mut knowledge = Knowledge::default();
    let (latest, earlier, own) = (at(16, 30.0), at(4, 33.0), at(8, 31.0));
    knowledge.give(&[0, 1], "a", latest, "tuned");
    knowledge.give(&[0, 1], "a", earlier, "found");
    let source = |knowledge: &Knowledge, chosen| knowledge.source(&[0, 1], "a", &chosen).map(str::to_owned);
    let with_period = Chosen { best_period_ticks: Some(7.0), ..earlier };
    assert_eq!(source(&knowledge, latest).as_deref(), Some("tuned"));
    assert_eq!((source(&knowledge, with_period).as_deref(), source(&knowledge, own)), (Some("found"), None));
    let of = |knowledge: &Knowledge, ns| knowledge.chosen_at(&[0, 1], "a", ns);
    assert_eq!((of(&knowledge, 30.0), of(&knowledge, 150.0)), (Some(latest), None));
    assert!(knowledge.chosen(&[0, 1], "a").is_empty() && knowledge.given(&[0, 1], "b").next().is_none());
    knowledge.choose(&[0, 1], "a", own, 1.0);
    assert_eq!(of(&knowledge, 30.0), Some(own));
    assert_eq!(knowledge.chosen(&[0, 1], "a"), [own]);
    assert_eq!(knowledge.given(&[0, 1], "a").copied().collect::<Vec<_>>(), [latest, earlier]);
    // What this run found as well is its own.
    assert_eq!(source(&knowledge, own), None);
    knowledge.choose(&[0, 1], "a", latest, 1.0);
    assert_eq!(source(&knowledge, latest), None);
    let mut knowledge = Knowledge::default();
    // Repeats begin as the first run did.
    assert_eq!(knowledge.begun(&[0, 1], "a"), None);
    knowledge.begin(&[0, 1], "a", latest);
    knowledge.begin(&[0, 1], "a", own);
    assert_eq!((knowledge.begun(&[0, 1], "a"), knowledge.begun(&[1, 0], "a")), (Some(latest), None));
}

/// A run has several parts at a distance.
#[test]
fn the_longest_run_decides_on_the_period() {
    let mut knowledge = Knowledge::default();
    let of = |best, ns, elapsed_s| Settled {
        chosen: Chosen {
            arm: Arm::FIRST,
            period_ticks: 90.0,
            best_period_ticks: Some(best),
            reach: 1,
            distance_ns: Some(ns),
        },
        elapsed_s,
    };
    let (short, long, far) = (of(100.0, 30.0, 1.0), of(200.0, 33.0, 2.0), of(700.0, 180.0, 0.5));
    for settled in [short, long, far, of(300.0, 29.0, 1.5)] {
        knowledge.settle(&[0, 1], "a", settled);
    }
    assert_eq!(knowledge.settled(&[0, 1], "a"), [long, far]);
    // Later parts of this process begin with it.
    let searched = Chosen { best_period_ticks: None, ..long.chosen };
    knowledge.begin(&[0, 1], "a", searched);
    knowledge.choose(&[0, 1], "a", Chosen { distance_ns: Some(180.0), ..searched }, 1.0);
    let best = |chosen: Option<Chosen>| chosen.and_then(|chosen| chosen.best_period_ticks);
    assert_eq!(best(knowledge.begun(&[0, 1], "a")), Some(200.0));
    assert_eq!(best(knowledge.chosen_at(&[0, 1], "a", 170.0)), Some(700.0));
    let other = Settled { chosen: Chosen { arm: Arm { group: 4, ..Arm::FIRST }, ..short.chosen }, ..short };
    knowledge.settle(&[0, 1], "a", other);
    assert_eq!((knowledge.settled(&[0, 1], "a").len(), knowledge.settled(&[1, 0], "a").len()), (3, 0));
}

#[test]
fn settings_are_known_by_the_distance_that_they_were_chosen_at() {
    let mut knowledge = Knowledge::default();
    let (near, far) = (at(16, 30.0), at(4, 150.0));
    knowledge.choose(&[0, 1], "a", near, 1.0);
    knowledge.choose(&[0, 1], "a", far, 1.0);
    let of = |knowledge: &Knowledge, ns| knowledge.chosen_at(&[0, 1], "a", ns);
    let found = [29.0, 47.9, 48.0, 93.0, 94.0, 239.0, 240.0].map(|ns| of(&knowledge, ns));
    assert_eq!(found, [Some(near), Some(near), None, None, Some(far), Some(far), None]);
    // Of two at one distance the later one is used.
    let later = at(8, 33.0);
    knowledge.choose(&[0, 1], "a", later, 1.0);
    assert_eq!((knowledge.chosen(&[0, 1], "a"), of(&knowledge, 30.0)), (&[near, far, later][..], Some(later)));
    assert_eq!((knowledge.chosen_at(&[1, 0], "a", 30.0), knowledge.chosen_at(&[0, 1], "b", 30.0)), (None, None));
}

#[test]
fn what_is_searched_in_a_window_has_the_same_code() {
    let paced = Arm { layout: LayoutKind::Dense, group: 16, ..Arm::FIRST };
    let all = arms(&Allowed::all().with_code_of(paced));
    assert_eq!(
        all.iter().map(|arm| (arm.layout, arm.group)).collect::<Vec<_>>(),
        [16, 32, 64, 8].map(|group| (paced.layout, group))
    );
    assert!(all.iter().all(|arm| arm.pace == ArmPace::Paced), "{all:?}");
    let free = Arm { pace: ArmPace::Free, group: 1, prefetch: Prefetch::Off, batch: Some(8192), ..paced };
    assert_eq!(arms(&Allowed::all().with_code_of(free)), [free]);
    // An option that allows free runs alone stays.
    assert_eq!(arms(&Allowed { paced: false, ..Allowed::all() }.with_code_of(paced)), []);
}

/// The arms of which a variant joins, if `open` has these changes of each.
fn joining(search: &Search, open: &[(usize, Change)], short: bool) -> Vec<(usize, Change)> {
    search.joining(open, short).into_iter().map(|at| open[at]).collect()
}

#[test]
fn the_variants_of_promising_arms_join_the_best_one_first() {
    let mut search = Search::new();
    (0..4).for_each(|_| search.add(ArmPace::Paced));
    let turn = |races| Turn { iterations: 1000, races, variety: 0.0, seconds: 1.0, level: 0 };
    let seen = |search: &mut Search, turns: &[(usize, u64)]| {
        turns.iter().for_each(|&(arm, races)| search.seen(arm, turn(races)));
    };
    let mut open: Vec<_> = (0..5).map(|arm| (arm, OFF)).collect();
    let first = |search: &Search, open: &[(usize, Change)], short| {
        let found = joining(search, open, short);
        assert!(found.len() < 2, "{found:?}");
        found.first().map(|&(arm, _)| arm)
    };
    seen(&mut search, &[(0, 1600), (1, 3000), (3, 1100)]);
    assert_eq!([false, true].map(|short| first(&search, &open[..4], short)), [None, None], "arm 2 was not tried");
    seen(&mut search, &[(2, 100)]);
    // Arms 0, 1 and 3 wait for their second turn, arm 2 is hopeless.
    assert_eq!(first(&search, &open[..4], false), None);
    assert_eq!(first(&search, &open[..4], true), Some(1), "there is no time to wait");
    seen(&mut search, &[(0, 1600), (3, 1100), (1, 2500)]);
    assert_eq!(first(&search, &open[..4], false), Some(1));
    search.add_variant(ArmPace::Paced, 1, OFF);
    open.remove(1);
    assert_eq!(first(&search, &open, true), None, "the variant was not tried");
    seen(&mut search, &[(4, 2600), (4, 2600)]);
    // The variant is the best of all, then comes the second best arm. Arm 3 is not worth half of the best.
    assert_eq!(first(&search, &open, false), Some(4));
    open.retain(|(arm, _)| *arm != 4);
    assert_eq!(first(&search, &open, false), Some(0));
    open.remove(0);
    assert_eq!(first(&search, &open, false), None);
    // Arm 1 had luck. Now arm 3 is promising, too.
    seen(&mut search, &[(1, 1200), (1, 1200), (1, 1200), (4, 2600)]);
    assert_eq!(first(&search, &open, false), Some(3));
}

/// A variant that is the best of all has variants, and these have none.
#[test]
fn the_best_of_all_is_varied_twice() {
    let mut search = Search::new();
    search.add(ArmPace::Paced);
    search.seen(0, turn(1000));
    search.seen(0, turn(1000));
    assert_eq!(joining(&search, &[(0, LONGER), (0, OFF)], false), [(0, LONGER), (0, OFF)]);
    for races in [4000, 3000] {
        search.add_variant(ArmPace::Paced, 0, LONGER);
        (0..2).for_each(|_| search.seen(search.arms() - 1, turn(races)));
    }
    assert_eq!(joining(&search, &[(1, OFF), (2, OFF)], false), [(1, OFF)]);
    search.add_variant(ArmPace::Paced, 1, OFF);
    (0..2).for_each(|_| search.seen(3, turn(9000)));
    assert_eq!(joining(&search, &[(1, LONGER), (2, LONGER), (3, LONGER)], false), []);
    // An arm that is no variant is compared with others that are none.
    search.add(ArmPace::Paced);
    (0..2).for_each(|_| search.seen(4, turn(600)));
    assert_eq!(joining(&search, &[(3, OFF), (4, OFF)], false), [(4, OFF)]);
}

/// Threads that lines keep in step have hardly a race, and many at twice the period.
#[test]
fn a_longer_period_is_tried_of_every_arm_where_more_of_the_iterations_can_race() {
    let mut search = Search::new();
    (0..2).for_each(|_| search.add(ArmPace::Paced));
    assert_eq!(joining(&search, &[(0, LONGER)], false), [], "nothing is known of it");
    // The last turn counts, because the first one still looks for its skews.
    [(0, 100), (0, 4999), (1, 100), (1, 5000)].into_iter().for_each(|(arm, races)| search.seen(arm, turn(races)));
    assert_eq!([0, 1].map(|arm| joining(&search, &[(arm, LONGER)], false).len()), [1, 0]);
    // What did one arm no good may do it to another.
    search.add_variant(ArmPace::Paced, 0, LONGER);
    (0..2).for_each(|_| search.seen(2, turn(1)));
    assert_eq!(joining(&search, &[(0, LONGER)], false), [(0, LONGER)]);
    // An arm that is not promising has its turn after the others, if there is time, and no other variant.
    search.add(ArmPace::Paced);
    search.seen(3, turn(7));
    let open = [(0, LONGER), (3, LONGER), (3, OFF)];
    assert_eq!(joining(&search, &open, false), open[..1]);
    assert_eq!(joining(&search, &open[1..], false), open[1..2]);
    assert_eq!(joining(&search, &open[1..], true), []);
    // Without races the measurement does not keep a longer period.
    let mut quiet = Search::new();
    quiet.add(ArmPace::Paced);
    quiet.seen(0, turn(ENOUGH - 1));
    assert_eq!(joining(&quiet, &[(0, LONGER), (0, OFF)], true), [(0, OFF)]);
}

#[test]
fn a_prefetch_that_did_no_good_is_tried_on_other_arms_once_it_does() {
    let mut search = Search::new();
    (0..4).for_each(|_| search.add(ArmPace::Paced));
    [1000, 1000, 1000, 1500].into_iter().enumerate().for_each(|(arm, races)| search.seen(arm, turn(races)));
    let joins = |search: &Search, arm| !search.joining(&[(arm, OFF)], true).is_empty();
    assert!(joins(&search, 0), "it was not tried");
    search.add_variant(ArmPace::Paced, 0, OFF);
    assert!(!joins(&search, 1), "it had no turn");
    search.seen(4, turn(900));
    assert!(!joins(&search, 1));
    // Arm 1 has another prefetch to begin with, and nothing is known of a change from that.
    let other = Change { from: Some(Prefetch::Ahead), ..OFF };
    assert!(!search.joining(&[(1, other)], true).is_empty());
    search.add_variant(ArmPace::Paced, 1, OFF);
    search.seen(5, turn(1100));
    assert!(joins(&search, 2));
    // Its first turn does not count if it has another.
    search.seen(5, turn(900));
    assert!(!joins(&search, 2));
    search.seen(4, turn(1100));
    assert!(joins(&search, 2));
}

/// What a few turns of other arms say does not keep the best one from its variants. MP+nt chose a prefetch with a third of the races when it did.
#[test]
fn the_best_of_all_is_varied_whatever_did_no_good_elsewhere() {
    let mut search = Search::new();
    (0..3).for_each(|_| search.add(ArmPace::Paced));
    search.add_variant(ArmPace::Paced, 0, OFF);
    for (arm, races) in [(0, 1000), (1, 1500), (2, 1400), (3, 900)] {
        search.seen(arm, turn(races));
    }
    let joins = |search: &Search, arm| !search.joining(&[(arm, OFF)], true).is_empty();
    assert_eq!([1, 2].map(|arm| joins(&search, arm)), [true, false]);
    // So is a variant, and what does it good is no reason to try it on other arms.
    search.add_variant(ArmPace::Paced, 1, LONGER);
    search.seen(4, turn(3000));
    assert_eq!([1, 2, 4].map(|arm| joins(&search, arm)), [true, false, true]);
    search.add_variant(ArmPace::Paced, 4, OFF);
    search.seen(5, turn(4000));
    assert_eq!([1, 2].map(|arm| joins(&search, arm)), [true, false]);
}

/// Of variants that are hardly different, one is chosen whichever joined first.
#[test]
fn the_order_in_which_variants_joined_does_not_choose() {
    let chosen = |joined: [(usize, Change); 3]| {
        let mut search = Search::new();
        (0..2).for_each(|_| search.add(ArmPace::Paced));
        joined.iter().for_each(|&(of, change)| search.add_variant(ArmPace::Paced, of, change));
        for arm in 0..5 {
            (0..4).for_each(|_| search.seen(arm, turn(if arm < 2 { 1000 } else { 4000 })));
        }
        joined[search.best().0 - 2]
    };
    let [first, second, longer] = [(0, OFF), (1, OFF), (0, LONGER)];
    for joined in [[first, second, longer], [second, first, longer], [longer, second, first]] {
        assert_eq!(chosen(joined), first);
    }
    // The place of a variant of a variant is that of its settings, whichever change came first.
    for [of_variant, other] in [[OFF, LONGER], [LONGER, OFF]] {
        let mut search = Search::new();
        search.add(ArmPace::Paced);
        search.add_variant(ArmPace::Paced, 0, other);
        search.add_variant(ArmPace::Paced, 1, of_variant);
        search.add_variant(ArmPace::Paced, 0, of_variant);
        for (arm, races) in [(0, 1000), (1, 4000), (2, 4000), (3, 4000)] {
            (0..4).for_each(|_| search.seen(arm, turn(races)));
        }
        assert_eq!(search.best().0, if other == OFF { 1 } else { 3 });
        assert!(search.place(2) > search.place(1).max(search.place(3)));
    }
    // A variant that is the best of all is not left for one that comes before it.
    let mut search = Search::new();
    search.add(ArmPace::Paced);
    search.add_variant(ArmPace::Paced, 0, LONGER);
    search.add_variant(ArmPace::Paced, 0, OFF);
    for (arm, races) in [(0, 1000), (1, 8000), (2, 5000)] {
        (0..4).for_each(|_| search.seen(arm, turn(races)));
    }
    assert_eq!(search.best().0, 1);
}

/// The best variant is one of the second best arm.
#[test]
fn the_best_variant_is_found_whichever_arm_it_belongs_to() {
    let right = (0..200).filter(|&seed| {
        // Four arms, then the variant of each. The variant of a variant is as good as that.
        let rates = [1.0e6, 1.4e6, 1.0e5, 2.0e5, 2.5e6, 0.7e6, 1.5e5, 2.0e5];
        let (mut kinds, mut varied) = (vec![0, 1, 2, 3], Vec::new());
        let mut search = Search::new();
        kinds.iter().for_each(|_| search.add(ArmPace::Paced));
        let mut machine = Machine { rates: &rates, random: fastrand::Rng::with_seed(seed) };
        for at in 0..30 {
            let open: Vec<_> =
                (0..search.arms()).map(|arm| (arm, LONGER)).filter(|(arm, _)| !varied.contains(arm)).collect();
            for joins in search.joining(&open, at >= 15) {
                let arm = open[joins].0;
                varied.push(arm);
                search.add_variant(ArmPace::Paced, arm, LONGER);
                kinds.push(4 + kinds[arm] % 4);
            }
            let arm = search.next().unwrap();
            let turn = machine.turn(kinds[arm]);
            search.seen(arm, turn);
        }
        kinds[search.best().0] == 4
    });
    let right = right.count();
    assert!(right >= 195, "{right} of 200");
}

#[test]
fn contenders_are_those_near_the_best_where_races_decide() {
    let mut search = Search::new();
    (0..5).for_each(|_| search.add(ArmPace::Paced));
    assert!(search.contenders(0).is_empty());
    for (arm, races) in [(0, 1000), (1, 590), (2, 610), (3, 900), (4, 0)] {
        (0..2).for_each(|_| search.seen(arm, turn(races)));
    }
    assert_eq!((search.contenders(0), search.contenders(1).len()), (vec![0, 3, 2], 0));
    let mut quiet = Search::new();
    quiet.add(ArmPace::Paced);
    quiet.seen(0, Turn { variety: 9.0, ..turn(0) });
    assert!(quiet.contenders(0).is_empty());
    // Variants come behind the arms that they vary, whatever their number.
    search.add_variant(ArmPace::Paced, 0, OFF);
    assert_eq!(search.winner(&[(5, 101.0), (3, 100.0), (2, 85.0), (1, 83.0)]), Some(2));
    assert_eq!(
        (search.winner(&[(5, 101.0), (2, 50.0)]), search.winner(&[(2, 0.0)]), search.winner(&[])),
        (Some(5), None, None)
    );
    // A measurement finds its period, so a stretch has no place in the order.
    search.add_variant(ArmPace::Paced, 0, LONGER);
    assert_eq!(search.winner(&[(5, 100.0), (6, 100.0)]), Some(6));
}
