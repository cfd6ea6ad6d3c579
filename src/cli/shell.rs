//! `wakerace completions` and `wakerace man`: what a package installs beside the binary. Both are generated
//! from the definitions of the command line, so they cannot differ from it.

use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::error::{EXIT_OK, Error, Result};
use crate::files::Sink;
use crate::{shown, terminal};

/// Sections of the long help and of the manual page: what no option says. Each entry is a term and its
/// meaning.
const NOTES: [(&str, &[(&str, &str)]); 3] = [
    (
        "Exit status",
        &[
            ("0", "All outcomes are as expected."),
            (
                "1",
                "A forbidden outcome was observed, the protocol showed harm that nobody expects, or an option found what it \
                 looks for: `compare --fail-on-difference`, `validate --contribution`.",
            ),
            ("2", "The input is bad, a record is invalid, or this host cannot run what was asked."),
            ("130", "Interrupted. The results that were finished are saved."),
        ],
    ),
    (
        "Environment",
        &[
            ("NO_COLOR", "If set, findings, errors and help are printed without colours; so they are with TERM=dumb."),
            (
                "XDG_CONFIG_HOME",
                "The folder below which `tune` saves its settings, and `run` finds them. Default: ~/.config",
            ),
        ],
    ),
    ("Files", &[("results/ARCH/CPU/TIME.json, .html", "The record of a run and its page, under the current folder.")]),
];

/// The notes as text for `--help`.
pub fn notes() -> String {
    let entry = |(term, meaning): &(&str, &str)| format!("  {term}\n          {meaning}\n");
    let section = |(title, entries): &(&str, &[(&str, &str)])| {
        format!("{title}:\n{}", entries.iter().map(entry).collect::<String>())
    };
    NOTES.iter().map(section).collect::<Vec<_>>().join("\n").trim_end().to_owned()
}

/// The notes as sections of a manual page.
fn sections() -> Roff {
    let mut roff = Roff::new();
    for (title, entries) in NOTES {
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
    write_page(&args.output, command.after_long_help(None), &sections())?;
    pages.into_iter().try_for_each(|page| {
        let own = page.get_after_long_help().or(page.get_after_help()).map(|text| own_sections(&text.to_string()));
        write_page(&args.output, page.after_help(None).after_long_help(None), &own.unwrap_or_default())
    })?;
    Ok(EXIT_OK)
}

/// The sections of a subcommand's page, made of what its help has at the end: paragraphs such as `Exit status: ...` and
/// `Examples:`, each with the title of its section in front. A paragraph without a title belongs to NOTES.
fn own_sections(text: &str) -> Roff {
    const TITLES: [&str; 3] = ["Exit status", "Examples", "Example"];
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
fn write_page(folder: &Path, command: Command, sections: &Roff) -> Result<()> {
    let page = Man::new(command.version(env!("CARGO_PKG_VERSION"))).manual("User Commands");
    let path = folder.join(page.get_filename());
    let mut text = Vec::new();
    let rendered = page.render(&mut text).and_then(|()| sections.to_writer(&mut text));
    rendered.map_err(Error::io(format!("rendering {}", shown::path(&path))))?;
    Sink::open(&path)?.write(&String::from_utf8_lossy(&text))
}
