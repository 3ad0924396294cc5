//! A file in the state folder, which a crash, a disk or a person may have changed.
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::{Duration, Instant};

use tripline::alert::{Bounds, Delivery, Destination, Ledger, Snapshot, alert_object, counted};
use tripline::api::SecurityAlert;
use tripline::controller::Progress;
use tripline::source::Checkpoint;

/// Whose checkpoint it is said to be; the seeds say so too.
const SOURCE: &str = "node";
const PATH: &str = "/var/log/kubernetes/audit.log";
const NODE: &str = "cp-1";

/// A checkpoint is refused with a reason, or what it holds can be put back, written into the next checkpoint and read
/// again, and delivered, each parcel once.
pub fn check(data: &[u8]) {
    let checkpoint = match Checkpoint::<Progress>::decode(data, SOURCE, PATH) {
        Ok(checkpoint) => checkpoint,
        Err(why) => return assert!(why.starts_with("it "), "{why}"),
    };
    let ledger = Ledger::new(NODE, Bounds::default());
    let parcels = checkpoint.found.pending.len();
    ledger.restore(checkpoint.found.pending);
    assert!(ledger.pending() <= parcels);

    // The next checkpoint. What is written has microseconds, so that the first reading may have known times better.
    let Snapshot { pending, .. } = ledger.snapshot(SOURCE);
    let found = Progress { pending, counts: checkpoint.found.counts };
    assert!(found.pending.len() <= parcels);
    let written = Checkpoint::new(SOURCE, PATH, checkpoint.position, found).encode();
    let written = written.expect("what was read can be written");
    let again = Checkpoint::<Progress>::decode(&written, SOURCE, PATH).expect("what was written can be read");
    assert_eq!(written, again.encode().expect("it was written before"), "written, read and written");
    deliver(&ledger, parcels);
}

/// Does with what waits what the writer does, against an API server that takes everything.
fn deliver(ledger: &Ledger, parcels: usize) {
    let mut stored = BTreeMap::new();
    let mut now = Instant::now();
    for _ in 0..parcels {
        now += Duration::from_mins(1);
        for mut delivery in ledger.take_due(now, 1) {
            // Each parcel may open an alert, and other groups may have the same short hash: each costs an attempt.
            let is_written = (0..=3 * parcels).any(|_| is_written(ledger, &mut delivery, &mut stored));
            assert!(is_written, "an alert is opened again and again for {:?}", delivery.parcels);
            ledger.settle(&delivery.group, now);
        }
    }
    assert_eq!(ledger.pending(), 0);
}

/// One step of a delivery. Says true when nothing is left to do.
fn is_written(
    ledger: &Ledger,
    delivery: &mut Delivery,
    stored: &mut BTreeMap<String, SecurityAlert>,
) -> bool {
    match ledger.destination(delivery) {
        Destination::Counted => true,
        Destination::Open(ordinal) => {
            let alert = alert_object(&delivery.parcels[0], ordinal);
            let name = alert.metadata.name.clone().expect("an alert has a name");
            match stored.entry(name) {
                Entry::Occupied(_) => ledger.ordinal_is_taken(&delivery.group, ordinal),
                Entry::Vacant(free) => ledger.learn(free.insert(alert)),
            }
            false
        }
        Destination::Join(name) => {
            let alert = stored.get_mut(&name).expect("it was opened here");
            for parcel in ledger.joining(delivery, &name) {
                let status = counted(alert.status.take(), &parcel, NODE);
                assert!(status.sources.len() <= 64 && status.samples.len() <= 5, "{status:?}");
                alert.status = Some(status);
            }
            ledger.learn(alert);
            false
        }
    }
}
