//! `wakerace completions` and `wakerace man`: what a package installs beside the binary. Both are generated
//! from the definitions of the command line, so they cannot differ from it.

use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::notes::{self, Section};
use crate::error::{EXIT_OK, Error, Result};
use crate::files::Sink;
use crate::{shown, terminal};

/// Sections of a manual page.
fn sections(all: &[Section]) -> Roff {
    let mut roff = Roff::new();
    for (title, entries) in all {
        roff.control("SH", [title.to_uppercase().as_str()]);
        for &(term, meaning) in entries {
            roff.control("TP", []).text([bold(term)]).text([roman(meaning)]);
        }
    }
    roff
}

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell that reads the script
    shell: Shell,
}

/// Arguments of `man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// The folder for the pages: wakerace.1 and a page for each subcommand. It must exist
    #[arg(short, long, value_name = "FOLDER", default_value = ".")]
    output: PathBuf,
}

/// Prints a completion script and returns the exit status.
///
/// # Errors
/// If standard output cannot be written.
pub fn completions(args: &CompletionsArgs, mut command: Command) -> Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "wakerace", &mut script);
    terminal::out(&String::from_utf8_lossy(&script))?;
    Ok(EXIT_OK)
}

/// Writes the manual pages and returns the exit status. Hidden subcommands have no page.
///
/// # Errors
/// If a page cannot be written. The pages before it are complete.
pub fn man(args: &ManArgs, command: Command) -> Result<u8> {
    // `build` gives each subcommand its full name, such as `wakerace-run`.
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let subcommands = command.get_subcommands().filter(|command| !command.is_hide_set());
    let pages: Vec<Command> = subcommands.cloned().collect();
    write_page(&args.output, command, [sections(&notes::of_all())])?;
    pages.into_iter().try_for_each(|page| {
        let own = page.get_after_help().map(|text| own_sections(&text.to_string())).unwrap_or_default();
        let notes = sections(&notes::of(page.get_name()));
        write_page(&args.output, page.after_help(None), [own, notes])
    })?;
    Ok(EXIT_OK)
}

/// The sections of a subcommand's page, made of what its help has behind the options: paragraphs such as `Examples:`, each
/// with the title of its section in front. A paragraph without a title belongs to NOTES.
fn own_sections(text: &str) -> Roff {
    const TITLES: [&str; 2] = ["Examples", "Example"];
    let mut roff = Roff::new();
    for paragraph in text.split("\n\n") {
        let titled = paragraph.split_once(':').filter(|(title, _)| TITLES.contains(title));
        let (title, rest) = titled.unwrap_or(("Notes", paragraph));
        roff.control("SH", [title.to_uppercase().as_str()]);
        let rest = rest.trim_matches('\n');
        if rest.starts_with("  ") {
            // Lines of examples stay as they are.
            roff.control("nf", []).text([roman(rest)]).control("fi", []);
        } else {
            roff.text([roman(rest.trim())]);
        }
    }
    roff
}

/// Writes the manual page of a command, with more sections at its end.
fn write_page<const N: usize>(folder: &Path, command: Command, sections: [Roff; N]) -> Result<()> {
    let page = Man::new(command.version(env!("CARGO_PKG_VERSION"))).manual("User Commands");
    let path = folder.join(page.get_filename());
    let mut text = Vec::new();
    let rendered =
        page.render(&mut text).and_then(|()| sections.iter().try_for_each(|sections| sections.to_writer(&mut text)));
    rendered.map_err(Error::io(format!("rendering {}", shown::path(&path))))?;
    Sink::open(&path)?.write(&String::from_utf8_lossy(&text))
}
