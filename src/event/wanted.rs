//! Which values of the bodies a set of fields reads.
//!
//! A body may hold a hundred thousand values where a rule asks for three. What nobody asks for is passed over when an
//! event is read for rules, as strictly as everything else, and leaves no trace.

/// Paths below the bodies, arranged by their names.
#[derive(Debug, Clone)]
pub struct Wanted {
    nodes: Vec<Node>,
}

/// A place in the paths.
#[derive(Debug, Clone, Default)]
struct Node {
    /// Everything below is wanted.
    all: bool,
    below: Vec<(Box<str>, u32)>,
}

/// Where a value stands among the paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// The event itself.
    Event,
    /// All of it is wanted.
    All,
    /// Some of it.
    Node(u32),
    /// Nothing of it.
    Nothing,
}

/// The nodes of the bodies.
const BODIES: [&str; 2] = ["requestObject", "responseObject"];

impl Default for Wanted {
    fn default() -> Self {
        Self { nodes: vec![Node::default(); BODIES.len()] }
    }
}

impl Wanted {
    /// Adds all that lies at and below an own path, if it leads into a body.
    pub(super) fn add(&mut self, path: &str) {
        let mut names = path.split('.');
        let first = names.next().unwrap_or_default();
        let Some(mut at) = BODIES.iter().position(|body| *body == first) else { return };
        for name in names {
            if self.nodes[at].all {
                return;
            }
            at = match self.nodes[at].below.binary_search_by(|(known, _)| (**known).cmp(name)) {
                Ok(found) => self.nodes[at].below[found].1 as usize,
                Err(place) => {
                    let Ok(node) = u32::try_from(self.nodes.len()) else { return self.add(first) };
                    self.nodes.push(Node::default());
                    self.nodes[at].below.insert(place, (name.into(), node));
                    node as usize
                }
            };
        }
        self.nodes[at] = Node { all: true, below: Vec::new() };
    }

    /// Adds all of both bodies.
    pub(super) fn add_all(&mut self) {
        for body in BODIES {
            self.add(body);
        }
    }

    /// Where the value of this key stands in an object that stands there. A key that holds dots spells several names.
    pub(super) fn step(&self, at: At, key: &str) -> At {
        let mut node = match at {
            At::All | At::Nothing => return at,
            At::Event => {
                return BODIES.iter().position(|body| *body == key).map_or(At::All, |body| self.at(body));
            }
            At::Node(node) => node as usize,
        };
        for name in key.split('.') {
            if self.nodes[node].all {
                return At::All;
            }
            let below = &self.nodes[node].below;
            match below.binary_search_by(|(known, _)| (**known).cmp(name)) {
                Ok(found) => node = below[found].1 as usize,
                Err(_) => return At::Nothing,
            }
        }
        self.at(node)
    }

    fn at(&self, node: usize) -> At {
        // `add` makes no more nodes than that.
        if self.nodes[node].all { At::All } else { u32::try_from(node).map_or(At::All, At::Node) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(paths: &[&str]) -> Wanted {
        let mut wanted = Wanted::default();
        for path in paths {
            wanted.add(path);
        }
        wanted
    }

    /// Whether what these keys lead to is wanted: not at all, in part, wholly.
    fn part(wanted: &Wanted, keys: &[&str]) -> &'static str {
        let mut at = At::Event;
        for key in keys {
            at = wanted.step(at, key);
        }
        match at {
            At::All => "all",
            At::Nothing => "nothing",
            _ => "some",
        }
    }

    #[test]
    fn a_path_wants_what_is_below_it_however_it_is_spelt() {
        let wanted =
            wanted(&["requestObject.spec.a.b", "requestObject.spec.c", "requestObject.spec.a.x.y", "verb"]);
        for (keys, expected) in [
            (&["requestObject"][..], "some"),
            (&["requestObject", "spec", "a"], "some"),
            (&["requestObject", "spec", "a", "b"], "all"),
            (&["requestObject", "spec", "a", "b", "c", "d"], "all"),
            (&["requestObject", "spec.a", "b"], "all"),
            (&["requestObject", "spec.a.b.c"], "all"),
            (&["requestObject", "spec.c.anything"], "all"),
            (&["requestObject", "spec", "a.x"], "some"),
            (&["requestObject", "spec", "b"], "nothing"),
            (&["requestObject", "spec.b"], "nothing"),
            (&["requestObject", ""], "nothing"),
            (&["responseObject", "spec"], "nothing"),
            (&["requestObject.spec", "b"], "all"),
            (&["objectRef", "name"], "all"),
        ] {
            assert_eq!(part(&wanted, keys), expected, "{keys:?}");
        }
    }

    #[test]
    fn a_shorter_path_includes_longer_ones() {
        for paths in [["requestObject.a.b", "requestObject.a"], ["requestObject.a", "requestObject.a.b"]] {
            assert_eq!(part(&wanted(&paths), &["requestObject", "a", "z"]), "all");
        }
        let mut all = wanted(&["requestObject.a"]);
        all.add_all();
        assert_eq!(part(&all, &["responseObject", "z"]), "all");
        assert_eq!(part(&all, &["requestObject", "z"]), "all");
    }
}
