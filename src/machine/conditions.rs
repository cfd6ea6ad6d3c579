//! What changes on a machine while a test runs: frequency, temperature, throttling, and time that a hypervisor took.

use serde::{Deserialize, Serialize};

use super::cpuinfo::cpuinfo_all;
use super::cpulist::format_cpu_list;
use super::tree::Tree;

/// The conditions before and after a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Conditions {
    /// When the run began.
    pub before: Moment,
    /// When the record was written.
    pub after: Moment,
}

/// The conditions at one moment. A value is absent if the kernel does not say it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Moment {
    /// The mean frequency of up to 16 of the online CPUs, in MHz.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mhz: Option<f64>,
    /// The temperature of the hottest thermal zone of the CPUs, in degrees Celsius.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub celsius: Option<f64>,
    /// How often the CPUs were throttled because of heat since they were started: the sum of the counts of all CPUs. Only on
    /// x86-64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttled: Option<u64>,
    /// The time since the machine was started in which the hypervisor ran something else although a CPU had work, in
    /// seconds, summed over all CPUs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steal_s: Option<f64>,
}

/// The most CPUs whose frequency is read. Reading one may interrupt it.
const SAMPLE: usize = 16;
/// The unit of /proc/stat: USER_HZ is 100 on every architecture here (include/uapi/asm-generic/param.h).
const TICKS_PER_S: f64 = 100.0;

impl Moment {
    /// Reads the conditions of this host.
    pub fn now() -> Moment {
        Moment::read(&Tree::host())
    }

    fn read(tree: &Tree) -> Moment {
        let online = tree.cpus("sys/devices/system/cpu/online").unwrap_or_default();
        Moment {
            mhz: mhz(tree, &online),
            celsius: celsius(tree),
            throttled: throttled(tree, &online),
            steal_s: steal_s(tree),
        }
    }
}

impl Conditions {
    /// The conditions at the beginning of a run.
    pub fn begin() -> Conditions {
        let now = Moment::now();
        Conditions { before: now.clone(), after: now }
    }

    /// The share of the CPUs' time that the hypervisor took in a run of `elapsed_s` seconds on a host with `cpus` CPUs.
    pub fn stolen(&self, elapsed_s: f64, cpus: usize) -> Option<f64> {
        let taken = self.after.steal_s? - self.before.steal_s?;
        let all = elapsed_s * cpus as f64;
        (taken > 0.0 && all > 0.0).then(|| (taken / all).min(1.0))
    }

    /// How often the CPUs were throttled during the run.
    pub fn throttled(&self) -> u64 {
        let count = |moment: &Moment| moment.throttled.unwrap_or(0);
        count(&self.after).saturating_sub(count(&self.before))
    }
}

fn number(tree: &Tree, path: &str) -> Option<f64> {
    tree.read(path)?.parse::<f64>().ok().filter(|number| number.is_finite())
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The mean frequency in MHz: of cpufreq, or as /proc/cpuinfo prints it.
fn mhz(tree: &Tree, online: &[usize]) -> Option<f64> {
    let every = online.len().div_ceil(SAMPLE).max(1);
    let khz = |cpu: &usize| number(tree, &format!("sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_cur_freq"));
    let read: Vec<f64> = online.iter().step_by(every).filter_map(khz).map(|khz| khz / 1e3).collect();
    let printed = || {
        let info = tree.read("proc/cpuinfo")?;
        // POWER prints "2000.000000MHz".
        let mhz = |text: &str| text.trim_end_matches("MHz").parse().ok();
        let all: Vec<f64> =
            ["cpu MHz", "clock"].iter().flat_map(|key| cpuinfo_all(&info, key)).filter_map(mhz).collect();
        mean(&all)
    };
    mean(&read).or_else(printed)
}

/// The temperature of the hottest thermal zone whose name is that of the CPUs or of the whole chip.
fn celsius(tree: &Tree) -> Option<f64> {
    const ZONES: &str = "sys/class/thermal";
    let of_cpus = |zone: &String| {
        let kind = tree.read(&format!("{ZONES}/{zone}/type")).unwrap_or_default().to_ascii_lowercase();
        ["cpu", "pkg", "soc", "core", "cluster"].iter().any(|word| kind.contains(word))
    };
    let zones = tree.names(ZONES).into_iter().filter(|name| name.starts_with("thermal_zone")).filter(of_cpus);
    zones.filter_map(|zone| number(tree, &format!("{ZONES}/{zone}/temp"))).map(|milli| milli / 1e3).reduce(f64::max)
}

fn throttled(tree: &Tree, online: &[usize]) -> Option<u64> {
    let count = |cpu: &usize, of: &str| -> Option<u64> {
        tree.read(&format!("sys/devices/system/cpu/cpu{cpu}/thermal_throttle/{of}_throttle_count"))?.parse().ok()
    };
    let counts = online.iter().flat_map(|cpu| ["core", "package"].map(|of| count(cpu, of))).flatten();
    counts.reduce(u64::saturating_add)
}

/// The eighth number of the line `cpu` in /proc/stat.
fn steal_s(tree: &Tree) -> Option<f64> {
    let stat = tree.read("proc/stat")?;
    let ticks = stat.lines().find_map(|line| line.strip_prefix("cpu "))?.split_whitespace().nth(7)?;
    ticks.parse::<f64>().ok().map(|ticks| ticks / TICKS_PER_S)
}

/// The range of frequencies of some CPUs, and what chooses among them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Frequency {
    /// The CPUs, in the kernel's list format.
    pub cpus: String,
    /// The driver of cpufreq.
    pub driver: String,
    /// The governor.
    pub governor: String,
    /// The lowest frequency of the hardware, in kHz; 0 if it is not said.
    pub min_khz: u64,
    /// The highest frequency of the hardware, in kHz; 0 if it is not said.
    pub max_khz: u64,
}

/// The frequencies of the online CPUs; CPUs with the same ones are together. Empty without cpufreq.
pub fn frequencies(tree: &Tree, online: &[usize]) -> Vec<Frequency> {
    let mut known: Vec<(Frequency, Vec<usize>)> = Vec::new();
    for &cpu in online {
        let field = |name: &str| tree.read(&format!("sys/devices/system/cpu/cpu{cpu}/cpufreq/{name}"));
        let khz = |name: &str| field(name).and_then(|text| text.parse().ok()).unwrap_or(0);
        let Some(driver) = field("scaling_driver") else { continue };
        let of_cpu = Frequency {
            cpus: String::new(),
            driver,
            governor: field("scaling_governor").unwrap_or_default(),
            min_khz: khz("cpuinfo_min_freq"),
            max_khz: khz("cpuinfo_max_freq"),
        };
        match known.iter_mut().find(|(known, _)| *known == of_cpu) {
            Some((_, cpus)) => cpus.push(cpu),
            None => known.push((of_cpu, vec![cpu])),
        }
    }
    known.into_iter().map(|(frequency, cpus)| Frequency { cpus: format_cpu_list(&cpus), ..frequency }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::tree::made_up::MadeUp;

    #[test]
    fn a_moment_has_what_the_kernel_says() {
        let made_up = MadeUp::new();
        made_up.online("0-1");
        assert_eq!(Moment::read(&made_up.tree()), Moment::default());
        made_up
            .write("proc/stat", "cpu  10 20 30 40 50 60 70 1234 0 0\ncpu0 1 2 3 4 5 6 7 8 9 10")
            .write("proc/cpuinfo", "processor\t: 0\ncpu MHz\t\t: 2000.5\n\nprocessor\t: 1\ncpu MHz\t\t: 3000.5\n")
            .write("sys/class/thermal/thermal_zone0/type", "x86_pkg_temp")
            .write("sys/class/thermal/thermal_zone0/temp", "61500")
            .write("sys/class/thermal/thermal_zone1/type", "cpu-thermal")
            .write("sys/class/thermal/thermal_zone1/temp", "48000")
            .write("sys/class/thermal/thermal_zone2/type", "battery")
            .write("sys/class/thermal/thermal_zone2/temp", "99000");
        for (cpu, count) in [(0, "3"), (1, "4")] {
            let at = format!("sys/devices/system/cpu/cpu{cpu}/thermal_throttle");
            made_up
                .write(&format!("{at}/core_throttle_count"), count)
                .write(&format!("{at}/package_throttle_count"), "10");
        }
        let wanted = Moment { mhz: Some(2500.5), celsius: Some(61.5), throttled: Some(27), steal_s: Some(12.34) };
        assert_eq!(Moment::read(&made_up.tree()), wanted);
        // What cpufreq says counts for more than /proc/cpuinfo.
        made_up.write("sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq", "1800000");
        assert_eq!(Moment::read(&made_up.tree()).mhz, Some(1800.0));
        let power = MadeUp::new();
        power.write("proc/cpuinfo", "processor\t: 0\ncpu\t\t: POWER9\nclock\t\t: 3800.000000MHz\n");
        assert_eq!(Moment::read(&power.tree()).mhz, Some(3800.0));
    }

    #[test]
    fn what_the_hypervisor_took_is_a_share_of_all_cpus() {
        let moment = |steal_s, throttled| Moment { steal_s, throttled, ..Moment::default() };
        let of = |before, after| Conditions { before, after };
        let taken = of(moment(Some(10.0), Some(5)), moment(Some(13.0), Some(9)));
        assert_eq!(taken.stolen(30.0, 2), Some(0.05));
        assert_eq!(taken.throttled(), 4);
        assert_eq!(of(moment(None, None), moment(Some(13.0), None)).stolen(30.0, 2), None);
        let nothing = of(moment(Some(13.0), Some(9)), moment(Some(13.0), Some(2)));
        assert_eq!((nothing.stolen(30.0, 2), nothing.throttled()), (None, 0));
    }

    #[test]
    fn cpus_with_the_same_frequencies_are_together() {
        let made_up = MadeUp::new();
        for (cpu, max) in [(0, "1800000"), (1, "1800000"), (2, "2400000"), (3, "1800000")] {
            let at = format!("sys/devices/system/cpu/cpu{cpu}/cpufreq");
            made_up.write(&format!("{at}/scaling_driver"), "cpufreq-dt").write(&format!("{at}/cpuinfo_max_freq"), max);
            made_up
                .write(&format!("{at}/scaling_governor"), "ondemand")
                .write(&format!("{at}/cpuinfo_min_freq"), "408000");
        }
        let found = frequencies(&made_up.tree(), &[0, 1, 2, 3, 4]);
        let shown: Vec<(&str, u64)> = found.iter().map(|known| (known.cpus.as_str(), known.max_khz)).collect();
        assert_eq!(shown, [("0,1,3", 1_800_000), ("2", 2_400_000)]);
        assert_eq!(
            (found[0].driver.as_str(), found[0].governor.as_str(), found[0].min_khz),
            ("cpufreq-dt", "ondemand", 408_000)
        );
    }
}
