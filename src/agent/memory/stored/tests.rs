use super::*;
use crate::agent::memory::{MemoryStore, StoreError};

fn me() -> User {
    serde_json::from_str(r#"{"id":"u-larry","username":"larry"}"#).unwrap()
}

fn opened(store: impl StateStore, max_age: Duration) -> Result<StoredMemory> {
    let memory = StoredMemory::open(Arc::new(store), "the state store".to_owned())?;
    memory.belong_to(&me(), max_age)?;
    Ok(memory)
}

fn memory(store: &MemoryStore) -> Result<StoredMemory> {
    opened(store.clone(), Duration::from_secs(24 * 60 * 60))
}

fn message(id: &str, sender: &str, metadata: &str) -> Message {
    let now = "2020-01-01T12:00:00.000Z";
    let json = format!(
        r#"{{"id":"{id}","agency_id":"a","content":"@larry","created_at":"{now}","sender_id":"{sender}","metadata":{metadata}}}"#
    );
    serde_json::from_str(&json).unwrap()
}

fn watermark(memory: &StoredMemory) -> Option<u64> {
    memory.state.lock().rooms[&AgencyId::from("a")].watermark
}

fn acknowledged(store: &MemoryStore) -> Vec<String> {
    let resume = memory(store).unwrap().resume(&"a".into());
    resume.map(|resume| resume.acknowledged.iter().map(ToString::to_string).collect()).unwrap_or_default()
}

#[test]
fn a_question_is_done_when_its_thread_asks_for_the_next() {
    let store = MemoryStore::default();
    let memory = memory(&store).unwrap();
    memory.begin(&"a".into(), &[], true, false);
    for id in ["q1", "q2", "q3"] {
        memory.hear(&message(id, "u-alice", "{}"), true);
    }
    memory.hear(&message("m", "u-alice", "{}"), false);
    memory.hand_out(&"q1".into(), false);
    memory.hand_out(&"q2".into(), true);
    let other = thread::scope(|scope| scope.spawn(|| memory.acknowledge_earlier()).join().unwrap());
    assert!(!other, "another thread's asking says nothing");
    assert!(memory.acknowledge_earlier() && !memory.acknowledge_earlier());
    memory.save();
    assert_eq!(acknowledged(&store), ["m", "q1"], "q2 is still in somebody's hands, q3 was not handed out");
    assert!(memory.drop_held(&"q2".into()));
    memory.done(&"q3".into());
    memory.save();
    assert_eq!(acknowledged(&store), ["m", "q1", "q2", "q3"]);
}

#[test]
fn a_flood_of_questions_that_nobody_takes_is_bounded_and_comes_again() {
    let store = MemoryStore::default();
    let memory = memory(&store).unwrap();
    memory.begin(&"a".into(), &[], true, false);
    for n in 0..MAX_OPEN + 10 {
        memory.hear(&message(&format!("q{n}"), "u-alice", "{}"), true);
    }
    let followed = memory.state.lock().open.len();
    assert_eq!(followed, MAX_OPEN);
    // The watermark does not move past the questions that the memory does not track, whatever else is done, and although
    // a gap of the room was filled.
    for n in 0..1000 {
        memory.done(&format!("q{n}").into());
    }
    memory.state.lock().open.clear();
    memory.hold_watermark(&"a".into(), false);
    for n in 0..1000 {
        let mut later = message(&format!("m{n}"), "u-alice", "{}");
        later.created_at = "2020-01-01T13:00:00.000Z".into();
        memory.hear(&later, false);
    }
    assert_eq!(watermark(&memory), None);
}

#[test]
fn answers_of_an_earlier_run_are_known_and_those_of_this_one_are_not_asked_for() {
    let store = MemoryStore::default();
    let memory = memory(&store).unwrap();
    memory.hear(&message("q1", "u-alice", "{}"), true);
    for id in ["q1", "q2"] {
        memory.note_answer(&message("a", "u-larry", &format!(r#"{{"in_reply_to":"{id}"}}"#)));
        memory.note_answer(&message("a", "u-alice", r#"{"in_reply_to":"q3"}"#));
    }
    assert!(!memory.is_answered(&"q1".into()), "it is being worked on here");
    assert!(memory.is_answered(&"q2".into()));
    assert!(!memory.is_answered(&"q3".into()), "anybody can say so");
}

#[test]
fn what_is_torn_or_foreign_is_an_error_and_stays_as_it_is() {
    let store = MemoryStore::default();
    let first = memory(&store).unwrap();
    first.hear(&message("m", "u-alice", "{}"), false);
    assert!(first.save().is_none());
    let good = store.saved().unwrap();
    let other = good.replace("u-larry", "u-ben");
    let newer = good.replace("\"version\":1", "\"version\":2");
    for text in [good.get(..good.len() / 2).unwrap(), "", "hello", "{}", "[]", &other, &newer] {
        store.save(text).unwrap();
        let error = memory(&store).unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Config, "{text}");
        assert!(error.to_string().contains("the state store"), "{error}");
        assert_eq!(store.saved().unwrap(), text);
    }
    store.save(&good).unwrap();
    assert_eq!(acknowledged(&store), ["m"]);
}

#[test]
fn a_store_that_fails_is_told_once_and_tried_again() {
    struct Full(std::sync::atomic::AtomicBool, MemoryStore);
    impl StateStore for Arc<Full> {
        fn load(&self) -> Result<Option<String>, StoreError> {
            Ok(None)
        }
        fn save(&self, state: &str) -> Result<(), StoreError> {
            if self.0.load(std::sync::atomic::Ordering::Relaxed) {
                return Err("no space left on device".into());
            }
            self.1.save(state)
        }
    }
    let full = Arc::new(Full(true.into(), MemoryStore::default()));
    let memory = opened(Arc::clone(&full), Duration::MAX).unwrap();
    memory.hear(&message("m1", "u-alice", "{}"), false);
    assert!(memory.save().unwrap().to_string().contains("no space left"));
    assert!(memory.save().is_none(), "once");
    assert!(memory.due().is_some(), "it is tried again");
    full.0.store(false, std::sync::atomic::Ordering::Relaxed);
    assert!(memory.save().is_none() && memory.due().is_none());
    assert_eq!(acknowledged(&full.1), ["m1"]);
    // A message of a year ago is too old.
    let aged = opened(full.1.clone(), Duration::from_secs(60)).unwrap();
    assert!(aged.resume(&"a".into()).unwrap().since.is_some());
}

#[test]
fn a_question_that_becomes_another_message_does_not_hold_the_watermark() {
    let store = MemoryStore::default();
    let memory = memory(&store).unwrap();
    memory.begin(&"a".into(), &[], true, false);
    // `ask` returns a message that was heard as a question, on a thread that asks for no next question.
    let answer = message("yes", "u-alice", "{}");
    memory.hear(&answer, true);
    thread::scope(|scope| {
        scope.spawn(|| {
            memory.hand_out(&answer.id, true);
            memory.drop_held(&answer.id);
        });
    });
    memory.hear(&answer, false);
    for n in 0..1000 {
        let mut later = message(&format!("m{n}"), "u-alice", "{}");
        later.created_at = "2020-01-01T13:00:00.000Z".into();
        memory.hear(&later, false);
    }
    assert_eq!(memory.state.lock().open.len(), 0);
    assert!(watermark(&memory).is_some());
}

#[test]
fn a_clock_that_is_ahead_moves_no_watermark_and_the_next_start_allows_for_it() {
    let store = MemoryStore::default();
    // By this machine's clock, the message is years old.
    let live = message("m", "u-alice", "{}");
    {
        let memory = memory(&store).unwrap();
        memory.begin(&"a".into(), &[], true, false);
        memory.hear(&live, false);
        assert!(memory.save().is_none());
    }
    let memory = memory(&store).unwrap();
    let since = memory.resume(&"a".into()).unwrap().since.unwrap();
    assert!(since < live.created_at.to_system_time().unwrap(), "the last day by the server's clock is read");
    memory.hear(&message("next", "u-alice", "{}"), false);
    assert!(memory.save().is_none());
    let saved: serde_json::Value = serde_json::from_str(&store.saved().unwrap()).unwrap();
    assert_eq!(saved["rooms"]["a"]["watermark"], serde_json::Value::Null);
}
