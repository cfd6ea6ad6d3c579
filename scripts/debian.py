"""What the scripts in this folder need of Debian: packages, and the root file system of scripts/rootfs."""

import re
import subprocess
from pathlib import Path

TREE = Path(__file__).resolve().parent.parent
SUITE = "forky"
ARCHITECTURES = ["amd64", "arm64", "ppc64el", "riscv64"]


class Unreadable(Exception):
    """A package or a command does not give what the script expects."""


class NoDownload(Exception):
    """Something could not be downloaded."""


def root_file_system():
    """The root file system of scripts/rootfs, which is built if it does not exist."""
    result = subprocess.run([TREE / "scripts/rootfs"], stdout=subprocess.PIPE, text=True)
    if result.returncode:
        raise NoDownload("the root file system cannot be built")
    return Path(result.stdout.strip())


def in_rootfs(*command):
    """Runs a command in the root file system. The tree is /srv there, and the cache's build folder is /mnt."""
    result = subprocess.run([TREE / "scripts/in-rootfs", *command], stdout=subprocess.PIPE, text=True)
    if result.returncode == 3:
        raise NoDownload("the root file system cannot be built")
    if result.returncode:
        raise Unreadable(f"{command[0]} failed with status {result.returncode}")
    return result.stdout


class Apt:
    """The host's apt with lists and a status of its own below a folder, as mmdebstrap does it. Nothing of the host is changed."""

    def __init__(self, work, root):
        for folder in ["lists/partial", "archives/partial", "state"]:
            (work / folder).mkdir(parents=True)
        (work / "status").touch()
        keyring = root / "usr/share/keyrings/debian-archive-keyring.gpg"
        # The mirror is the one from which the root file system was built.
        mirrors = re.findall(rf"^deb (?:\[[^]]*\] )?(\S+) {SUITE} ", (root / "etc/apt/sources.list").read_text(), re.M)
        if not mirrors:
            raise Unreadable(f"{root}/etc/apt/sources.list has no line for {SUITE}")
        (work / "sources.list").write_text(f"deb [signed-by={keyring}] {mirrors[0]} {SUITE} main\n")
        options = {
            "Dir::Etc::sourcelist": work / "sources.list", "Dir::Etc::sourceparts": "/dev/null", "Dir::State": work / "state",
            "Dir::State::lists": work / "lists", "Dir::State::status": work / "status", "Dir::Cache": work,
            "APT::Sandbox::User": "root", "APT::Architecture": "amd64", "Acquire::Languages": "none",
            # The Release file of a frozen mirror may have expired; scripts/rootfs accepts it too.
            "Acquire::Check-Valid-Until": "false", "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
        }
        pairs = [f"{key}={value}" for key, value in options.items()]
        pairs += [f"APT::Architectures::={architecture}" for architecture in ARCHITECTURES]
        self.work, self.options = work, [word for pair in pairs for word in ("-o", pair)]
        self("apt-get", "update")

    def __call__(self, tool, *words):
        """Runs apt-get or apt-cache in the folder, and returns its output."""
        try:
            return subprocess.run([tool, *self.options, *words], cwd=self.work, check=True, text=True, stdout=subprocess.PIPE).stdout
        except (subprocess.CalledProcessError, FileNotFoundError) as error:
            raise NoDownload(f"packages of Debian {SUITE} cannot be downloaded; perhaps a mirror is down ({error})") from error

    def release(self, kind, flavour, architecture):
        """The kernel release that linux-KIND-FLAVOUR stands for, such as 7.2.12+deb14. It depends on the package of the newest release."""
        depends = self("apt-cache", "depends", f"linux-{kind}-{flavour}:{architecture}")
        found = re.search(rf"Depends: linux-{kind}-(\S+)-{flavour}(:\S+)?$", depends, re.M)
        if not found:
            raise NoDownload(f"Debian {SUITE} has no linux-{kind}-{flavour}")
        return found[1]
