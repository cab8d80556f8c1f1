//! What the contract cannot ask: the folder, the disk, and a process that is killed.

mod kill;
mod pace;

use super::draft::Draft;
use super::durable::Failure;
use super::tables::Table;
use super::*;
use gradus_core::domain::challenge::Rule;
use gradus_core::domain::job::State;
use gradus_core::domain::quota::Settlement;
use gradus_core::ports::store::StoreError;
use gradus_core::testing::store_contract::{self, rows};
use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

fn open(dir: &Path) -> Result<SledStore> {
    SledStore::open(dir, Options { cache: Bytes(8 << 20) })
}

/// What opening says, and its hint.
fn hint(dir: &Path) -> String {
    match open(dir) {
        Err(StoreError::Open { hint, path, .. }) => {
            assert_eq!(path, dir.display().to_string());
            hint
        }
        Err(other) => panic!("it says {other}"),
        Ok(_) => panic!("it opened"),
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut all: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}

/// That the `n`th token is revoked.
fn revoked(n: u64) -> gradus_core::domain::audit::Deed {
    rows::deed(1, gradus_core::domain::audit::Act::TokenRevoked { revoked: rows::token(n).id })
}

#[test]
fn it_keeps_the_contract() {
    let folders = RefCell::new(Vec::new());
    store_contract::all(&|| {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).unwrap();
        folders.borrow_mut().push(folder);
        Box::new(store)
    });
}

#[test]
fn everything_is_there_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("a").join("store");
    let board = rows::board("c", "1");
    let store = open(&dir).unwrap();
    store.put_token(&rows::token(1), None).unwrap();
    rows::published(&store, 1, "c", "olga");
    let version = rows::version("c", "olga");
    store.stage_version(&version, &rows::operation(2, &version), None, None).unwrap();
    let mut asked = rows::admission(1, "c", "anna");
    asked.idempotency = rows::key("k", "body", 100);
    store.admit(asked).unwrap();
    let first = store.submission(rows::submission_id(1)).unwrap().unwrap();
    let mut end = rows::to(&first, State::Scored, 5);
    end.settle = rows::settle(&first, Settlement::RefundCapped);
    // Longer than what sled keeps in its log: it goes to a file of its own.
    end.report = Some(Body::Inline("x".repeat(300_000)));
    end.log = Some(Body::Inline("log".into()));
    end.placements = vec![rows::placement(&board, Rule::Best, 1, "anna", 0.5)];
    store.advance(end).unwrap();
    rows::admitted(&store, 2, "c", "ben");
    let all = |store: &SledStore| {
        let id = rows::submission_id(1);
        let text = format!(
            "{:?}",
            (
                store.tokens(None, 10).unwrap(),
                store.challenges(None, 10).unwrap(),
                (store.version(&first.submission.challenge, 2).unwrap(), store.running_operations().unwrap()),
                store.submissions(&first.submission.challenge, None, None, 10).unwrap(),
                (store.open_jobs().unwrap(), store.events(id, 0, 10).unwrap()),
                (store.report(id).unwrap(), store.log(id).unwrap()),
                store.ledger(&LedgerKey::of(&first.submission)).unwrap(),
                store.entries(&board, None, 10).unwrap(),
                store.idempotent(rows::token(1).id, "k", rows::at(9)).unwrap(),
            )
        );
        assert!(text.contains("xxx") && text.contains("ben"));
        text
    };
    let before = all(&store);
    assert!(!files(&dir.join("blobs")).is_empty(), "the long report is in a file of its own");
    drop(store);
    for _ in 0..3 {
        assert!(all(&open(&dir).unwrap()) == before);
    }
}

#[test]
fn a_folder_has_one_opener() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path()).unwrap();
    assert!(hint(folder.path()).contains("another gradus has this data folder open"));
    first.probe().unwrap();
    drop(first);
    open(folder.path()).unwrap().probe().unwrap();
}

#[test]
fn another_format_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let store = open(dir).unwrap();
    store.put_token(&rows::token(1), None).unwrap();
    let set = |store: &SledStore, format: u32| {
        store.writer.write(move |draft: &mut Draft<'_>| draft.put(Table::Meta, key::FORMAT, &format)).unwrap();
    };
    set(&store, super::opening::FORMAT + 1);
    drop(store);
    let said = hint(dir);
    assert!(said.contains("format 4") && said.contains("newer gradus"), "{said}");
    let db = sled::open(dir).unwrap();
    let trees = tables::Trees::open(&db).unwrap();
    trees.tree(Table::Meta).insert(key::FORMAT, &b"\x011"[..]).unwrap();
    db.flush().unwrap();
    drop((db, trees));
    let said = hint(dir);
    assert!(said.contains("format 1") && said.contains("earlier gradus"), "{said}");
    let db = sled::open(dir).unwrap();
    let trees = tables::Trees::open(&db).unwrap();
    assert_eq!(trees.get::<Token>(Table::Tokens, &key::token(rows::token(1).id)).unwrap(), Some(rows::token(1)));
    trees.tree(Table::Meta).clear().unwrap();
    db.flush().unwrap();
    drop((db, trees));
    assert!(hint(dir).contains("backup"), "rows without a format are no store of ours");
}

#[test]
fn a_store_of_an_earlier_format_is_brought_to_ours() {
    let folder = tempfile::tempdir().unwrap();
    for earlier in super::opening::OLDEST..super::opening::FORMAT {
        let store = open(folder.path()).unwrap();
        store.put_token(&rows::token(1), None).unwrap();
        store.writer.write(move |draft: &mut Draft<'_>| draft.put(Table::Meta, key::FORMAT, &earlier)).unwrap();
        drop(store);
        let store = open(folder.path()).unwrap();
        assert_eq!(store.trees.get::<u32>(Table::Meta, key::FORMAT).unwrap(), Some(super::opening::FORMAT));
        assert_eq!(store.token(rows::token(1).id).unwrap(), Some(rows::token(1)));
    }
}

#[test]
fn damage_is_told_and_nothing_is_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    // A snapshot is written when there is something to recover.
    for n in 0..2 {
        open(dir).unwrap().put_token(&rows::token(n), None).unwrap();
    }
    let snapshot = files(dir).into_iter().find(|path| path.display().to_string().contains("snap.")).unwrap();
    let mut bytes = std::fs::read(&snapshot).unwrap();
    bytes[0] ^= 0xff;
    std::fs::write(&snapshot, &bytes).unwrap();
    let before = files(dir);
    let said = hint(dir);
    assert!(said.contains("nothing was deleted") && said.contains("backup"), "{said}");
    assert_eq!(files(dir), before);
    assert_eq!(std::fs::read(&snapshot).unwrap(), bytes);
}

#[test]
fn a_snapshot_that_was_never_finished_does_not_keep_it_closed() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    open(dir).unwrap().put_token(&rows::token(1), None).unwrap();
    std::fs::write(dir.join("snap.FFFFFFFFFFFFFFFF.generating"), b"half").unwrap();
    assert_eq!(open(dir).unwrap().tokens(None, 10).unwrap(), [rows::token(1)]);
    assert!(dir.join("unfinished.snap.FFFFFFFFFFFFFFFF.generating").exists());
}

#[test]
fn a_folder_that_cannot_be_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"").unwrap();
    assert!(hint(&file.join("store")).contains("folder must be"));
}

/// Syncs as told, and counts.
struct Told {
    disk: Disk,
    syncs: Arc<AtomicUsize>,
    fails: Arc<AtomicBool>,
    gate: Arc<Mutex<()>>,
}

impl Durable for Told {
    fn sync(&mut self) -> std::result::Result<(), Failure> {
        drop(self.gate.lock().unwrap());
        if self.fails.load(SeqCst) {
            let source = Arc::new(std::io::Error::from(std::io::ErrorKind::StorageFull));
            return Err(Failure::Sync { path: "db".into(), source });
        }
        self.disk.sync()?;
        self.syncs.fetch_add(1, SeqCst);
        Ok(())
    }
}

#[derive(Default)]
struct Teller {
    syncs: Arc<AtomicUsize>,
    fails: Arc<AtomicBool>,
    gate: Arc<Mutex<()>>,
}

impl Teller {
    fn open(&self, dir: &Path) -> SledStore {
        let (syncs, fails, gate) = (Arc::clone(&self.syncs), Arc::clone(&self.fails), Arc::clone(&self.gate));
        let told = |disk| -> Box<dyn Durable> { Box::new(Told { disk, syncs, fails, gate }) };
        SledStore::open_with(dir, Options::default(), told).unwrap()
    }
}

#[test]
fn nothing_is_answered_before_it_is_durable_and_many_are_made_so_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let teller = Teller::default();
    let store = teller.open(folder.path());
    let answered = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let shut = teller.gate.lock().unwrap();
        let put = |n| {
            let (store, answered) = (&store, &answered);
            scope.spawn(move || {
                store.put_token(&rows::token(n), None).unwrap();
                answered.fetch_add(1, SeqCst);
            });
        };
        put(1);
        // It is committed, so it can be read, and waits for the disk; the others wait behind it.
        while store.tokens(None, 1).unwrap().is_empty() {
            std::thread::yield_now();
        }
        (2..=40).for_each(put);
        while store.stats().queued < 39 {
            std::thread::yield_now();
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert_eq!((answered.load(SeqCst), teller.syncs.load(SeqCst)), (0, 0));
        drop(shut);
    });
    assert_eq!(answered.load(SeqCst), 40);
    let stats = store.stats();
    assert_eq!((stats.commits, stats.queued), (40, 0));
    assert_eq!(stats.batches, teller.syncs.load(SeqCst) as u64);
    assert!(stats.batches <= 4, "{stats:?}");
    // What changes nothing costs no sync.
    assert!(!store.revoke_token(rows::token(99).id, &revoked(99)).unwrap());
    assert_eq!(store.stats().batches, stats.batches);
}

#[test]
fn a_failed_write_closes_the_store_until_it_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let teller = Teller::default();
    let store = teller.open(folder.path());
    store.put_token(&rows::token(1), None).unwrap();
    teller.fails.store(true, SeqCst);
    let Err(StoreError::Write(why)) = store.put_token(&rows::token(2), None) else { panic!("the disk is full") };
    assert!(why.to_string().contains("db"), "{why}");
    let kind = why.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    assert_eq!(kind, Some(std::io::ErrorKind::StorageFull), "who asked can be told that the disk is full");
    assert!(!store.is_open());
    teller.fails.store(false, SeqCst);
    assert!(matches!(store.put_token(&rows::token(3), None), Err(StoreError::Closed)));
    assert!(matches!(store.probe(), Err(StoreError::Closed)));
    assert_eq!(store.token(rows::token(1).id).unwrap(), Some(rows::token(1)), "it can still be read");
    drop(store);
    let store = open(folder.path()).unwrap();
    store.probe().unwrap();
    assert!(store.is_open());
    assert_eq!(store.token(rows::token(1).id).unwrap(), Some(rows::token(1)));
    assert_eq!(store.token(rows::token(3).id).unwrap(), None);
}

#[test]
fn a_row_that_cannot_be_read_fails_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let id = rows::token(1).id;
    for bad in [&b""[..], b"\x02{}", b"\x01{"] {
        store.trees.tree(Table::Tokens).insert(key::token(id), bad).unwrap();
        assert!(matches!(store.token(id), Err(StoreError::Read { what: "tokens", .. })), "{bad:?}");
        assert!(matches!(store.revoke_token(id, &revoked(1)), Err(StoreError::Read { .. })));
    }
    store.probe().unwrap();
}

#[test]
fn a_job_that_cannot_be_read_does_not_hide_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    for n in 1..=3 {
        store.admit(rows::admission(n, "c", &format!("e{n}"))).unwrap();
    }
    let bad = rows::admission(2, "c", "e2").submission.id;
    store.trees.tree(Table::Jobs).insert(key::job(bad), b"\x01{").unwrap();
    let open: Vec<_> = store.open_jobs().unwrap().iter().map(|tracked| tracked.submission.id).collect();
    assert_eq!(open, [1, 3].map(|n| rows::admission(n, "c", "e").submission.id));
}

#[test]
fn keys_are_forgotten_in_as_many_steps_as_it_takes() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let count = 2 * changes::FORGET_AT_ONCE as u64 + 1;
    std::thread::scope(|scope| {
        for part in 0..16 {
            let store = &store;
            scope.spawn(move || {
                for n in (1..=count).filter(|n| n % 16 == part) {
                    let mut asked = rows::admission(n, "c", &format!("e{n}"));
                    asked.idempotency = rows::key(&format!("k{n}"), "body", 1_000_000);
                    store.admit(asked).unwrap();
                }
            });
        }
    });
    assert_eq!(store.forget_idempotency(rows::at(999_999)).unwrap(), 0);
    assert_eq!(store.forget_idempotency(rows::at(1_000_000)).unwrap() as u64, count);
    assert!(store.trees.tree(Table::Keys).is_empty());
}
