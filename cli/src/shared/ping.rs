//! `larder shared ping`: whether a place answers, how fast, and what one may do there.

use std::time::{Duration, Instant};

use larder_shared::{
    Holder, Lease, Put, Rejection, ShareError, SharedEngine, SharedError, SharedKey, Trust, list,
};
use larder_storage::{Digest, TaskKey};
use serde_json::json;

use super::{Place, trusted_if_any};
use crate::args::PingArgs;
use crate::error::{CliError, Outcome};
use crate::out::Out;

/// The name of the item that is written. Nothing is ever read from it.
const NAME: &str = "larder-ping";

pub(super) fn ping(args: &PingArgs, out: &mut Out) -> Result<Outcome, CliError> {
    let place = Place::of(&args.shared)?;
    let trust = trusted_if_any(&args.trust)?;
    let times = looks(&place, args.count.clamp(1, 1000))?;
    let (first, usual) = (times[0], median(&times[1..]));
    let pushed = pushed(&place, &trust)?;
    let may = if args.write { Some(may(&place)?) } else { None };
    if out.is_json() {
        let millis = |time: Duration| time.as_secs_f64() * 1e3;
        out.json(&json!({
            "first_ms": millis(first), "median_ms": millis(usual), "looks": times.len() - 1,
            "patience_ms": millis(place.engine.limits().patience),
            "pushed": pushed.text, "is_usable": pushed.is_usable,
            "writes": may.as_ref().map(|may| may.refusal.is_none()),
            "refusal": may.as_ref().and_then(|may| may.refusal.as_deref()),
            "leases": may.as_ref().map(|may| may.has_leases),
        }))?;
        return Ok(pushed.outcome());
    }
    out.line(&format!(
        "answers: the first look took {first:.1?}, with connecting; {} more took {usual:.1?} each (median)",
        times.len() - 1,
    ))?;
    let patience = place.engine.limits().patience;
    if usual > patience / 2 {
        out.line(&format!("  that is slow: a program gives a look {patience:.0?} before it does without"))?;
    }
    out.line(&pushed.text)?;
    if let Some(may) = &may {
        out.line(&match &may.refusal {
            None => "writes: yes".to_owned(),
            Some(reason) => format!("writes: no: {reason}"),
        })?;
        out.line(if may.has_leases { "leases: yes" } else { "leases: no" })?;
    }
    Ok(pushed.outcome())
}

/// Returns the time of a first look, and of `count` more.
fn looks(place: &Place, count: usize) -> Result<Vec<Duration>, CliError> {
    let key = named(place);
    let look = |_| {
        let begun = Instant::now();
        place.engine.get(std::slice::from_ref(&key), place.until).map_err(ShareError::Engine)?;
        Ok(begun.elapsed())
    };
    (0..=count).map(look).collect()
}

fn median(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort();
    times[times.len() / 2]
}

/// The list that a program would find.
struct Pushed {
    text: String,
    is_usable: bool,
}

impl Pushed {
    fn outcome(&self) -> Outcome {
        if self.is_usable { Outcome::Fine } else { Outcome::Found }
    }
}

fn pushed(place: &Place, trust: &Trust) -> Result<Pushed, CliError> {
    let name = &place.reference;
    let (text, is_usable) = match list(&*place.engine, place.name(), trust, place.until) {
        Ok(manifest) => {
            (format!("`{name}` is number {}, signed by {}", manifest.sequence, manifest.signer), true)
        }
        Err(error @ ShareError::NoRef { rejected: None, .. }) => (error.to_string(), true),
        Err(ShareError::NoRef { rejected: Some(Rejection::Untrusted), .. }) => {
            (format!("`{name}` is there, and signed by a key that `--trust` does not name"), false)
        }
        Err(ShareError::NoRef { rejected: Some(why), .. }) => {
            (format!("`{name}` is there, and is not used: {why}"), false)
        }
        Err(error) => return Err(error.into()),
    };
    Ok(Pushed { text, is_usable })
}

/// The operations that are allowed.
struct May {
    refusal: Option<Box<str>>,
    has_leases: bool,
}

fn may(place: &Place) -> Result<May, CliError> {
    let (engine, until) = (&*place.engine, place.until);
    match engine.put(&[(named(place), b"ping")], Put::Replace, until) {
        Ok(()) => {}
        Err(SharedError::Refused { reason }) => return Ok(May { refusal: Some(reason), has_leases: false }),
        Err(error) => return Err(ShareError::Engine(error).into()),
    }
    Ok(May { refusal: None, has_leases: has_leases(engine, place).map_err(ShareError::Engine)? })
}

/// Takes the lease on a task that no function has, and gives it back.
fn has_leases(engine: &dyn SharedEngine, place: &Place) -> Result<bool, SharedError> {
    let holder = Holder::new().map_err(SharedError::broken)?;
    let key = SharedKey::lease(&place.namespace, TaskKey(Digest(0)));
    let lease = engine.lease(&key, &holder, Duration::from_secs(1), place.until)?;
    engine.end_lease(&key, &holder, place.until)?;
    Ok(lease != Lease::NotSupported)
}

fn named(place: &Place) -> SharedKey {
    SharedKey::reference(&place.namespace, NAME).expect("it is made of letters and a hyphen")
}
