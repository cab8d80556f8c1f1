//! The table: every state under every event.

use super::*;
use crate::domain::run_limits::RunLimits;
use crate::domain::run_record::RunFailure;
use crate::domain::units::Bytes;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn later(ms: i64) -> Timestamp {
    NOW + SignedDuration::from_millis(ms)
}

/// A job in `state`, at epoch 3, with a lease that holds where the state has one.
fn job(state: State) -> Job {
    let working = !state.is_terminal() && state != State::Queued;
    let lease = working.then(|| Lease { worker: "w".into(), until: later(100) });
    Job { state, epoch: 3, generation: 7, lease, ..Job::new(Lane::Git) }
}

fn finished(outcome: Outcome) -> JobEvent {
    let fault = outcome.fault();
    JobEvent::Finished { epoch: 3, outcome, fault }
}

fn ran(failed: Option<Outcome>) -> JobEvent {
    let failure = |outcome| RunFailure { outcome, fault: Fault::Participant, text: String::new() };
    let run = RunRecord {
        failed: failed.map(failure),
        exit_code: Some(0),
        signal: None,
        wall: Millis(1),
        cpu: Millis(1),
        peak_memory: Bytes(1),
        peak_pids: 1,
        oom_kills: 0,
        image: None,
        limits: RunLimits::default(),
        runtime: None,
        network: None,
        ingestion: None,
    };
    JobEvent::Ran { epoch: 3, run: Box::new(run) }
}

/// State after the event, or how it was refused.
type Row = (&'static str, JobEvent, [Result<State, IllegalTransition>; 8]);

fn table() -> Vec<Row> {
    use IllegalTransition::{Early, FromHere, StaleEpoch};
    use State::{Building, Cancelled, Failed, Fetching, Queued, Running, Scored, Scoring};
    let no = |state| Err(FromHere(state));
    let ended = [no(Scored), no(Failed), no(Cancelled)];
    let row = |first: [Result<State, IllegalTransition>; 5]| {
        let [a, b, c, d, e] = first;
        let [f, g, h] = ended;
        [a, b, c, d, e, f, g, h]
    };
    let working = |to: Result<State, IllegalTransition>| row([no(Queued), to, to, to, to]);
    let wall = Outcome::Limit { limit: LimitKind::Wall, used: 2, allowed: 1 };
    let fuel = Outcome::Limit { limit: LimitKind::Fuel, used: 2, allowed: 1 };
    vec![
        (
            "claimed",
            JobEvent::Claimed { worker: "w".into(), until: later(9) },
            row([Ok(Fetching), no(Fetching), no(Building), no(Running), no(Scoring)]),
        ),
        (
            "renewed",
            JobEvent::Renewed { epoch: 3, until: later(9) },
            row([no(Queued), Ok(Fetching), Ok(Building), Ok(Running), Ok(Scoring)]),
        ),
        ("renewed, stale", JobEvent::Renewed { epoch: 2, until: later(9) }, working(Err(StaleEpoch))),
        (
            "advanced",
            JobEvent::Advanced { epoch: 3 },
            row([no(Queued), Ok(Building), Ok(Running), no(Running), no(Scoring)]),
        ),
        ("advanced, stale", JobEvent::Advanced { epoch: 4 }, working(Err(StaleEpoch))),
        ("ran", ran(None), row([no(Queued), no(Fetching), no(Building), Ok(Scoring), no(Scoring)])),
        (
            "ran, and failed",
            ran(Some(Outcome::RunFailed { code: "exit".into() })),
            row([no(Queued), no(Fetching), no(Building), Ok(Failed), no(Scoring)]),
        ),
        ("finished: scored", finished(Outcome::Scored), working(Ok(Scored))),
        ("finished: participant", finished(Outcome::InvalidSubmission), working(Ok(Failed))),
        ("finished: challenge", finished(fuel), working(Ok(Failed))),
        ("finished: wall time", finished(wall), row([no(Queued), Ok(Failed), Ok(Failed), Ok(Failed), Ok(Queued)])),
        ("finished: platform", finished(Outcome::Platform), working(Ok(Queued))),
        (
            "finished, stale",
            JobEvent::Finished { epoch: 2, outcome: Outcome::Scored, fault: None },
            working(Err(StaleEpoch)),
        ),
        ("released", JobEvent::Released { epoch: 3 }, working(Ok(Queued))),
        ("lease still holds", JobEvent::LeaseExpired, working(Err(Early))),
        ("host lost", JobEvent::HostLost, working(Ok(Queued))),
        (
            "cancelled",
            JobEvent::Cancelled,
            row([Ok(Cancelled), Ok(Cancelled), Ok(Cancelled), Ok(Cancelled), Ok(Cancelled)]),
        ),
    ]
}

#[test]
fn every_state_under_every_event() {
    for (name, event, expected) in table() {
        for (state, expected) in State::ALL.into_iter().zip(expected) {
            let before = job(state);
            let got = step(&before, &event, NOW);
            assert_eq!(got.as_ref().map(|(next, _)| next.state), expected.as_ref().copied(), "{name} while {state:?}");
            let Ok((next, effects)) = got else { continue };
            assert_eq!(next.generation, before.generation + 1, "{name} while {state:?}");
            let settled = effects.iter().filter(|effect| matches!(effect, Effect::Settle(_))).count();
            assert_eq!(
                settled,
                usize::from(next.state.is_terminal()),
                "{name} while {state:?}: settled once, at the end"
            );
            assert_eq!(next.lease.is_some(), !next.state.is_terminal() && next.state != State::Queued, "{name}");
        }
    }
}

#[test]
fn each_lane_begins_where_its_work_does() {
    for (lane, state) in [
        (Lane::Results, State::Scoring),
        (Lane::Code, State::Running),
        (Lane::Image, State::Running),
        (Lane::Git, State::Fetching),
    ] {
        let claimed = JobEvent::Claimed { worker: "w".into(), until: later(9) };
        let (next, _) = step(&Job::new(lane), &claimed, NOW).unwrap();
        assert_eq!((next.state, next.epoch), (state, 1));
    }
}

#[test]
fn a_run_is_not_done_twice() {
    let (scoring, _) = step(&Job { lane: Lane::Code, ..job(State::Running) }, &ran(None), NOW).unwrap();
    assert_eq!((scoring.state, scoring.stage()), (State::Scoring, Stage::Score));
    let (waiting, _) = step(&scoring, &JobEvent::HostLost, NOW).unwrap();
    assert_eq!((waiting.state, waiting.stage()), (State::Queued, Stage::Score));
    let claimed = JobEvent::Claimed { worker: "w".into(), until: later(9_000) };
    assert_eq!(step(&waiting, &claimed, later(5_000)).unwrap().0.state, State::Scoring);
    let (_, effects) = step(&waiting, &JobEvent::Cancelled, NOW).unwrap();
    assert_eq!(effects, [Effect::Settle(Settlement::Charge)], "the run was had");
    let (lost, _) = step(&Job { lane: Lane::Code, ..job(State::Running) }, &JobEvent::HostLost, NOW).unwrap();
    assert_eq!(lost.stage(), Stage::Run, "a run that was lost begins anew");
}

#[test]
fn who_pays_follows_the_fault_table() {
    let settlement = |state, event: JobEvent| {
        let (_, effects) = step(&job(state), &event, NOW).unwrap();
        effects.into_iter().find_map(|effect| match effect {
            Effect::Settle(settlement) => Some(settlement),
            Effect::Rank | Effect::TellOrganizers | Effect::StopWork | Effect::Enqueue => None,
        })
    };
    let fuel = Outcome::Limit { limit: LimitKind::Fuel, used: 2, allowed: 1 };
    assert_eq!(settlement(State::Scoring, finished(Outcome::Scored)), Some(Settlement::Charge));
    assert_eq!(settlement(State::Scoring, finished(Outcome::InvalidSubmission)), Some(Settlement::Charge));
    assert_eq!(settlement(State::Scoring, finished(Outcome::ScorerFailed)), Some(Settlement::RefundCapped));
    assert_eq!(settlement(State::Scoring, finished(fuel)), Some(Settlement::RefundCapped));
    assert_eq!(settlement(State::Queued, JobEvent::Cancelled), Some(Settlement::Refund));
    assert_eq!(settlement(State::Scoring, JobEvent::Cancelled), Some(Settlement::Charge));
    let limit = Outcome::Limit { limit: LimitKind::Wall, used: 2, allowed: 1 };
    assert_eq!(settlement(State::Running, ran(Some(limit))), Some(Settlement::Charge));
    assert_eq!(settlement(State::Scoring, finished(Outcome::Platform)), None, "not yet over");
}

#[test]
fn wall_time_is_final_only_when_alone() {
    let wall = || finished(Outcome::Limit { limit: LimitKind::Wall, used: 2, allowed: 1 });
    let (waiting, _) = step(&job(State::Scoring), &wall(), NOW).unwrap();
    assert!(waiting.alone && waiting.state == State::Queued);
    let (ended, _) = step(&Job { alone: true, ..job(State::Scoring) }, &wall(), NOW).unwrap();
    assert_eq!(ended.state, State::Failed);
}

#[test]
fn platform_faults_back_off_and_give_up_at_the_cap() {
    let mut current = job(State::Scoring);
    for attempt in 1..MAX_ATTEMPTS {
        let (waiting, effects) = step(&current, &finished(Outcome::Platform), NOW).unwrap();
        assert_eq!((waiting.state, waiting.attempts), (State::Queued, attempt));
        assert_eq!(waiting.not_before, Some(later(1_000 << (attempt - 1))));
        assert_eq!(effects, [Effect::Enqueue]);
        let claimed = JobEvent::Claimed { worker: "w".into(), until: later(9) };
        assert_eq!(step(&waiting, &claimed, NOW), Err(IllegalTransition::Early));
        current = Job { attempts: waiting.attempts, ..job(State::Scoring) };
    }
    let (ended, effects) = step(&current, &finished(Outcome::Platform), NOW).unwrap();
    assert_eq!(ended.state, State::Failed);
    assert_eq!(ended.reason.as_deref(), Some("given up after 5 attempts that failed on our side; hand it in again"));
    assert_eq!(effects, [Effect::Settle(Settlement::Refund)]);
    // Hosts that end are none of its doing for longer, and not for ever.
    let after = |attempts| step(&Job { attempts, ..current.clone() }, &JobEvent::HostLost, NOW).unwrap().0;
    assert_eq!(
        [4, MAX_HOSTS - 2, MAX_HOSTS - 1].map(|n| after(n).state),
        [State::Queued, State::Queued, State::Failed]
    );
    assert_eq!(after(8).not_before, Some(later(256_000)));
}

#[test]
fn an_expired_lease_requeues_and_stops_the_worker() {
    for state in [State::Fetching, State::Building, State::Running, State::Scoring] {
        let (next, effects) = step(&job(state), &JobEvent::LeaseExpired, later(100)).unwrap();
        assert_eq!(next.state, State::Queued, "{state:?}");
        assert_eq!(effects, [Effect::Enqueue, Effect::StopWork]);
    }
}
