//! In which order files were rotated. Their names say it, but for a clock that was set back: by hand, or each autumn
//! where a kubelet's clock has a summer time. What appears later was rotated later, whatever its name says.
use std::cmp::Ordering;

use super::position::Stamp;

/// How many rotations are remembered whose files are gone.
const GONE: usize = 64;

/// The rotations of a log, oldest first.
#[derive(Debug, Default)]
pub(super) struct Order {
    stamps: Vec<Stamp>,
    /// Up to which rotation an earlier process had read, until the first look: of what is there then, all that seems older
    /// is.
    read: Option<Stamp>,
}

impl Order {
    /// That of an earlier process, which had read up to `after`, and `before` that some which seem to be later.
    pub(super) fn resumed(after: Option<&Stamp>, before: &[Stamp]) -> Self {
        Self { stamps: before.iter().chain(after).cloned().collect(), read: after.cloned() }
    }

    /// Takes in what is there; given in the order of the names.
    pub(super) fn see<'a>(&mut self, there: impl Iterator<Item = &'a Stamp> + Clone) {
        let read = self.read.take();
        let (mut older, mut newer) = (Vec::new(), Vec::new());
        for stamp in there.clone().filter(|stamp| !self.stamps.contains(stamp)) {
            if Some(stamp) < read.as_ref() { older.push(stamp.clone()) } else { newer.push(stamp.clone()) }
        }
        self.stamps.splice(..0, older);
        self.stamps.append(&mut newer);
        let mut surplus = self.stamps.len().saturating_sub(there.clone().count() + GONE);
        self.stamps.retain(|stamp| {
            let goes = surplus > 0 && !there.clone().any(|other| other == stamp);
            surplus -= usize::from(goes);
            !goes
        });
    }

    /// How many there were up to this one.
    fn place(&self, stamp: &Stamp) -> usize {
        let known = self.stamps.iter().rposition(|other| other == stamp);
        // Of one that is not remembered only its name is known.
        known.or_else(|| self.stamps.iter().rposition(|other| other < stamp)).map_or(0, |at| at + 1)
    }

    /// Which of two was first.
    pub(super) fn compare(&self, one: &Stamp, other: &Stamp) -> Ordering {
        self.place(one).cmp(&self.place(other)).then_with(|| one.cmp(other))
    }

    /// Those that were before this one, and seem to be later.
    pub(super) fn seemingly_later(&self, stamp: &Stamp) -> Vec<Stamp> {
        self.stamps[..self.place(stamp)].iter().filter(|other| *other > stamp).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(minute: usize) -> Stamp {
        Stamp::parse_local(&format!("20261124-02{minute:02}00")).unwrap()
    }

    fn see(order: &mut Order, minutes: &[usize]) {
        let there: Vec<_> = minutes.iter().map(|minute| stamp(*minute)).collect();
        order.see(there.iter());
    }

    #[test]
    fn what_appears_later_is_later() {
        let mut order = Order::default();
        see(&mut order, &[10, 20, 50]);
        see(&mut order, &[5, 15, 20, 50]);
        assert_eq!(order.stamps, [10, 20, 50, 5, 15].map(stamp));
        assert_eq!(order.seemingly_later(&stamp(5)), [10, 20, 50].map(stamp));
        assert_eq!(order.compare(&stamp(50), &stamp(5)), Ordering::Less);

        let mut resumed = Order::resumed(Some(&stamp(5)), &[10, 20, 50].map(stamp));
        see(&mut resumed, &[2, 5, 15, 20, 50]);
        assert_eq!(resumed.stamps, [2, 10, 20, 50, 5, 15].map(stamp));
        see(&mut resumed, &[1, 15]);
        assert_eq!(resumed.stamps.last(), Some(&stamp(1)));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut order = Order::default();
        for hour in 0..24 {
            for minute in 0..60 {
                let there = [Stamp::parse_local(&format!("20261124-{hour:02}{minute:02}00")).unwrap()];
                order.see(there.iter());
                assert!(order.stamps.len() <= GONE + 1 && order.stamps.last() == there.last());
            }
        }
    }
}
