//! `larder doctor`: why results of one machine are of no use on another.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use larder_storage::Visit;
use larder_storage::inspect::StoreReader;
use serde_json::{Value, json};

use crate::args::DoctorArgs;
use crate::error::{CliError, Outcome};
use crate::open;
use crate::out::{Out, count, escaped};

/// The most names that a finding lists.
const LISTED: usize = 5;
/// The most bytes of a diagnosis that is read.
const MOST_BYTES: u64 = 64 << 20;

/// The facts about a machine and a store on which sharing depends.
#[derive(Default)]
struct Diagnosis {
    platform: String,
    fingerprints: String,
    /// Format, codec and pointer width.
    format: String,
    build: String,
    /// Code by path of the function, and whether it is shared between builds.
    functions: BTreeMap<String, (String, bool)>,
    /// Names of sources that stay on their machine, with the reason.
    stay: Vec<(String, String)>,
}

/// Something because of which results are not shared, and what to do about it.
struct Finding {
    what: String,
    way_out: &'static str,
}

pub(crate) fn run(args: &DoctorArgs, out: &mut Out) -> Result<Outcome, CliError> {
    let own = Diagnosis::of(&open(&args.store)?)?;
    let other = args.against.as_deref().map(read).transpose()?;
    let mut findings = own.alone();
    if let Some(other) = &other {
        findings.extend(own.against(other));
    }
    if out.is_json() {
        let list: Vec<_> =
            findings.iter().map(|found| json!({ "what": found.what, "do": found.way_out })).collect();
        out.json(&json!({ "diagnosis": own.to_json(), "findings": list }))?;
    } else {
        let versioned = own.functions.values().filter(|(_, is_versioned)| *is_versioned).count();
        out.line(&format!("platform   {}", own.platform))?;
        out.line(&format!("digests    {}", own.fingerprints))?;
        out.line(&format!("store      {}", own.format))?;
        out.line(&format!("code       {}", own.build))?;
        let functions = count(own.functions.len() as u64, "function");
        out.line(&format!("functions  {functions}, {versioned} shared between builds"))?;
        for found in &findings {
            out.line(&format!("\n{}\n  {}", found.what, found.way_out))?;
        }
        if findings.is_empty() {
            let with = if other.is_some() {
                "what the two have computed can be shared"
            } else {
                "nothing stays here"
            };
            out.line(&format!("\n{with}"))?;
        }
    }
    Ok(if findings.is_empty() { Outcome::Fine } else { Outcome::Found })
}

/// Reads the diagnosis of another machine: of its store, or as `--json` has printed it there.
fn read(path: &Path) -> Result<Diagnosis, CliError> {
    let name = || escaped(path.as_os_str().as_encoded_bytes());
    let mut bytes = Vec::new();
    let is_file = std::fs::metadata(path).is_ok_and(|found| found.is_file());
    let read = File::open(path).and_then(|file| file.take(MOST_BYTES).read_to_end(&mut bytes));
    if is_file && read.is_ok() && bytes.first() == Some(&b'{') {
        let value: Value = serde_json::from_slice(&bytes)
            .map_err(|error| CliError::Usage(format!("`{}` is no diagnosis: {error}", name())))?;
        return Diagnosis::from_json(&value["diagnosis"]).ok_or_else(|| {
            CliError::Usage(format!("`{}` is no diagnosis of `larder doctor --json`", name()))
        });
    }
    Diagnosis::of(&open(path)?)
}

impl Diagnosis {
    fn of(reader: &StoreReader) -> Result<Self, CliError> {
        let head = reader.head();
        let mut diagnosis = Self {
            platform: larder_shared::platform(),
            fingerprints: head.fingerprints.to_string(),
            format: format!("format {}, codec {}, {}-byte pointers", head.format, head.codec, head.pointer),
            build: head.build.to_string(),
            ..Self::default()
        };
        for function in reader.functions()?.into_values() {
            let code = (function.code.to_string(), function.is_shared);
            // Code of earlier builds stands beside it; one that is shared between builds counts.
            let place = diagnosis.functions.entry(function.path.into()).or_insert_with(|| code.clone());
            if code.1 || !place.1 {
                *place = code;
            }
        }
        reader.leaves(|leaf| {
            if let Some(why) = larder_shared::stays_here(leaf.kind, &leaf.name) {
                diagnosis.stay.push((escaped(&leaf.name), why.to_owned()));
            }
            Visit::Continue
        })?;
        diagnosis.stay.sort();
        Ok(diagnosis)
    }

    /// Returns the findings about one machine by itself.
    fn alone(&self) -> Vec<Finding> {
        let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, why) in &self.stay {
            by_reason.entry(why).or_default().push(name);
        }
        let finding = |(why, names): (&str, Vec<&str>)| Finding {
            what: format!(
                "{} stays here, with all that has read it: {why}: {}",
                count(names.len() as u64, "source"),
                listed(&names)
            ),
            way_out: if why.contains("secret") {
                "read it outside of tasks, or give the variable another name if it is no secret"
            } else {
                "give the runtime a base directory, `Runtime::builder().base(dir)`, and pass relative paths"
            },
        };
        by_reason.into_iter().map(finding).collect()
    }

    /// Returns the findings about two machines.
    fn against(&self, other: &Self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut differs = |what: &str, here: &str, there: &str, way_out| {
            if here != there {
                findings.push(Finding {
                    what: format!("{what} differs: `{here}` here, `{there}` there"),
                    way_out,
                });
            }
        };
        differs(
            "the kind of fingerprints",
            &self.fingerprints,
            &other.fingerprints,
            "a runtime with a shared cache has BLAKE3; give the other one `fingerprints(Fingerprints::Blake3)`, or both the same",
        );
        differs(
            "the platform",
            &self.platform,
            &other.platform,
            "results are shared between machines of one platform and one release of Larder only",
        );
        differs("the store", &self.format, &other.format, "use the same release of Larder on both");
        let mut of_other_code: Vec<&str> = Vec::new();
        let mut of_other_version: Vec<&str> = Vec::new();
        for (path, (code, is_versioned)) in &self.functions {
            if let Some((_, was_versioned)) = other.functions.get(path).filter(|(there, _)| there != code) {
                let both = *is_versioned && *was_versioned;
                if both { of_other_version.push(path) } else { of_other_code.push(path) }
            }
        }
        if !of_other_code.is_empty() {
            findings.push(Finding {
                what: format!("the code of {} differs: {}", count(of_other_code.len() as u64, "function"), listed(&of_other_code)),
                way_out: "use the program that CI has built, or a build that is the same bytes on both (`--remap-path-prefix`), or \
                          `code_identity` with a hash of the sources, or declare `#[task_fn(version = N, shared)]`",
            });
        }
        if !of_other_version.is_empty() {
            findings.push(Finding {
                what: format!(
                    "the version, the text, the package, the types or the compiler of {} differ: {}",
                    count(of_other_version.len() as u64, "function"),
                    listed(&of_other_version)
                ),
                way_out: "one of the two has not got the last change of these functions, or was built by another release of the compiler",
            });
        }
        let is_common = self.functions.keys().any(|path| other.functions.contains_key(path));
        if !is_common && !self.functions.is_empty() && !other.functions.is_empty() {
            findings.push(Finding {
                what: "the two have no function in common".to_owned(),
                way_out: "these are stores of two programs: name those of one",
            });
        }
        findings
    }

    fn to_json(&self) -> Value {
        let functions: Vec<_> = self
            .functions
            .iter()
            .map(|(path, (code, is_versioned))| json!({ "path": path, "code": code, "versioned": is_versioned }))
            .collect();
        let stay: Vec<_> = self.stay.iter().map(|(name, why)| json!({ "name": name, "why": why })).collect();
        json!({
            "platform": self.platform, "fingerprints": self.fingerprints, "format": self.format, "build": self.build, "functions": functions, "stays": stay,
        })
    }

    fn from_json(value: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let mut functions = BTreeMap::new();
        for function in value["functions"].as_array()? {
            let code = (text(&function["code"])?, function["versioned"].as_bool()?);
            functions.insert(text(&function["path"])?, code);
        }
        let (platform, format, build) =
            (text(&value["platform"])?, text(&value["format"])?, text(&value["build"])?);
        let fingerprints = text(&value["fingerprints"])?;
        Some(Self { platform, fingerprints, format, build, functions, stay: Vec::new() })
    }
}

fn listed(names: &[&str]) -> String {
    let more = names.len().saturating_sub(LISTED);
    let first = names.iter().take(LISTED).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if more == 0 { first } else { format!("{first} and {more} more") }
}
