//! What a store is put through while its disk fails.

/// One step of the script.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    /// One to three commits in a space, as one group.
    Commits(usize),
    /// A chunk is put.
    Put,
    /// A chunk is read.
    Get,
    /// The index takes in what was committed.
    Index,
    /// `config` and `trade` are backed up.
    BackUp,
    /// Journal files that the two newest backups cover go.
    Trim,
    /// Chunks that nobody names go.
    Retain,
    /// A clean stop and a start.
    Restart,
    /// The process is killed and starts again.
    Kill,
    /// The same with the index gone.
    LoseIndex,
    /// The store is exported and replaced by its export.
    Import,
}

impl Operation {
    /// Whether the process is killed by it: there a run may begin, since all is on disk.
    pub(crate) fn kills(self) -> bool {
        matches!(self, Self::Kill | Self::LoseIndex)
    }
}

/// 200 operations, every kind of them among them, the rare ones between many commits.
pub(crate) fn script() -> Vec<Operation> {
    use Operation::{BackUp, Commits, Get, Import, Index, Kill, LoseIndex, Put, Restart};
    use Operation::{Retain, Trim};
    let rare = [
        Kill, BackUp, LoseIndex, Restart, Kill, BackUp, Kill, Trim, LoseIndex, Retain, Kill,
        Import, Kill, Restart, LoseIndex, BackUp, Kill, BackUp, LoseIndex, Trim,
    ];
    let mut script = Vec::new();
    for (round, rare) in rare.into_iter().enumerate() {
        script.extend([
            Commits(0),
            Commits(1),
            Commits(2),
            if round % 4 == 0 { Put } else { Get },
            Commits(0),
            Index,
            Commits(round % 3),
            Commits(1),
            Commits(0),
            rare,
        ]);
    }
    script
}
