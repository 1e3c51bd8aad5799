//! The same random operations on every engine and on the model: the same answers, at each step.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use super::super::engine::{Durability, Engine};
use super::super::message::*;
use super::model::Model;
use super::suite::engines;

/// Few queues, groups and names, so that they meet.
const LANES: [&str; 3] = ["q/1", "q/10", "r/1"];

#[derive(Clone, Debug)]
enum Operation {
    Append {
        lane: usize,
        due: i64,
        group: Option<u8>,
        name: Option<u8>,
    },
    Lease {
        lane: usize,
        count: usize,
        time: i64,
        in_order: bool,
        leases_max: Option<u32>,
    },
    /// The lease taken so many leases ago.
    Renew {
        back: usize,
        time: i64,
    },
    Complete {
        back: usize,
    },
    Retry {
        back: usize,
        delay: i64,
    },
    Abandon {
        lane: usize,
    },
    Redrive {
        from: usize,
        to: usize,
        count: usize,
    },
    Purge {
        lane: usize,
        count: usize,
    },
    Expire {
        lane: usize,
        age: i64,
    },
    Wait {
        time: i64,
    },
    /// What came since the last one is forgotten, or not.
    End {
        is_kept: bool,
    },
}

fn operation() -> impl Strategy<Value = Operation> {
    use Operation::*;
    let lane = || 0..LANES.len();
    prop_oneof![
        8 => (lane(), 0..3i64, proptest::option::of(0..2u8), proptest::option::weighted(0.2, 0..3u8))
            .prop_map(|(lane, due, group, name)| Append { lane, due, group, name }),
        8 => (lane(), 1..4usize, 1..5i64, any::<bool>(), proptest::option::weighted(0.3, 1..3u32))
            .prop_map(|(lane, count, time, in_order, leases_max)| {
                Lease { lane, count, time, in_order, leases_max }
            }),
        2 => (0..6usize, 0..5i64).prop_map(|(back, time)| Renew { back, time }),
        4 => (0..6usize).prop_map(|back| Complete { back }),
        3 => (0..6usize, 0..4i64).prop_map(|(back, delay)| Retry { back, delay }),
        1 => lane().prop_map(|lane| Abandon { lane }),
        1 => (lane(), lane(), 0..3usize).prop_map(|(from, to, count)| Redrive { from, to, count }),
        1 => (lane(), 0..4usize).prop_map(|(lane, count)| Purge { lane, count }),
        1 => (lane(), 0..8i64).prop_map(|(lane, age)| Expire { lane, age }),
        4 => (1..4i64).prop_map(|time| Wait { time }),
        3 => proptest::bool::weighted(0.8).prop_map(|is_kept| End { is_kept }),
    ]
}

/// Carries operations out, and says all that can be seen.
struct Player<'a> {
    engine: &'a mut dyn Engine,
    now_ms: i64,
    tokens: u64,
    leases: Vec<Lease>,
    /// Messages' numbers, in the order of their coming. Of two that are the same, the first was forgotten.
    numbers: Vec<u64>,
}

impl Player<'_> {
    /// How many came before: one engine's numbers have gaps where another's have none.
    fn number(&self, id: u64) -> u64 {
        self.numbers.iter().rposition(|one| *one == id).unwrap_or(usize::MAX) as u64
    }

    fn numbered(&self, message: Message) -> Message {
        Message { id: self.number(message.id), ..message }
    }

    fn lease_before(&self, back: usize) -> Lease {
        // A stranger's, where there is none.
        let at = self.leases.len().checked_sub(back + 1);
        at.map_or(Lease { id: 1, token: 0 }, |at| self.leases[at])
    }

    fn play(&mut self, operation: &Operation) -> String {
        let now_ms = self.now_ms;
        let said = match *operation {
            Operation::Append { lane, due, group, name } => {
                let new = New {
                    head: format!("{now_ms}"),
                    body: Bytes::from(vec![now_ms as u8; 3]),
                    sent_ms: now_ms,
                    due_ms: now_ms + due,
                    group: group.map(|group| group.to_string()),
                    unique: name.map(|name| (name.to_string(), now_ms + 3)),
                };
                let appended = self.engine.append(LANES[lane], &new).unwrap();
                if appended.same.is_none() {
                    self.numbers.push(appended.id);
                }
                format!("{:?}", Appended { id: self.number(appended.id), ..appended })
            }
            Operation::Lease { lane, count, time, in_order, leases_max } => {
                self.tokens += 1;
                let leased = self.engine.lease(&Wanted {
                    lane: LANES[lane].into(),
                    count,
                    now_ms,
                    until_ms: now_ms + time,
                    // Half of them have the highest bit.
                    token: self.tokens.reverse_bits(),
                    in_order,
                    leases_max: leases_max.map(|max| (max, "dead".into())),
                });
                let leased = leased.unwrap();
                self.leases.extend(leased.iter().map(|one| one.lease));
                let messages = leased.into_iter().map(|one| self.numbered(one.message));
                format!("{:?}", messages.collect::<Vec<_>>())
            }
            Operation::Renew { back, time } => {
                let lease = self.lease_before(back);
                format!("{:?}", self.engine.renew(lease, now_ms, now_ms + time))
            }
            Operation::Complete { back } => {
                let lease = self.lease_before(back);
                format!("{:?}", self.engine.complete(lease))
            }
            Operation::Retry { back, delay } => {
                let lease = self.lease_before(back);
                format!("{:?}", self.engine.retry(lease, now_ms + delay, "again"))
            }
            Operation::Abandon { lane } => {
                format!("{:?}", self.engine.abandon(LANES[lane], now_ms))
            }
            Operation::Redrive { from, to, count } => {
                format!("{:?}", self.engine.redrive(LANES[from], LANES[to], count, now_ms))
            }
            Operation::Purge { lane, count } => {
                format!("{:?}", self.engine.purge(LANES[lane], count))
            }
            Operation::Expire { lane, age } => {
                format!("{:?}", self.engine.expire(LANES[lane], now_ms - age, now_ms))
            }
            Operation::Wait { time } => {
                self.now_ms += time;
                String::new()
            }
            Operation::End { is_kept } => {
                if is_kept {
                    self.engine.commit().unwrap();
                } else {
                    self.engine.rollback();
                }
                self.engine.begin(Durability::Process).unwrap();
                String::new()
            }
        };
        format!("{said} {}", self.look())
    }

    fn look(&mut self) -> String {
        let mut seen = format!("{:?}", self.engine.heads("q/").unwrap());
        for lane in LANES.into_iter().chain(["dead"]) {
            seen += &format!("{:?}", self.engine.depth(lane, self.now_ms).unwrap());
            seen += &format!("{:?}", self.engine.next_due(lane, self.now_ms).unwrap());
            let messages = self.engine.peek(lane, usize::MAX).unwrap();
            let messages = messages.into_iter().map(|one| self.numbered(one));
            seen += &format!("{:?}\n", messages.collect::<Vec<_>>());
        }
        seen
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn every_engine_answers_as_the_model(operations in vec(operation(), 1..120)) {
        for (name, mut engine, _place) in engines() {
            let mut model = Model::default();
            let [mut real, mut ideal] = [&mut *engine as &mut dyn Engine, &mut model]
                .map(|engine| {
                    engine.begin(Durability::Process).unwrap();
                    Player { engine, now_ms: 1000, tokens: 0, leases: Vec::new(), numbers: Vec::new() }
                });
            for (at, operation) in operations.iter().enumerate() {
                let (found, wanted) = (real.play(operation), ideal.play(operation));
                prop_assert_eq!(found, wanted, "{} at {}: {:?}", name, at, operation);
            }
        }
    }
}
