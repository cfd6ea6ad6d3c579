//! The records that arguments name: files, and the records in folders. Every command that takes records finds them here.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::input::find_files;
use crate::parallel::in_parallel;
use crate::publish::Entry;
use crate::record::{self, AnyRecord, Record};
use crate::{shown, terminal};

/// The file of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RecordFile {
    /// The path, as it was given or found.
    pub(super) path: PathBuf,
    /// Whether a folder was named that holds it, and not the file.
    pub(super) in_folder: bool,
}

/// The files that paths name: files themselves, and the records in folders, sorted by name.
///
/// # Errors
/// If a folder cannot be read, or holds no record.
pub(super) fn files(paths: &[PathBuf]) -> Result<Vec<RecordFile>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let found = find_files(path, "json")?;
            if found.is_empty() {
                return Err(Error::Usage(format!("{}: no record (*.json) in this folder", shown::path(path))));
            }
            files.extend(found.into_iter().map(|path| RecordFile { path, in_folder: true }));
        } else {
            files.push(RecordFile { path: path.clone(), in_folder: false });
        }
    }
    Ok(files)
}

/// The same files without those that an earlier path leads to.
fn once(files: Vec<RecordFile>) -> Result<Vec<RecordFile>> {
    let mut seen = HashSet::new();
    let mut once = Vec::new();
    for file in files {
        let opening = format!("opening {}", shown::path(&file.path));
        if seen.insert(fs::canonicalize(&file.path).map_err(Error::io(opening))?) {
            once.push(file);
        }
    }
    Ok(once)
}

/// Reads the records at the given paths, each file once.
///
/// # Errors
/// If a record cannot be read or is not consistent, or if a folder holds no record.
pub(super) fn entries(paths: &[PathBuf]) -> Result<Vec<Entry>> {
    // The page links to its records, so the name must be the unchanged path, without escapes.
    let entry = |file: &RecordFile| {
        Ok(Entry { name: file.path.display().to_string(), record: record::read_valid(&file.path)? })
    };
    in_parallel(&once(files(paths)?)?, entry)
}

/// As [`entries`], for a page that adds their counts up: without records whose runs are all in others of them, such as a sum beside its
/// parts. A line on standard error names each.
///
/// # Errors
/// As [`entries`].
pub(super) fn entries_without_sums(paths: &[PathBuf]) -> Result<Vec<Entry>> {
    let entries = entries(paths)?;
    let held: Vec<Vec<String>> = entries.iter().map(|entry| entry.record.held()).collect();
    let left_out = repeated(&held);
    for (entry, _) in entries.iter().zip(&left_out).filter(|(_, left_out)| **left_out) {
        let name = shown::line(&entry.name);
        terminal::err(&format!("left out: {name}, because the other records have all of its runs\n"));
    }
    Ok(entries.into_iter().zip(left_out).filter(|(_, left_out)| !left_out).map(|(entry, _)| entry).collect())
}

/// Which records are left out so that no run is counted twice, given the runs of each: first sums, and then those that the rest has.
fn repeated(held: &[Vec<String>]) -> Vec<bool> {
    let mut left_out = vec![false; held.len()];
    // How many of the records that are kept have each run.
    let mut kept: HashMap<&str, usize> = HashMap::new();
    held.iter().flatten().for_each(|id| *kept.entry(id).or_default() += 1);
    let mut order: Vec<usize> = (0..held.len()).collect();
    order.sort_by_key(|&at| std::cmp::Reverse(held[at].len()));
    for at in order {
        left_out[at] = !held[at].is_empty() && held[at].iter().all(|id| kept[id.as_str()] > 1);
        if left_out[at] {
            held[at].iter().for_each(|id| *kept.entry(id).or_default() -= 1);
        }
    }
    left_out
}

/// Reads the records of `wakerace run` at the given paths, also those that are named twice. Records of other commands that are
/// in folders are left out, and a line on standard error says so. `only` completes the error for one that was named: `can be
/// compared`.
///
/// # Errors
/// If a record cannot be read or is not consistent, if one that was named is of another command, or if no record is left.
pub(super) fn of_runs(paths: &[PathBuf], only: &str) -> Result<Vec<(PathBuf, Record)>> {
    of_runs_in(&files(paths)?, only)
}

/// As [`of_runs`], each file once.
///
/// # Errors
/// As [`of_runs`].
pub(super) fn of_runs_once(paths: &[PathBuf], only: &str) -> Result<Vec<(PathBuf, Record)>> {
    of_runs_in(&once(files(paths)?)?, only)
}

fn of_runs_in(files: &[RecordFile], only: &str) -> Result<Vec<(PathBuf, Record)>> {
    let read = in_parallel(files, |RecordFile { path, in_folder }| {
        if !in_folder {
            return record::read_valid_run(path, only).map(Some);
        }
        Ok(match record::read_valid(path)? {
            AnyRecord::Run(record) => Some(*record),
            _ => None,
        })
    })?;
    let mut left_out = 0;
    let mut runs = Vec::new();
    for (file, record) in files.iter().zip(read) {
        match record {
            Some(record) => runs.push((file.path.clone(), record)),
            None => left_out += 1,
        }
    }
    if runs.is_empty() {
        return Err(Error::Usage(format!("no record of `wakerace run` is there; only these {only}")));
    }
    if left_out > 0 {
        let plural = if left_out == 1 { "" } else { "s" };
        terminal::err(&format!("left out: {left_out} record{plural} of other commands than `wakerace run`\n"));
    }
    Ok(runs)
}

/// The single record that a path names: a file, or a folder that holds one record. `option` is the option that takes it.
///
/// # Errors
/// If a folder holds no record or several.
pub(super) fn single(option: &str, path: &Path) -> Result<PathBuf> {
    let files = files(&[path.to_owned()]).map_err(|error| error.of_option(option))?;
    match files.as_slice() {
        [file] => Ok(file.path.clone()),
        several => Err(Error::Usage(format!(
            "{option}: {} holds {} records; name one of them, such as {}",
            shown::path(path),
            several.len(),
            shown::path(&several[0].path)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_run_is_counted_twice_and_none_is_lost() {
        let of = |held: &[&[&str]]| {
            repeated(&held.iter().map(|ids| ids.iter().map(|id| (*id).to_owned()).collect()).collect::<Vec<_>>())
        };
        assert_eq!(of(&[&["a"], &["b"], &["a", "b"]]), [false, false, true]);
        assert_eq!(of(&[&["a"], &["a", "b"], &["c"]]), [true, false, false]);
        assert_eq!(of(&[&["a", "b"], &["b", "c"], &["a", "b", "c"]]), [false, false, true]);
        assert_eq!(of(&[&["a"], &["a"]]), [true, false]);
        assert_eq!(of(&[&[], &[], &["a"]]), [false, false, false]);
    }
}
