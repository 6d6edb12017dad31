//! Scripts for shells, and the manual.

use clap::CommandFactory;

use crate::args::Cli;
use crate::error::{CliError, Outcome};
use crate::out::Out;

pub(crate) fn completions(shell: clap_complete::Shell, out: &mut Out) -> Result<Outcome, CliError> {
    // Into memory first: the generator takes a writer that fails for a mistake of the program.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "larder", &mut script);
    out.bytes(&script)?;
    Ok(Outcome::Fine)
}

pub(crate) fn manual(out: &mut Out) -> Result<Outcome, CliError> {
    let mut page = Vec::new();
    let mut command = Cli::command();
    command.build();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help") {
        let mut section = Vec::new();
        let man = clap_mangen::Man::new(sub.clone());
        man.render_description_section(&mut section)?;
        man.render_options_section(&mut section)?;
        let title = format!(".SH LARDER {}\n", sub.get_name().to_uppercase());
        page.extend_from_slice(title.as_bytes());
        page.extend_from_slice(String::from_utf8_lossy(&section).replace(".SH ", ".SS ").as_bytes());
    }
    out.bytes(&page)?;
    Ok(Outcome::Fine)
}
