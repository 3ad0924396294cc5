//! What a process does, of all that Tripline does.

/// What a process does. Readers see the host's logs and need little of the API; the controller sees no host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// Reads this node's logs, writes alerts, and reports what it counted.
    Reader,
    /// Concludes from the reports what the statuses say. One of several does at a time.
    Controller,
    /// Both.
    #[default]
    All,
}

impl Role {
    /// Whether logs are read.
    pub fn reads(self) -> bool {
        self != Self::Controller
    }

    /// Whether the process may lead.
    pub fn concludes(self) -> bool {
        self != Self::Reader
    }
}
