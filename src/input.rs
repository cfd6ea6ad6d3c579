//! Reads the files and folders that the user names, with a size limit.
//!
//! A device such as /dev/zero has no end, and a pipe does not report its size. So every read stops at a
//! limit, whatever kind of file it reads.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File, FileType};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::string::FromUtf8Error;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::error::Category;

use crate::apart;
use crate::error::{Error, Result};
use crate::litmus::BYTE_ORDER_MARK;
use crate::shown;

/// The size limit of a file, and the reason for it.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// The largest allowed size, in bytes.
    pub bytes: usize,
    /// The reason, for messages: what is expected and why it is no larger, such as
    /// `a litmus test is a page of text`.
    pub why: &'static str,
}

/// Reads a text file.
///
/// # Errors
/// If the file cannot be read, is larger than the limit, or is not UTF-8.
pub fn read_text(path: &Path, limit: Limit) -> Result<String> {
    String::from_utf8(read_bytes(path, limit)?).map_err(|error| not_text(path, limit, &error))
}

/// Reads a text file that may be in Latin-1, as older tests are: their comments have names with accents. A byte order
/// mark is removed.
///
/// # Errors
/// As [`read_text`]. A file with a zero byte is not text.
pub fn read_latin1_or_utf8(path: &Path, limit: Limit) -> Result<String> {
    let text = match String::from_utf8(read_bytes(path, limit)?) {
        Ok(text) => text,
        Err(error) if error.as_bytes().contains(&0) => return Err(not_text(path, limit, &error)),
        // The characters of Latin-1 are the first 256 of Unicode.
        Err(error) => error.as_bytes().iter().copied().map(char::from).collect(),
    };
    Ok(text.strip_prefix(BYTE_ORDER_MARK).map(str::to_owned).unwrap_or(text))
}

fn not_text(path: &Path, limit: Limit, error: &FromUtf8Error) -> Error {
    let at = error.utf8_error().valid_up_to();
    Error::Usage(format!("{}: not a text file (byte {at} is not UTF-8); {}", shown::path(path), limit.why))
}

/// Parses JSON. `name` is the file's name in messages, and `what` says what it should be, such as `a wakerace record`.
///
/// # Errors
/// If the text is cut short, is not JSON, or is something else. The message has line and column.
pub fn parse_json<T: DeserializeOwned>(name: &str, text: &str, what: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        // A value of another type may count as an error of syntax.
        let is_json = || serde_json::from_str::<IgnoredAny>(text).is_ok();
        let what = match error.classify() {
            Category::Eof => "the file is cut short".to_owned(),
            Category::Syntax if !is_json() => "not JSON".to_owned(),
            _ => format!("not {what}"),
        };
        Error::Usage(format!("{name}:{line}:{column}: {what}: {}", in_terms_of_json(&error)))
    })
}

/// What an error says, without its place, and with the words of JSON in place of those of Rust.
fn in_terms_of_json(error: &serde_json::Error) -> String {
    let whole = error.to_string();
    let said = whole.strip_suffix(&format!(" at line {} column {}", error.line(), error.column())).unwrap_or(&whole);
    let (found, expected) = said.rsplit_once("expected ").unwrap_or((said, ""));
    let mut found = found.to_owned();
    for (theirs, ours) in OF_JSON {
        if let Some(rest) = found.strip_prefix(theirs) {
            found = format!("{ours}{rest}");
        }
    }
    let expected = match expected {
        "" => return found,
        "u8" | "u32" | "u64" | "usize" | "i64" => "a whole number",
        "f64" => "a number",
        "a sequence" => "an array",
        "a map" => "an object",
        "value" | "ident" => "a value",
        other => match other.strip_prefix("struct ") {
            Some(_) => "an object",
            None => other,
        },
    };
    format!("{found}expected {expected}")
}

/// How messages of serde begin, and how they begin here.
const OF_JSON: [(&str, &str); 4] = [
    ("invalid type: map", "invalid type: object"),
    ("invalid type: sequence", "invalid type: array"),
    ("unknown variant", "unknown value"),
    ("EOF while parsing", "it ends within"),
];

/// The size of most of the files that are read in large numbers, with room for the end to be seen.
const USUAL_BYTES: usize = 4096;

fn read_bytes(path: &Path, limit: Limit) -> Result<Vec<u8>> {
    let shown = || shown::path(path);
    apart::read(path)?;
    let file = File::open(path).map_err(|error| Error::io(format!("opening {}", shown()))(error))?;
    // Reading one byte more than allowed distinguishes a file that is too large from one that just fits.
    let most = u64::try_from(limit.bytes).unwrap_or(u64::MAX).saturating_add(1);
    let bytes = read_all(file.take(most)).map_err(|error| Error::io(format!("reading {}", shown()))(error))?;
    if bytes.len() > limit.bytes {
        return Err(Error::Usage(format!("{}: larger than {} bytes; {}", shown(), limit.bytes, limit.why)));
    }
    Ok(bytes)
}

/// Reads all. The first read takes a litmus test whole, so the result has no room to spare; the size that a device reports says
/// nothing.
fn read_all(mut file: impl Read) -> io::Result<Vec<u8>> {
    let mut start = [0; USUAL_BYTES];
    let first = match file.read(&mut start) {
        Err(error) if error.kind() == ErrorKind::Interrupted => 0,
        other => other?,
    };
    let mut bytes = start[..first].to_vec();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Finds all files below a folder that have an extension, sorted by name within each folder.
///
/// Each real folder is searched once, under the first name that leads to it, because symbolic links may form
/// cycles. Pipes and devices are skipped, because reading them could block.
///
/// # Errors
/// If a folder cannot be read.
pub fn find_files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    search(folder, extension, &mut HashSet::new(), &mut found)?;
    Ok(found)
}

fn search(folder: &Path, extension: &str, seen: &mut HashSet<(u64, u64)>, found: &mut Vec<PathBuf>) -> Result<()> {
    let failed = || |error| Error::io(format!("reading the folder {}", shown::path(folder)))(error);
    let about = fs::metadata(folder).map_err(failed())?;
    if !seen.insert((about.dev(), about.ino())) {
        return Ok(());
    }
    let mut entries: Vec<(OsString, io::Result<FileType>)> = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed())? {
        let entry = entry.map_err(failed())?;
        entries.push((entry.file_name(), entry.file_type()));
    }
    entries.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    for (name, kind) in entries {
        let path = folder.join(name);
        // The folder tells what a file is, but not where a link leads.
        let kind = match kind {
            Ok(kind) if kind.is_file() || kind.is_dir() => Ok(kind),
            _ => fs::metadata(&path).map(|about| about.file_type()),
        };
        let has = path.extension().is_some_and(|known| known == extension);
        match kind {
            Ok(kind) if kind.is_dir() => search(&path, extension, seen, found)?,
            Ok(kind) if !kind.is_file() => {}
            // A broken link is included, so that opening it gives an error message with its name.
            _ if has => found.push(path),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Limit = Limit { bytes: 10, why: "ten bytes are enough" };

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "0123456789").unwrap();
        assert_eq!(read_text(&path, SMALL).unwrap(), "0123456789");
        std::fs::write(&path, "0123456789a").unwrap();
        let error = read_text(&path, SMALL).unwrap_err().to_string();
        assert!(error.contains("file: larger than 10 bytes; ten bytes are enough"), "{error}");
        std::fs::write(&path, b"abc\xff").unwrap();
        assert!(read_text(&path, SMALL).unwrap_err().to_string().contains("byte 3 is not UTF-8"));
        assert!(read_text(folder.path(), SMALL).is_err());
    }

    #[test]
    fn a_device_without_an_end_has_one_here() {
        let error = read_text(Path::new("/dev/zero"), SMALL).unwrap_err().to_string();
        assert!(error.contains("/dev/zero: larger than 10 bytes"), "{error}");
    }
    #[test]
    fn links_that_lead_back_end() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("a/b")).unwrap();
        for name in ["one", "two"] {
            symlink(".", root.join(name)).unwrap();
            symlink("../..", root.join("a/b").join(name)).unwrap();
        }
        for name in ["z.json", "a/x.json", "a/b/y.json", "a/b/other"] {
            fs::write(root.join(name), "").unwrap();
        }
        symlink("nowhere", root.join("gone.json")).unwrap();
        let pipe = std::ffi::CString::new(root.join("pipe.json").into_os_string().into_encoded_bytes()).unwrap();
        // SAFETY: the path is a C string that lives for the call.
        assert_eq!(unsafe { libc::mkfifo(pipe.as_ptr(), 0o600) }, 0);
        let found = find_files(root, "json").unwrap();
        let names: Vec<_> = found.iter().map(|path| path.strip_prefix(root).unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["a/b/y.json", "a/x.json", "gone.json", "z.json"]);
        assert!(find_files(&root.join("none"), "json").is_err());
    }
}
