//! The files in which the kernel describes the machine: /sys and /proc, or a copy of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::capture::Capture;
use super::cpulist::parse_cpu_list;

/// A root folder that contains `sys` and `proc`, or a capture of one.
#[derive(Debug, Clone)]
pub struct Tree(Source);

#[derive(Debug, Clone)]
enum Source {
    Folder(PathBuf),
    Files(BTreeMap<String, String>),
}

impl Tree {
    /// The tree of this host.
    pub fn host() -> Tree {
        Tree::at(Path::new("/"))
    }

    /// The tree below `root`, such as a copy that a test makes.
    pub fn at(root: &Path) -> Tree {
        Tree(Source::Folder(root.to_owned()))
    }

    /// The files of a capture.
    pub fn captured(capture: Capture) -> Tree {
        Tree(Source::Files(capture.files))
    }

    /// The trimmed text of a file such as `sys/devices/system/cpu/online`; `None` if it cannot be read or is empty.
    pub fn read(&self, path: &str) -> Option<String> {
        let text = match &self.0 {
            Source::Folder(root) => fs::read_to_string(root.join(path)).ok()?,
            Source::Files(files) => files.get(path)?.clone(),
        };
        // Device-tree strings end with a NUL.
        let text = text.trim_matches(|letter: char| letter.is_whitespace() || letter == '\0');
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// The CPUs in a file that lists them; `None` if it cannot be read or has no list.
    pub fn cpus(&self, path: &str) -> Option<Vec<usize>> {
        parse_cpu_list(&self.read(path)?).ok()
    }

    /// The reason why a file cannot be read; `None` if it can be read.
    pub fn unreadable(&self, path: &str) -> Option<String> {
        match &self.0 {
            Source::Folder(root) => fs::read_to_string(root.join(path)).err().map(|error| error.to_string()),
            Source::Files(files) => (!files.contains_key(path)).then(|| "it is not in the capture".to_owned()),
        }
    }

    /// The names in a folder, sorted; empty if the folder cannot be read.
    pub fn names(&self, path: &str) -> Vec<String> {
        let names: BTreeSet<String> = match &self.0 {
            Source::Folder(root) => {
                let entries = fs::read_dir(root.join(path)).into_iter().flatten().flatten();
                entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
            }
            Source::Files(files) => {
                let below = format!("{path}/");
                let paths = files.range(below.clone()..).map_while(|(path, _)| path.strip_prefix(&below));
                paths.filter_map(|rest| rest.split('/').next()).map(str::to_owned).collect()
            }
        };
        names.into_iter().collect()
    }
}

#[cfg(test)]
pub(super) mod made_up {
    //! Makes trees as the kernel shows them on other machines.

    use super::Tree;
    use std::fs;

    /// A tree in a temporary folder, which is removed when this value is dropped.
    pub struct MadeUp(tempfile::TempDir);

    impl MadeUp {
        pub fn new() -> MadeUp {
            MadeUp(tempfile::tempdir().unwrap())
        }

        pub fn tree(&self) -> Tree {
            Tree::at(self.0.path())
        }

        /// Writes a file with a line feed at its end, as the kernel does.
        pub fn write(&self, path: &str, text: &str) -> &MadeUp {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{text}\n")).unwrap();
            self
        }

        pub fn online(&self, list: &str) -> &MadeUp {
            self.write("sys/devices/system/cpu/online", list)
        }

        /// Writes a file of `cpuN/topology`.
        pub fn topology(&self, cpu: usize, name: &str, list: &str) -> &MadeUp {
            self.write(&format!("sys/devices/system/cpu/cpu{cpu}/topology/{name}"), list)
        }

        /// Writes the files of one cache of a CPU.
        pub fn cache(&self, cpu: usize, index: usize, level: u32, kind: &str, size: &str, shared: &str) -> &MadeUp {
            let at = format!("sys/devices/system/cpu/cpu{cpu}/cache/index{index}");
            self.write(&format!("{at}/level"), &level.to_string())
                .write(&format!("{at}/type"), kind)
                .write(&format!("{at}/size"), size)
                .write(&format!("{at}/coherency_line_size"), "64")
                .write(&format!("{at}/shared_cpu_list"), shared)
        }

        /// Writes the entry that assigns a CPU to its NUMA node. The kernel has a link there; a folder works as well.
        pub fn node(&self, cpu: usize, node: usize) -> &MadeUp {
            self.write(&format!("sys/devices/system/cpu/cpu{cpu}/node{node}/cpulist"), "")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::made_up::MadeUp;

    #[test]
    fn what_is_empty_or_absent_is_not_there() {
        let made_up = MadeUp::new();
        made_up.write("sys/a", " word ").write("sys/b", "").write("proc/c", "linux,kvm\0");
        let tree = made_up.tree();
        assert_eq!(tree.read("sys/a").as_deref(), Some("word"));
        assert_eq!((tree.read("sys/b"), tree.read("sys/none")), (None, None));
        assert_eq!(tree.names("sys"), ["a", "b"]);
        assert!(tree.unreadable("sys/a").is_none() && tree.unreadable("sys/none").unwrap().contains("No such file"));
    }
}
