//! `larder serve`.

use larder_inspect::Inspector;
use serde_json::json;

use crate::args::ServeArgs;
use crate::error::{CliError, Outcome};
use crate::out::Out;

pub(crate) fn run(args: &ServeArgs, out: &mut Out) -> Result<Outcome, CliError> {
    let mut inspector = Inspector::new();
    if args.remote {
        inspector = inspector.allow_remote();
    }
    if let Some(base) = &args.base {
        inspector = inspector.base(base);
    }
    let serving = inspector.store(&args.store, &*args.addr)?;
    if out.is_json() {
        out.json(&json!({ "url": serving.url(), "address": serving.address().to_string() }))?;
    } else {
        out.raw(serving.url())?;
    }
    // The page is for a browser that is opened by this line.
    out.flush()?;
    serving.wait();
    Ok(Outcome::Fine)
}
