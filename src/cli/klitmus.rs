//! `wakerace export --klitmus`: a folder of litmus tests for klitmus7.

use std::path::Path;

use crate::catalogue::{self, Scenario};
use crate::error::{EXIT_OK, Error, Result};
use crate::files;
use crate::publish;
use crate::{shown, terminal};

/// Writes tests into a folder, one file each, and returns the exit status. Without names, these are the
/// shipped scenarios, and those that cannot run in kernel space are named and left out.
///
/// # Errors
/// If a name is not found, if a scenario that was asked for cannot run in kernel space, or if a file cannot
/// be written. All tests are converted before the first file is written.
pub fn write(folder: &Path, names: &[String]) -> Result<u8> {
    let scenarios = if names.is_empty() { catalogue::all()? } else { catalogue::resolve(names)? };
    let mut written = Vec::new();
    let mut left_out = Vec::new();
    for scenario in &scenarios {
        match publish::klitmus(scenario) {
            Ok(text) => {
                let name = file_name(scenario)?;
                if written.iter().any(|(other, _)| *other == name) {
                    let words =
                        format!("--klitmus: two of the tests are named {}; name one", shown::line(&scenario.name));
                    return Err(Error::Usage(words));
                }
                written.push((name, text));
            }
            Err(error) if names.is_empty() => {
                left_out.push(format!("left out: {}: {}\n", scenario.name, error.message()))
            }
            Err(error) => return Err(error.into()),
        }
    }
    for (name, text) in &written {
        files::write_own(&folder.join(name), text)?;
    }
    terminal::err(&left_out.concat());
    let (count, folder) = (written.len(), shown::path(folder));
    let tests = if count == 1 { "test" } else { "tests" };
    terminal::out(&format!("{count} {tests} in {folder}; next: klitmus7 -o MODULES {folder}/*.litmus\n"))?;
    Ok(EXIT_OK)
}

/// The file of a test. Its name becomes the name of a file, so it must be one.
fn file_name(scenario: &Scenario) -> Result<String> {
    let name = &scenario.name;
    if name.starts_with('.') || name.contains('/') {
        return Err(Error::Usage(format!("the test's name '{}' cannot be the name of a file", shown::line(name))));
    }
    Ok(format!("{name}.litmus"))
}
