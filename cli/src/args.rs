//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use larder_storage::Fingerprints;

/// Looks into a store of larder: sizes, tasks, reasons, damage. A store is the file that a program names when it opens
/// `RedbStorage`. While a program has it open, commands read a copy of it, and say so.
///
/// Exit codes: 0 done; 1 problems or differences found; 2 wrong usage; 3 the store or what is shared cannot be opened, read or
/// written; 4 no such task or function, or several.
#[derive(Debug, Parser)]
#[command(name = "larder", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Print one JSON document instead of text.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Sizes and counts by function and by table, and the identity of the store.
    Stats(StatsArgs),
    /// Lists tasks, in the order of their ids.
    Ls(LsArgs),
    /// Shows a task: its reads with fingerprints, its output, its traces, and what has read it.
    Show(ShowArgs),
    /// Explains whether a task would run now: which sources differ from what it has read, and through which tasks.
    Explain(ExplainArgs),
    /// Prints the graph of reads, as DOT or JSON.
    Graph(GraphArgs),
    /// Checks every record, and that what records name is there. Exit code 1 if something is wrong.
    Verify(VerifyArgs),
    /// Serves a page about the store to a browser on this machine, until it is stopped: functions, tasks, the graph, explanations. Prints its address.
    Serve(ServeArgs),
    /// Compares two stores by function and arguments. Exit code 1 if they differ.
    Diff(DiffArgs),
    /// Drops tasks that no root needs, and sources that nothing has read. The program that owns the store must not run.
    Gc(GcArgs),
    /// Gives back free space in the file. The program that owns the store must not run.
    Compact(CompactArgs),
    /// Says why results of this machine are of no use on another one, and what to do about it. Exit code 1 if there is a reason.
    Doctor(DoctorArgs),
    /// Takes results to other machines, and from them: `push`, `pull`, `ls`, `keygen`.
    #[command(subcommand)]
    Shared(SharedCommand),
    /// Prints a script that completes commands in a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Prints the manual page, in roff.
    #[command(hide = true)]
    Man,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// The store's file.
    pub(crate) store: PathBuf,
    /// The store of the other machine, or what `larder doctor --json` has printed there. Without it, only what keeps results here is told.
    #[arg(long)]
    pub(crate) against: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SharedCommand {
    /// Makes a key, and prints it as lines for the environment: the secret one for the job that pushes, the public one for those that pull.
    Keygen {
        /// A name for the key, as `ci-1`.
        name: String,
    },
    /// Pushes the results of a store. The secret key is taken from `LARDER_SHARED_SIGNING_KEY`.
    Push {
        /// The store's file.
        store: PathBuf,
        #[command(flatten)]
        shared: SharedArgs,
    },
    /// Pulls results into a store, which is made if it is not there. The program that owns it must not run. Each result is verified by the
    /// files of this machine before the program uses it. Exit code 1 if something was not used because it does not hold.
    Pull {
        /// The store's file.
        store: PathBuf,
        #[command(flatten)]
        shared: SharedArgs,
        #[command(flatten)]
        trust: SharedTrust,
    },
    /// Tells whether a place answers and how fast, and what has been pushed there. Exit code 1 if that is not to be used.
    Ping(PingArgs),
    /// Fetches all packs and looks whether they hold: signatures, sizes, digests and content. Nothing is kept. Exit code 1 if one does not.
    Verify {
        #[command(flatten)]
        shared: SharedArgs,
        #[command(flatten)]
        trust: SharedTrust,
    },
    /// Lists the packs that there are, and by which key they are signed.
    Ls {
        #[command(flatten)]
        shared: SharedArgs,
        #[command(flatten)]
        trust: SharedTrust,
    },
}

/// Where results are shared.
#[derive(Debug, Args)]
pub(crate) struct SharedArgs {
    /// The folder that results are shared in; or a URL, if the command was built with the feature of its kind: `redis://HOST`, `s3://BUCKET/PREFIX`,
    /// `https://HOST/FOLDER`.
    pub(crate) at: String,
    /// Whose results they are, as `acme/census`. Different programs have different namespaces.
    #[arg(long, short, default_value = "default")]
    pub(crate) namespace: String,
    /// The kind of digests that results are told apart by. Default: that of the store, if it is about one that holds something, or else `blake3`.
    #[arg(long, value_enum)]
    pub(crate) fingerprints: Option<Digests>,
    /// The name under which they are pushed.
    #[arg(long = "ref", default_value = "main")]
    pub(crate) reference: String,
    /// Give up after so many seconds.
    #[arg(long, default_value_t = 300)]
    pub(crate) seconds: u64,
}

/// The kinds of digests.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Digests {
    /// Contents of one digest cannot be made.
    Blake3,
    /// Fast.
    Xxh3,
}

impl From<Digests> for Fingerprints {
    fn from(kind: Digests) -> Self {
        match kind {
            Digests::Blake3 => Self::Blake3,
            Digests::Xxh3 => Self::Xxh3,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct PingArgs {
    #[command(flatten)]
    pub(crate) shared: SharedArgs,
    #[command(flatten)]
    pub(crate) trust: SharedTrust,
    /// Try to write as well: an item of four bytes, which no program reads, and a lease.
    #[arg(long)]
    pub(crate) write: bool,
    /// Look so many times after the first one.
    #[arg(long, default_value_t = 10)]
    pub(crate) count: usize,
}

/// Whose results are used.
#[derive(Debug, Args)]
pub(crate) struct SharedTrust {
    /// The public key of those whose results are used, as `keygen` prints it; may be given several times. Keys in `LARDER_SHARED_TRUST`, with spaces between
    /// them, are trusted as well.
    #[arg(long)]
    pub(crate) trust: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct StatsArgs {
    /// The store's file.
    pub(crate) store: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// The store's file.
    pub(crate) store: PathBuf,
    /// Only tasks of this function: its path or the end of it, as `parse` for `census::syntax::parse`.
    #[arg(long, short)]
    pub(crate) function: Option<String>,
    /// Only tasks whose arguments contain this text.
    #[arg(long, short)]
    pub(crate) text: Option<String>,
    /// Only tasks that have read this source or input: its name, or the end of its path.
    #[arg(long, short)]
    pub(crate) path: Option<String>,
    /// Only tasks that have to be verified before they are used.
    #[arg(long)]
    pub(crate) stale: bool,
    /// At most so many; 0 for all.
    #[arg(long, short = 'n', default_value_t = 100)]
    pub(crate) limit: u64,
    /// Begin behind this id, with which the page before ended.
    #[arg(long)]
    pub(crate) after: Option<String>,
}

/// How a task is named.
#[derive(Debug, Args)]
pub(crate) struct TaskArgs {
    /// The task: the beginning of its id, or the path of its function or the end of it.
    pub(crate) task: String,
    /// With a function: text that the arguments contain.
    pub(crate) text: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The store's file.
    pub(crate) store: PathBuf,
    #[command(flatten)]
    pub(crate) task: TaskArgs,
    /// Show at most so many reads and dependents each; 0 for all.
    #[arg(long, short = 'n', default_value_t = 50)]
    pub(crate) limit: usize,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The store's file.
    pub(crate) store: PathBuf,
    #[command(flatten)]
    pub(crate) task: TaskArgs,
    /// Where relative paths of sources start. The program's base directory, if it has one.
    #[arg(long)]
    pub(crate) base: Option<PathBuf>,
    /// Visit at most so many tasks below it.
    #[arg(long, default_value_t = 100_000)]
    pub(crate) most: usize,
    /// Show at most so many differences; 0 for all.
    #[arg(long, short = 'n', default_value_t = 20)]
    pub(crate) limit: usize,
}

/// The format of a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum GraphFormat {
    /// For Graphviz.
    Dot,
    /// Nodes and edges.
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct GraphArgs {
    /// The store's file.
    pub(crate) store: PathBuf,
    /// Begin at this task: the beginning of its id, or a function. Without it, at all tasks of the filters below.
    pub(crate) task: Option<String>,
    /// With a function: text that the arguments contain.
    pub(crate) text: Option<String>,
    /// Begin at the tasks of this function.
    #[arg(long, short)]
    pub(crate) function: Option<String>,
    /// Begin at this source or input, by its name or the end of its path, and follow dependents.
    #[arg(long, short)]
    pub(crate) path: Option<String>,
    /// Follow reads so many steps.
    #[arg(long, short, default_value_t = 3)]
    pub(crate) depth: usize,
    /// Follow dependents instead of reads: what would be affected by a change.
    #[arg(long)]
    pub(crate) dependents: bool,
    /// At most so many nodes.
    #[arg(long, default_value_t = 1000)]
    pub(crate) most: usize,
    /// The format. `--json` asks for JSON as well.
    #[arg(long, value_enum, default_value_t = GraphFormat::Dot)]
    pub(crate) format: GraphFormat,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The store's file.
    pub(crate) store: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// The store's file. The page shows a copy of it, so that its owner may run meanwhile.
    pub(crate) store: PathBuf,
    /// The address to serve at; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub(crate) addr: String,
    /// Allow an address that other machines reach. Nothing is encrypted.
    #[arg(long)]
    pub(crate) remote: bool,
    /// Where relative paths of sources start. The program's base directory, if it has one.
    #[arg(long)]
    pub(crate) base: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The first store's file.
    pub(crate) before: PathBuf,
    /// The second store's file.
    pub(crate) after: PathBuf,
    /// List at most so many tasks; 0 for all.
    #[arg(long, short = 'n', default_value_t = 50)]
    pub(crate) limit: usize,
}

#[derive(Debug, Args)]
pub(crate) struct GcArgs {
    /// The store's file.
    pub(crate) store: PathBuf,
    /// Keep what tasks of this function need, and drop the rest. May be given several times.
    #[arg(long, short)]
    pub(crate) keep: Vec<String>,
    /// Drop what no task needs that was stored or used in the last so many runs.
    #[arg(long, value_name = "RUNS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) unused_for: Option<u64>,
    /// Drop what only replaced code needs: functions of which other code was used later.
    #[arg(long)]
    pub(crate) old_code: bool,
    /// Drop the least recently used until keys and records take at most so many bytes. `K`, `M` and `G` count in powers of 1024.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub(crate) max_bytes: Option<u64>,
    /// Only say what would go. Reads, and so works while the owner runs.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CompactArgs {
    /// The store's file.
    pub(crate) store: PathBuf,
}

/// Reads a number of bytes: `500`, `64M`, `2G`.
fn bytes(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'K' | b'k') => (&text[..text.len() - 1], 10),
        Some(b'M' | b'm') => (&text[..text.len() - 1], 20),
        Some(b'G' | b'g') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let number: u64 =
        digits.parse().map_err(|_| "not a number of bytes, as `500`, `64M` or `2G`".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "too many bytes".to_owned())
}
