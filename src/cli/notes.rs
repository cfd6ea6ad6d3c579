//! Exit statuses and environment variables of each command: the end of its help and sections of its manual page.

use clap::Command;

use crate::publish;

/// A term and its meaning.
type Entry = (&'static str, &'static str);

/// A section: its title and its entries.
pub(super) type Section = (&'static str, Vec<Entry>);

/// The most columns of the help's last part. clap breaks longer lines without an indent.
const WIDTH: usize = 78;

const BAD_INPUT: &str = "The input is bad, or a file cannot be read or written.";
const CANNOT_RUN: &str = "The input is bad, this host cannot run what was asked, or a file cannot be written; what was measured is printed all the same.";
const INTERRUPTED: &str = "Interrupted. The results so far are printed and saved.";

/// The exit statuses of all commands together, for the program's own page.
const OF_ALL: [Entry; 4] = [
    ("0", "All outcomes are as expected."),
    (
        "1",
        "Something was seen that must not be: a forbidden outcome, harm that nobody expects, a torn access. Or an option found \
         what it looks for: compare --fail-on-difference, validate --contribution.",
    ),
    ("2", "The input is bad, a record is invalid, or this host cannot run what was asked."),
    ("130", "Interrupted. The results so far are saved."),
];

/// The exit statuses of a command.
fn statuses(command: &str) -> Vec<Entry> {
    match command {
        "run" => vec![
            ("0", "All outcomes are as expected."),
            ("1", "A forbidden outcome was seen."),
            ("2", CANNOT_RUN),
            ("130", INTERRUPTED),
        ],
        "campaign" => vec![
            ("0", "No forbidden outcome was seen. Files that cannot run are named and do not change the status."),
            ("1", "A forbidden outcome was seen."),
            ("2", CANNOT_RUN),
            ("130", INTERRUPTED),
        ],
        "conform" => vec![
            ("0", "The emulator showed no outcome that the architecture forbids."),
            ("1", "It showed one."),
            ("2", "The input is bad, or the emulator or the binary cannot run."),
            ("130", INTERRUPTED),
        ],
        "tune" => vec![
            ("0", "The profile is written."),
            ("2", "The input is bad, this host cannot run what was asked, or the time was too short."),
            ("130", "Interrupted. The profile has the settings that were found before."),
        ],
        "protocol" => vec![
            ("0", "No harm was seen, or only harm that is expected of the profile."),
            ("1", "Harm was seen that nobody expects."),
            ("2", CANNOT_RUN),
            ("130", INTERRUPTED),
        ],
        "tearing" => vec![
            ("0", "No access was torn that the architecture guarantees to be whole."),
            ("1", "Such an access was torn."),
            ("2", CANNOT_RUN),
            ("130", "Interrupted. The map is of what was measured so far."),
        ],
        "check" => vec![
            ("0", "Nothing disagrees with the models."),
            (
                "2",
                "Nothing was checked: an option is wrong, or there is no such test. Or all else was checked and printed: a file \
                 cannot be read; the header of a test or the file of --against disagrees with a model, or that file has none of \
                 the tests; or a test that was named, or every test of a folder, has no verdict.",
            ),
        ],
        "validate" => vec![
            ("0", "All records are valid."),
            ("1", "With --contribution: all are valid, and something is missing."),
            ("2", "A record is invalid or cannot be read."),
        ],
        "compare" => vec![
            ("0", "The table is printed, whatever it says."),
            ("1", "With --fail-on-difference: a rate of several runs differs by more than chance."),
            ("2", BAD_INPUT),
        ],
        "expect" => vec![
            ("0", "The rates are printed; one far below the published ones is no error."),
            ("1", "A forbidden outcome was seen while the tests ran."),
            ("2", CANNOT_RUN),
            ("130", INTERRUPTED),
        ],
        "topology" => vec![("0", "Success."), ("2", "The input is bad, or this host does not say what its CPUs are.")],
        _ => vec![("0", "Success."), ("2", BAD_INPUT)],
    }
}

const NO_COLOR: Entry =
    ("NO_COLOR", "If set, findings, errors and help have no colours. With TERM=dumb they have none either.");
const COLUMNS: Entry =
    ("COLUMNS", "The width of tables and text where the output is no terminal, or one that does not know its size.");
const CONFIG: Entry =
    ("XDG_CONFIG_HOME", "The folder below which `tune` saves its settings and `run` finds them. Default: ~/.config");

const CACHE: Entry = (
    "XDG_CACHE_HOME",
    "The folder below which `run` keeps the settings that its searches found, for later runs. Default: ~/.cache",
);

/// The environment variables of a command.
fn variables(command: &str) -> Vec<Entry> {
    let fits = [
        "run", "campaign", "conform", "tune", "protocol", "tearing", "check", "merge", "compare", "expect", "list",
        "topology",
    ];
    let finds_settings = ["run", "tune", "expect"];
    let keeps_settings = ["run", "expect"];
    let columns = fits.contains(&command).then_some(COLUMNS);
    let config = finds_settings.contains(&command).then_some(CONFIG);
    let cache = keeps_settings.contains(&command).then_some(CACHE);
    columns.into_iter().chain([NO_COLOR]).chain(config).chain(cache).collect()
}

/// The sections of a command.
pub(super) fn of(command: &str) -> Vec<Section> {
    vec![("Exit status", statuses(command)), ("Environment", variables(command))]
}

/// The sections of the whole program.
pub(super) fn of_all() -> Vec<Section> {
    let files = ("results/ARCH/CPU/TIME.json, .html", "The record of a run and its page, under the current folder.");
    vec![
        ("Exit status", OF_ALL.to_vec()),
        ("Environment", vec![COLUMNS, NO_COLOR, CONFIG, CACHE]),
        ("Files", vec![files]),
    ]
}

/// Sections as text for the help.
fn text(sections: &[Section]) -> String {
    let section = |(title, entries): &Section| {
        let column = entries.iter().map(|(term, _)| term.len()).max().unwrap_or(0);
        // A long term has a line of its own.
        let column = if column > 20 { 8 } else { column };
        let indent = " ".repeat(column + 4);
        let entry = |(term, meaning): &Entry| {
            let meaning = publish::wrapped_lines(meaning, Some(WIDTH - indent.len()));
            let meaning = meaning.lines().map(str::trim).collect::<Vec<_>>().join(&format!("\n{indent}"));
            if term.len() > column {
                format!("  {term}\n{indent}{meaning}\n")
            } else {
                format!("  {term:column$}  {meaning}\n")
            }
        };
        format!("{title}:\n{}", entries.iter().map(entry).collect::<String>())
    };
    sections.iter().map(section).collect::<Vec<_>>().join("\n").trim_end().to_owned()
}

/// The command line with the sections at the end of the help of each command, behind its examples.
pub(super) fn with_notes(mut command: Command) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    for name in names {
        command = command.mut_subcommand(&name, |command| {
            let own = command.get_after_help().map_or(String::new(), |text| format!("{text}\n\n"));
            command.after_help(own + &text(&of(&name)))
        });
    }
    command.after_help(text(&of_all()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn the_help_of_every_command_ends_with_its_statuses_and_fits() {
        let mut command = with_notes(Cli::command()).term_width(80);
        command.build();
        let names: Vec<String> = command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
        assert!(names.len() > 20, "{names:?}");
        for name in names.iter().filter(|name| *name != "help") {
            let own = command.find_subcommand_mut(name).unwrap();
            for help in [own.render_help().to_string(), own.render_long_help().to_string()] {
                let (_, end) = help.split_once("Exit status:\n").unwrap_or_else(|| panic!("{name}: {help}"));
                assert!(end.contains("\n  2  ") || end.contains("\n  2    "), "{name}: {end}");
                assert!(end.contains("Environment:\n") && end.contains("NO_COLOR"), "{name}: {end}");
                assert_eq!(help.matches("Exit status").count(), 1, "{name}: {help}");
                // The usage of `export` is one line with all of its options.
                let long = help.lines().find(|line| line.chars().count() > 80 && !line.starts_with("Usage:"));
                assert_eq!(long, None, "{name}");
            }
        }
        let whole = command.render_help().to_string();
        assert!(
            whole.contains("  130") && whole.contains("XDG_CONFIG_HOME") && whole.contains("results/ARCH"),
            "{whole}"
        );
    }

    #[test]
    fn text_has_a_hanging_indent() {
        let long = "a ".repeat(50);
        let long: &'static str = Box::leak(long.into_boxed_str());
        let text = text(&[("T", vec![("1", long), ("130", "b")])]);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].starts_with("  1    a a") && lines[2].starts_with("       a a"), "{text}");
        assert_eq!(*lines.last().unwrap(), "  130  b");
        assert!(lines.iter().all(|line| line.len() <= WIDTH), "{text}");
    }
}
