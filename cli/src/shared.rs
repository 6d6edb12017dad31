//! `larder shared`: results that travel between machines.

mod ping;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use larder_shared::{
    Manifest, Namespace, Rejection, ShareError, SharedEngine, SharedKey, SigningKey, Skipped, Trust,
    TrustedKey, engine_at, list, pull, push, verify,
};
use larder_storage::inspect::InspectError;
use larder_storage::record::stored_build;
use larder_storage::{BackingStorage, Fingerprints, Guarded, RedbOptions};
use serde_json::{Value, json};

use crate::args::{SharedArgs, SharedCommand, SharedTrust};
use crate::error::{CliError, Outcome};
use crate::open;
use crate::out::{Out, Side, Table, count, escaped, size};

/// The variable that holds the secret key.
const KEY: &str = "LARDER_SHARED_SIGNING_KEY";
/// The variable that holds trusted keys, with spaces between them.
const TRUST: &str = "LARDER_SHARED_TRUST";

pub(crate) fn run(command: &SharedCommand, out: &mut Out) -> Result<Outcome, CliError> {
    match command {
        SharedCommand::Keygen { name } => keygen(name, out),
        SharedCommand::Push { store, shared } => push_store(store, shared, out),
        SharedCommand::Pull { store, shared, trust } => pull_store(store, shared, trust, out),
        SharedCommand::Ping(args) => ping::ping(args, out),
        SharedCommand::Ls { shared, trust } => ls(shared, trust, out),
        SharedCommand::Verify { shared, trust } => verify_all(shared, trust, out),
    }
}

fn keygen(name: &str, out: &mut Out) -> Result<Outcome, CliError> {
    let key = SigningKey::generate(name).map_err(|error| CliError::Usage(error.to_string()))?;
    let (secret, public) = (key.secret_text(), key.public().to_string());
    if out.is_json() {
        out.json(&json!({ "secret": secret, "public": public }))?;
    } else {
        out.line(&format!("{KEY}={secret}"))?;
        out.line(&format!("{TRUST}={public}"))?;
    }
    Ok(Outcome::Fine)
}

fn push_store(store: &Path, shared: &SharedArgs, out: &mut Out) -> Result<Outcome, CliError> {
    let key = SigningKey::from_env(KEY).map_err(|error| CliError::Usage(format!("{KEY}: {error}")))?;
    let reader = open(store)?;
    let place = Place::of_store(shared, Some(reader.head().fingerprints))?;
    let pushed = push(&*place.engine, place.name(), &key, &reader, place.until)?;
    if out.is_json() {
        out.json(&json!({
            "sequence": pushed.sequence, "tasks": pushed.tasks, "packs": pushed.packs, "is_base": pushed.is_base,
            "bytes": pushed.counts.bytes_out, "skipped": skipped_json(&pushed.skipped),
        }))?;
        return Ok(Outcome::Fine);
    }
    let what = if pushed.is_base { "all of it" } else { "what is new" };
    out.line(&format!(
        "pushed {what}: {} in {}, {}; `{}` is number {} now",
        count(pushed.tasks, "task"),
        count(pushed.packs, "pack"),
        size(pushed.counts.bytes_out),
        shared.reference,
        pushed.sequence,
    ))?;
    if reader.head().fingerprints != Fingerprints::Blake3 {
        out.line(&format!(
            "  for stores of {} fingerprints only, which whoever chooses contents can deceive: see `Builder::fingerprints`",
            reader.head().fingerprints
        ))?;
    }
    for (number, why) in skipped(&pushed.skipped) {
        out.line(&format!("  stays here: {} {why}", count(number, "result")))?;
    }
    Ok(Outcome::Fine)
}

fn pull_store(
    store: &Path,
    shared: &SharedArgs,
    trust: &SharedTrust,
    out: &mut Out,
) -> Result<Outcome, CliError> {
    let trust = trusted(trust)?;
    let storage = RedbOptions::new().open(store).map_err(|source| {
        CliError::Store(InspectError::Open {
            path: escaped(store.as_os_str().as_encoded_bytes()).into(),
            source,
        })
    })?;
    let storage: Arc<dyn BackingStorage> = Arc::new(storage);
    let found = stored_build(&Guarded::new(Arc::clone(&storage))).map(|(_, fingerprints)| fingerprints);
    let place = Place::of_store(shared, found)?;
    let pulled = pull(&*place.engine, place.name(), &trust, storage, None, place.until)?;
    if out.is_json() {
        out.json(&json!({
            "sequence": pulled.sequence, "signer": pulled.signer, "signed_at": seconds(pulled.signed_at),
            "imported": pulled.imported, "known": pulled.known, "left_out": pulled.left_out,
            "other_builds": pulled.other_builds, "older_than": pulled.older_than, "bytes": pulled.counts.bytes_in, "trips": pulled.counts.trips,
            "rejected": rejected_json(&pulled.counts.rejected),
        }))?;
    } else {
        out.line(&format!(
            "pulled {}, {} known already; {} in {}; number {}, signed by {}",
            count(pulled.imported, "result"),
            pulled.known,
            size(pulled.counts.bytes_in),
            count(pulled.counts.trips, "round trip"),
            pulled.sequence,
            pulled.signer,
        ))?;
        for (number, why) in [
            (pulled.left_out, "results have read what did not come, or may not be named here"),
            (pulled.other_builds, "packs are of other code"),
        ] {
            if number > 0 {
                out.line(&format!("  not used: {number} {why}"))?;
            }
        }
        if let Some(newer) = pulled.older_than {
            out.line(&format!(
                "  this list is older than number {newer}, which the store has pulled before"
            ))?;
        }
        for (key, why) in &pulled.counts.rejected {
            out.line(&format!("  not used: `{key}`: {why}"))?;
        }
    }
    let is_fine = pulled.counts.rejected.is_empty() && pulled.older_than.is_none();
    Ok(if is_fine { Outcome::Fine } else { Outcome::Found })
}

fn verify_all(shared: &SharedArgs, trust: &SharedTrust, out: &mut Out) -> Result<Outcome, CliError> {
    let (place, trust) = (Place::of(shared)?, trusted(trust)?);
    let verified = verify(&*place.engine, place.name(), &trust, place.until)?;
    let (manifest, rejected) = (&verified.manifest, &verified.counts.rejected);
    if out.is_json() {
        out.json(&json!({
            "sequence": manifest.sequence, "signer": manifest.signer, "signed_at": seconds(manifest.signed_at),
            "packs": manifest.packs.len(), "sound": verified.sound, "tasks": verified.tasks,
            "results": verified.results, "result_bytes": verified.result_bytes,
            "bytes": verified.counts.bytes_in, "trips": verified.counts.trips,
            "rejected": rejected_json(rejected),
        }))?;
    } else {
        out.line(&format!(
            "{} is number {}, signed by {}: {} of {} hold, with {} and {}, {}",
            shared.reference,
            manifest.sequence,
            manifest.signer,
            verified.sound,
            count(manifest.packs.len() as u64, "pack"),
            count(verified.tasks, "task"),
            count(verified.results, "result"),
            size(verified.result_bytes),
        ))?;
        for (key, why) in rejected {
            out.line(&format!("  does not hold: `{key}`: {why}"))?;
        }
    }
    Ok(if verified.is_sound() { Outcome::Fine } else { Outcome::Found })
}

fn ls(shared: &SharedArgs, trust: &SharedTrust, out: &mut Out) -> Result<Outcome, CliError> {
    let (place, trust) = (Place::of(shared)?, trusted(trust)?);
    let manifest = list(&*place.engine, place.name(), &trust, place.until)?;
    if out.is_json() {
        out.json(&manifest_json(&manifest))?;
        return Ok(Outcome::Fine);
    }
    out.heading(&format!(
        "{} is number {}, signed by {} at {} s: {}, {}",
        shared.reference,
        manifest.sequence,
        manifest.signer,
        seconds(manifest.signed_at),
        count(manifest.tasks(), "task"),
        size(manifest.bytes()),
    ))?;
    let mut table = Table::new(&[
        ("PACK", Side::Left),
        ("TASKS", Side::Right),
        ("BYTES", Side::Right),
        ("CODE", Side::Left),
    ]);
    for pack in &manifest.packs {
        let code = if pack.build.0 == 0 { "any".to_owned() } else { pack.build.to_string() };
        table.row(vec![hex(&pack.digest[..8]), pack.tasks.to_string(), size(pack.bytes.into()), code]);
    }
    out.table(&table)?;
    Ok(Outcome::Fine)
}

/// Where results are, and how long that may take.
struct Place {
    engine: Box<dyn SharedEngine>,
    namespace: Namespace,
    reference: String,
    until: Instant,
}

impl Place {
    fn of(args: &SharedArgs) -> Result<Self, CliError> {
        Self::of_store(args, None)
    }

    /// Returns the place for a store whose digests are of this kind, if it holds any.
    fn of_store(args: &SharedArgs, found: Option<Fingerprints>) -> Result<Self, CliError> {
        let asked = args.fingerprints.map(Fingerprints::from);
        let kind = found.or(asked).unwrap_or(Fingerprints::Blake3);
        if let Some(asked) = asked.filter(|asked| *asked != kind) {
            return Err(CliError::Usage(format!(
                "the store has {kind} fingerprints, and `--fingerprints` asks for {asked}: a store is of one kind"
            )));
        }
        let namespace = Namespace::new(&args.namespace).map_err(|rule| CliError::Usage(rule.to_owned()))?;
        let namespace = namespace.of_kind(kind);
        SharedKey::reference(&namespace, &args.reference).map_err(|rule| CliError::Usage(rule.to_owned()))?;
        let until = Instant::now() + Duration::from_secs(args.seconds.min(86_400));
        Ok(Self { engine: engine(&args.at)?, namespace, reference: args.reference.clone(), until })
    }

    fn name(&self) -> (&Namespace, &str) {
        (&self.namespace, &self.reference)
    }
}

fn engine(at: &str) -> Result<Box<dyn SharedEngine>, CliError> {
    engine_at(at).map_err(|rule| CliError::Usage(rule.to_owned()))
}

fn trusted(args: &SharedTrust) -> Result<Trust, CliError> {
    let is_in_env = std::env::var(TRUST).is_ok_and(|keys| !keys.trim().is_empty());
    if args.trust.is_empty() && !is_in_env {
        return Err(CliError::Usage(format!(
            "nobody is trusted: name the keys whose results are to be used by `--trust NAME:KEY` or `{TRUST}`"
        )));
    }
    trusted_if_any(args)
}

fn trusted_if_any(args: &SharedTrust) -> Result<Trust, CliError> {
    let from_env = std::env::var(TRUST).unwrap_or_default();
    let mut keys = args.trust.iter().map(String::as_str).chain(from_env.split_whitespace());
    keys.try_fold(Trust::none(), |trust, text| {
        let key = TrustedKey::parse(text).map_err(|error| {
            CliError::Usage(format!("`{}` is not to be trusted: {error}", escaped(text.as_bytes())))
        })?;
        Ok(trust.key(key))
    })
}

fn skipped(skipped: &Skipped) -> impl Iterator<Item = (u64, &'static str)> {
    [
        (skipped.absolute_paths, "over absolute paths; a program's `Builder::base` makes them relative"),
        (skipped.secrets, "over variables that are named like secrets"),
        (skipped.lossy, "of functions whose values do not come back from their encoding"),
        (skipped.incomplete, "of which the store lacks a part"),
        (skipped.too_large, "that are larger than a pack"),
    ]
    .into_iter()
    .filter(|(number, _)| *number > 0)
}

fn skipped_json(skipped: &Skipped) -> Value {
    json!({
        "absolute_paths": skipped.absolute_paths, "secrets": skipped.secrets, "lossy": skipped.lossy,
        "incomplete": skipped.incomplete, "too_large": skipped.too_large,
    })
}

fn rejected_json(rejected: &[(SharedKey, Rejection)]) -> Value {
    let one = |(key, why): &(SharedKey, Rejection)| json!({ "key": key.to_string(), "why": why.to_string() });
    rejected.iter().map(one).collect()
}

fn manifest_json(manifest: &Manifest) -> Value {
    let packs: Vec<_> = manifest.packs.iter().map(|pack| {
        json!({
            "digest": hex(&pack.digest), "bytes": pack.bytes, "unpacked": pack.unpacked, "tasks": pack.tasks,
            "code": (pack.build.0 != 0).then(|| pack.build.to_string()), "is_delta": pack.is_delta,
        })
    }).collect();
    json!({
        "sequence": manifest.sequence, "signer": manifest.signer, "signed_at": seconds(manifest.signed_at),
        "packs": packs,
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

impl From<ShareError> for CliError {
    fn from(error: ShareError) -> Self {
        match error {
            ShareError::Read(error) => Self::Store(error),
            error => Self::Shared(error),
        }
    }
}
