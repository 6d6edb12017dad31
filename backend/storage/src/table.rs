//! The fixed set of tables.

/// A table of a store. Keys are unique within a table; tables are independent of each other.
///
/// The number is part of the format: it is mixed into every record's checksum and never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Table {
    /// The identity of the store: format, codec, build; one record.
    Meta = 0,
    /// By task: its encoded key, whether it is stale, and its most recent trace with the output.
    Tasks = 1,
    /// By task and trace: the older traces.
    Traces = 2,
    /// By task and output fingerprint: outputs too large to stand in their trace.
    Values = 3,
    /// By what was read (a task, source or input): the readers.
    Dependents = 4,
    /// By source: stamp and content digest when it was last seen.
    Sources = 5,
    /// By input: the value last set.
    Inputs = 6,
    /// By task: the generation of the run that last used it.
    Uses = 7,
    /// By task function: its path and code identity, for sizes and reports.
    Functions = 8,
    /// By task and digest: the reads of tasks that have very many of them, in chunks that their traces share.
    Reads = 9,
    /// By task: why it has run again, of those that have.
    Causes = 10,
}

impl Table {
    /// All tables, in the order of their numbers.
    pub const ALL: [Self; 11] = [
        Self::Meta,
        Self::Tasks,
        Self::Traces,
        Self::Values,
        Self::Dependents,
        Self::Sources,
        Self::Inputs,
        Self::Uses,
        Self::Functions,
        Self::Reads,
        Self::Causes,
    ];

    /// Returns the table's number: below `Table::ALL.len()`, and fit to index an array.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Returns the table's name, fit for a file, a column family or an SQL table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Tasks => "tasks",
            Self::Traces => "traces",
            Self::Values => "values",
            Self::Dependents => "dependents",
            Self::Sources => "sources",
            Self::Inputs => "inputs",
            Self::Uses => "uses",
            Self::Functions => "functions",
            Self::Reads => "reads",
            Self::Causes => "causes",
        }
    }
}
