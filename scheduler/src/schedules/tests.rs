//! Schedules on a database, by a clock that the test sets.

use std::path::Path;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::queue::{Message, Sqlite};
use crate::sqs::{Attributes, Definition, Envelope};
use crate::store::Database;

const MINUTE_MS: i64 = 60_000;
/// 2026-01-01T00:00:00Z
const NOW_MS: i64 = 1_767_225_600_000;

struct Rig {
    schedules: Arc<Schedules>,
    queues: Arc<Queues>,
}

impl Rig {
    async fn open(data: &Path) -> Rig {
        Self::with(data, Sqlite::open(data).unwrap()).await
    }

    async fn with(data: &Path, engine: Sqlite) -> Rig {
        let queue = Arc::new(Queue::start(Box::new(engine)).unwrap());
        let queues = Arc::new(Queues::load(queue).await.unwrap());
        let database = Arc::new(Database::open(data).unwrap());
        let functions = Arc::new(FunctionStore::load(database).unwrap());
        let (identity, delays) = (Identity::default(), Delays::default());
        let schedules = Schedules::load(identity, functions, Arc::clone(&queues), delays);
        Rig { schedules: schedules.await.unwrap(), queues }
    }

    async fn make_queue(&self, name: &str) {
        let made = self.queues.change(name, |_| {
            Ok::<_, QueueError>(Definition {
                name: name.into(),
                attributes: Attributes::default(),
                tags: Default::default(),
                created_ms: NOW_MS,
                modified_ms: NOW_MS,
            })
        });
        made.await.unwrap();
    }

    /// Makes a schedule that calls the queue `q`, at [`NOW_MS`].
    async fn make(&self, name: &str, expression: &str, more: impl FnOnce(&mut Schedule)) {
        let mut schedule = Schedule {
            id: name.into(),
            group: DEFAULT_GROUP.into(),
            name: name.into(),
            expression: expression.into(),
            zone: "UTC".into(),
            is_enabled: true,
            target: Target {
                arn: Identity::default().queue_arn("q"),
                input: Some("<aws.scheduler.scheduled-time> <aws.scheduler.attempt-number>".into()),
                retries_max: 185,
                age_max_s: 86_400,
                dead_letters: Some(Identity::default().queue_arn("dead")),
                ..Target::default()
            },
            ..Schedule::default()
        };
        more(&mut schedule);
        let schedule = schedule.in_place_of(None, NOW_MS).unwrap();
        let made = self.schedules.change(DEFAULT_GROUP, name, |_| Ok::<_, QueueError>(schedule));
        made.await.unwrap();
    }

    /// Has the clock show this; when the next thing is due.
    async fn tick(&self, now_ms: i64) -> i64 {
        self.schedules.tick(now_ms).await.unwrap()
    }

    async fn messages(&self, name: &str) -> Vec<Message> {
        let lane = format!("sqs/{name}");
        let found =
            self.queues.queue.work(Durability::Process, move |engine| engine.peek(&lane, 1000));
        found.await.unwrap()
    }

    async fn bodies(&self, name: &str) -> Vec<String> {
        let text = |one: &Message| String::from_utf8(one.body.to_vec()).unwrap();
        self.messages(name).await.iter().map(text).collect()
    }
}

fn letter(message: &Message) -> Value {
    let attributes = Envelope::of(message).attributes.into_iter();
    attributes.map(|(name, value)| (name, json!(value.string))).collect()
}

fn at(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_millisecond()
}

#[tokio::test]
async fn a_run_happens_once_at_its_time_also_across_restarts() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::open(data.path()).await;
    rig.make_queue("q").await;
    rig.make("s", "cron(0/5 * * * ? *)", |_| {}).await;
    // The first minute is now.
    assert_eq!(rig.tick(NOW_MS).await, NOW_MS + 5 * MINUTE_MS);
    assert_eq!(rig.tick(NOW_MS + 5 * MINUTE_MS - 1).await, NOW_MS + 5 * MINUTE_MS);
    assert_eq!(rig.bodies("q").await, ["2026-01-01T00:00:00Z 1"]);
    drop(rig);
    let rig = Rig::open(data.path()).await;
    assert_eq!(rig.tick(NOW_MS + 5 * MINUTE_MS - 1).await, NOW_MS + 5 * MINUTE_MS);
    assert_eq!(rig.tick(NOW_MS + 5 * MINUTE_MS).await, NOW_MS + 10 * MINUTE_MS);
    assert_eq!(rig.tick(NOW_MS + 5 * MINUTE_MS).await, NOW_MS + 10 * MINUTE_MS);
    assert_eq!(rig.bodies("q").await, ["2026-01-01T00:00:00Z 1", "2026-01-01T00:05:00Z 1"]);
}

#[tokio::test]
async fn of_missed_runs_one_is_done_and_a_clock_set_back_repeats_none() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::open(data.path()).await;
    rig.make_queue("q").await;
    rig.make_queue("dead").await;
    rig.make("s", "rate(1 hour)", |_| {}).await;
    rig.tick(NOW_MS).await;
    // Down for four hours, or a clock that jumps ahead.
    let late_ms = at("2026-01-01T04:20:00Z");
    let next_ms = at("2026-01-01T05:00:00Z");
    assert_eq!(rig.tick(late_ms).await, next_ms);
    let runs = ["2026-01-01T00:00:00Z 1", "2026-01-01T04:00:00Z 1"];
    assert_eq!(rig.bodies("q").await, runs);
    // And back.
    for now_ms in [NOW_MS - 60 * MINUTE_MS, NOW_MS, NOW_MS + 60 * MINUTE_MS, late_ms, next_ms - 1] {
        assert_eq!(rig.tick(now_ms).await, next_ms);
    }
    assert_eq!(rig.bodies("q").await, runs);
    rig.tick(next_ms).await;
    assert_eq!(rig.bodies("q").await.len(), 3);
    assert_eq!(rig.bodies("dead").await.len(), 0);
}

#[tokio::test]
async fn what_is_too_old_is_a_dead_letter() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::open(data.path()).await;
    rig.make_queue("q").await;
    rig.make_queue("dead").await;
    rig.make("s", "at(2026-01-01T00:01:00)", |one| one.target.age_max_s = 60).await;
    assert_eq!(rig.tick(NOW_MS + 2 * MINUTE_MS + 1).await, i64::MAX);
    assert_eq!(rig.bodies("q").await, [""; 0]);
    let dead = rig.messages("dead").await;
    assert_eq!((dead.len(), &*dead[0].body), (1, &b"2026-01-01T00:01:00Z 1"[..]));
    let mut said = letter(&dead[0]);
    assert_eq!(said["EXECUTION_ID"].take().as_str().unwrap().len(), 16);
    let message = "The run was missed, and is older than MaximumEventAgeInSeconds.";
    assert_eq!(
        said,
        json!({
            "ERROR_CODE": "EventAgeExceeded", "ERROR_MESSAGE": message, "EXECUTION_ID": null,
            "EXHAUSTED_RETRY_CONDITION": "MaximumEventAgeInSeconds", "IS_PAYLOAD_TRUNCATED": "false",
            "RETRY_ATTEMPTS": "0", "SCHEDULED_TIME": "2026-01-01T00:01:00Z",
            "SCHEDULE_ARN": "arn:aws:scheduler:us-east-1:000000000000:schedule/default/s",
            "TARGET_ARN": "arn:aws:sqs:us-east-1:000000000000:q",
        })
    );
}

#[tokio::test]
async fn a_target_that_is_not_there_is_tried_again_until_it_is() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::open(data.path()).await;
    rig.make("s", "at(2026-01-01T00:01:00)", |_| {}).await;
    let run_ms = NOW_MS + MINUTE_MS;
    let again_ms = rig.tick(run_ms).await;
    assert!((500..=1000).contains(&(again_ms - run_ms)), "{again_ms}");
    let third_ms = rig.tick(again_ms).await;
    assert!((1000..=2000).contains(&(third_ms - again_ms)), "{third_ms}");
    drop(rig);
    // The next platform goes on with it.
    let rig = Rig::open(data.path()).await;
    rig.make_queue("q").await;
    assert_eq!(rig.tick(third_ms - 1).await, third_ms);
    assert_eq!(rig.tick(third_ms).await, i64::MAX);
    assert_eq!(rig.bodies("q").await, ["2026-01-01T00:01:00Z 3"]);
}

#[tokio::test]
async fn retries_and_age_end_a_delivery() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::open(data.path()).await;
    rig.make_queue("dead").await;
    for (name, retries_max, age_max_s) in
        [("none", 0, 86_400), ("two", 2, 86_400), ("old", 185, 60)]
    {
        let bounds = |one: &mut Schedule| {
            one.target.retries_max = retries_max;
            one.target.age_max_s = age_max_s;
        };
        rig.make(name, "at(2026-01-01T00:01:00)", bounds).await;
    }
    let mut now_ms = NOW_MS + MINUTE_MS;
    while now_ms < i64::MAX {
        now_ms = rig.tick(now_ms).await;
    }
    let dead = rig.messages("dead").await;
    let said: Vec<(String, String, String)> = dead
        .iter()
        .map(|one| {
            let said = letter(one);
            let text = |name: &str| said[name].as_str().unwrap().to_owned();
            let schedule = text("SCHEDULE_ARN").rsplit('/').next().unwrap().to_owned();
            (schedule, text("RETRY_ATTEMPTS"), text("EXHAUSTED_RETRY_CONDITION"))
        })
        .collect();
    let wanted = |name: &str, attempts: &str| {
        (name.to_owned(), attempts.to_owned(), "MaximumRetryAttempts".to_owned())
    };
    assert_eq!(said[..2], [wanted("none", "0"), wanted("two", "2")]);
    assert_eq!((said.len(), &*said[2].0, &*said[2].2), (3, "old", "MaximumEventAgeInSeconds"));
}

#[tokio::test]
async fn what_never_fits_is_given_up_at_once() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::open(data.path()).await;
    rig.make_queue("q").await;
    rig.make_queue("dead").await;
    // Grows beyond what a message may have.
    let grows = "<aws.scheduler.schedule-arn>".repeat((256 << 10) / 28);
    rig.make(&"l".repeat(64), "rate(1 day)", |one| one.target.input = Some(grows)).await;
    rig.make("odd", "rate(1 day)", |one| one.target.input = Some("\u{1}".into())).await;
    assert_eq!(rig.tick(NOW_MS).await, NOW_MS + 24 * 60 * MINUTE_MS);
    assert_eq!(rig.bodies("q").await.len(), 0);
    let dead = rig.messages("dead").await;
    let codes: Vec<Value> = dead.iter().map(|one| letter(one)["ERROR_CODE"].take()).collect();
    assert_eq!(codes, [json!("InvalidParameterValue"), json!("InvalidMessageContents")]);
    let truncated = letter(&dead[0])["IS_PAYLOAD_TRUNCATED"].take();
    assert_eq!((truncated, dead[0].body.len()), (json!("true"), 1 << 20));
}

#[tokio::test]
async fn one_that_goes_when_it_is_done_goes_with_its_last_run() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::open(data.path()).await;
    rig.make_queue("q").await;
    let ends = |one: &mut Schedule| {
        one.goes_when_done = true;
        one.end_ms = Some(NOW_MS + MINUTE_MS);
    };
    rig.make("twice", "rate(1 minute)", ends).await;
    rig.make("stays", "at(2026-01-01T00:01:00)", |_| {}).await;
    rig.tick(NOW_MS).await;
    assert!(rig.schedules.get(DEFAULT_GROUP, "twice").is_some());
    rig.tick(NOW_MS + MINUTE_MS).await;
    assert!(rig.schedules.get(DEFAULT_GROUP, "twice").is_none());
    assert_eq!(rig.schedules.get(DEFAULT_GROUP, "stays").unwrap().next, None);
    drop(rig);
    let rig = Rig::open(data.path()).await;
    let names: Vec<String> = rig.schedules.list().iter().map(|one| one.name.clone()).collect();
    assert_eq!(names, ["stays"]);
    assert_eq!(rig.bodies("q").await.len(), 3);
}

#[tokio::test]
async fn a_full_disk_moves_no_time_and_sends_nothing() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::open(data.path()).await;
    rig.make_queue("q").await;
    let large = |one: &mut Schedule| one.target.input = Some("x".repeat(200_000));
    rig.make("s", "rate(1 hour)", large).await;
    drop(rig);
    let mut engine = Sqlite::open(data.path()).unwrap();
    // What is there, and little more.
    engine.limit_pages(Some(70));
    let rig = Rig::with(data.path(), engine).await;
    let full = rig.schedules.tick(NOW_MS).await;
    assert_eq!(full, Err(QueueError::Engine(EngineError::Full)));
    let next_ms = |rig: &Rig| rig.schedules.get(DEFAULT_GROUP, "s").unwrap().next.unwrap().due_ms;
    assert_eq!((next_ms(&rig), rig.messages("q").await.len()), (NOW_MS, 0));
    drop(rig);
    let rig = Rig::open(data.path()).await;
    assert_eq!((next_ms(&rig), rig.messages("q").await.len()), (NOW_MS, 0));
    rig.tick(NOW_MS).await;
    assert_eq!((next_ms(&rig), rig.messages("q").await.len()), (NOW_MS + 60 * MINUTE_MS, 1));
}

#[tokio::test]
async fn more_than_one_batch_is_done_in_one_tick() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::open(data.path()).await;
    rig.make_queue("q").await;
    let count = 2 * BATCH_MAX + 1;
    for number in 0..count {
        rig.make(&format!("s{number}"), "at(2026-01-01T00:01:00)", |_| {}).await;
    }
    assert_eq!(rig.tick(NOW_MS + MINUTE_MS).await, i64::MAX);
    assert_eq!(rig.messages("q").await.len(), count);
}

#[tokio::test]
async fn a_group_goes_with_its_schedules() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::open(data.path()).await;
    rig.make_queue("q").await;
    rig.make("s", "rate(1 hour)", |_| {}).await;
    assert!(!rig.schedules.remove_group("none").await.unwrap());
    assert!(rig.schedules.remove_group(DEFAULT_GROUP).await.unwrap());
    assert_eq!((rig.schedules.count(), rig.tick(NOW_MS).await), (0, i64::MAX));
    assert_eq!(rig.messages("q").await.len(), 0);
}

#[tokio::test]
async fn a_tick_looks_at_what_is_due_among_a_hundred_thousand() {
    const ALL: usize = 100_000;
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::open(data.path()).await;
    rig.make_queue("q").await;
    rig.make("s", "rate(1 minute)", |_| {}).await;
    let pattern = rig.schedules.get(DEFAULT_GROUP, "s").unwrap();
    let later = |n: usize| {
        let next = pattern.next.map(|run| schedule::Run { due_ms: i64::MAX - n as i64, ..run });
        let (id, name) = (n.to_string(), format!("n{n}"));
        let one = Schedule { id, name, next, ..(*pattern).clone() };
        let text = serde_json::to_string(&one).unwrap();
        crate::queue::Document { name: Schedule::key(&one.group, &one.name), text }
    };
    let documents: Vec<_> = (0..ALL).map(later).collect();
    let written = rig.queues.queue.work(Durability::Process, move |engine| {
        documents.iter().try_for_each(|one| engine.put_document("schedule", one))
    });
    written.await.unwrap();
    drop(rig);
    let rig = Rig::open(data.path()).await;
    assert_eq!(rig.schedules.count(), ALL + 1);
    let begin = std::time::Instant::now();
    let runs = 50;
    for n in 0..runs {
        let now_ms = NOW_MS + n * MINUTE_MS;
        assert_eq!(rig.tick(now_ms).await, now_ms + MINUTE_MS);
    }
    println!("{:?} for each of {runs} runs", begin.elapsed() / runs as u32);
    assert_eq!(rig.bodies("q").await.len(), runs as usize);
}

#[tokio::test]
async fn one_that_cannot_be_run_holds_up_no_other() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::open(data.path()).await;
    rig.make_queue("q").await;
    rig.make_queue("poison").await;
    let poison = |one: &mut Schedule| one.target.arn = Identity::default().queue_arn("poison");
    rig.make("a", "rate(1 hour)", poison).await;
    rig.make("b", "rate(1 hour)", |_| {}).await;
    let database = rusqlite::Connection::open(data.path().join("queue.db")).unwrap();
    let trigger = "CREATE TRIGGER poison BEFORE INSERT ON messages WHEN NEW.lane = 'sqs/poison'
                   BEGIN SELECT RAISE(ABORT, 'it does not go in'); END";
    database.execute_batch(trigger).unwrap();
    for hour in 1..=2 {
        let failed = rig.schedules.tick(NOW_MS + (hour - 1) * 60 * MINUTE_MS).await;
        assert!(matches!(failed, Err(QueueError::Engine(EngineError::Failed(_)))), "{failed:?}");
        assert_eq!(rig.messages("q").await.len(), hour as usize);
    }
    database.execute_batch("DROP TRIGGER poison").unwrap();
    rig.tick(NOW_MS + 60 * MINUTE_MS).await;
    assert_eq!(rig.messages("poison").await.len(), 1);
}

#[tokio::test]
async fn one_that_has_no_run_any_more_goes_where_it_should_go_when_it_is_done() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::open(data.path()).await;
    for (name, goes_when_done) in [("goes", true), ("stays", false)] {
        rig.make(name, "rate(1 hour)", |one| one.goes_when_done = goes_when_done).await;
    }
    rig.tick(NOW_MS).await;
    for name in ["goes", "stays"] {
        let ended = rig.schedules.change(DEFAULT_GROUP, name, |before| {
            let before = before.unwrap();
            let ended = Schedule { end_ms: Some(NOW_MS + MINUTE_MS), ..before.clone() };
            Ok::<_, QueueError>(ended.in_place_of(Some(before), NOW_MS).unwrap())
        });
        ended.await.unwrap();
    }
    rig.tick(NOW_MS + 1).await;
    let names: Vec<String> = rig.schedules.list().iter().map(|one| one.name.clone()).collect();
    assert_eq!(names, ["stays"]);
}
