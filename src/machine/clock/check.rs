//! Whether the counter is fit to pace instances: what the hardware states, whether the kernel trusts it, and what was
//! measured.
//!
//! What each architecture guarantees of its counter, with the source, is in `src/isa/ARCH/facts/mod.rs`. Under a hypervisor
//! the measurement decides (docs/decisions/0013-clock.md).

use serde::{Deserialize, Serialize};

use super::Clock;
use super::calibrate::{AGREE, Calibration};
use crate::arch::{Arch, native};
use crate::machine::cpuinfo::cpuinfo;
use crate::machine::tree::Tree;

/// What is known about the pacing clock besides its frequency.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ClockCheck {
    /// Relative difference between the frequencies of the last two calibration passes. Calibration ends when it
    /// is 0.001 or less, or after 0.3 s.
    #[serde(alias = "looks_differ")]
    pub passes_differ: f64,
    /// Duration of the calibration, in seconds.
    pub calibration_s: f64,
    /// Whether the hardware states a constant rate: CPUID's invariant TSC. Absent if there is no such statement
    /// to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invariant: Option<bool>,
    /// The frequency that the hardware or firmware states, in Hz: CNTFRQ_EL0 on arm64, the device tree's value
    /// on POWER.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stated_hz: Option<f64>,
    /// The kernel's current clocksource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clocksource: Option<String>,
    /// All clocksources that the kernel offers. A counter that the kernel found unstable is not in this list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clocksources: Vec<String>,
    /// Peculiarities of the clock that do not make it unfit, one sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Why instances are not paced by this clock; absent if they may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfit: Option<String>,
}

/// Relative difference between stated and measured frequency above which a note is made. Crystals are accurate to
/// about 0.01 %; emulators are not.
const STATED: f64 = 0.01;

impl ClockCheck {
    /// What is invalid in this check as a record states it; empty if it is valid.
    pub fn problems(&self) -> Vec<String> {
        let mut out = Vec::new();
        if !(self.passes_differ.is_finite() && self.passes_differ >= 0.0) {
            out.push(format!("two calibration passes differ by {}", self.passes_differ));
        }
        if !(self.calibration_s.is_finite() && self.calibration_s >= 0.0) {
            out.push(format!("calibration took {} s", self.calibration_s));
        }
        if self.passes_differ > AGREE && self.unfit.is_none() {
            out.push(format!(
                "two calibration passes differ by {}, but the clock is not marked unfit",
                self.passes_differ
            ));
        }
        out
    }

    /// Checks the clock of the host. `info` is /proc/cpuinfo.
    pub fn new(tree: &Tree, info: &str, calibration: Calibration, virtualised: bool) -> ClockCheck {
        let stated = native::stated_hz().or_else(|| cpuinfo(info, "timebase")?.parse().ok());
        let own = Arch::host().map_or("none", |arch| arch.facts().counter.clocksource);
        ClockCheck::judge(tree, own, calibration, virtualised, native::counter_is_invariant(), stated)
    }

    /// Does what [`ClockCheck::new`] does, with everything that only the host itself can say passed in.
    fn judge(
        tree: &Tree,
        own: &str,
        calibration: Calibration,
        virtualised: bool,
        invariant: Option<bool>,
        stated_hz: Option<f64>,
    ) -> ClockCheck {
        const FOLDER: &str = "sys/devices/system/clocksource/clocksource0";
        let clocksource = tree.read(&format!("{FOLDER}/current_clocksource"));
        let available = tree.read(&format!("{FOLDER}/available_clocksource")).unwrap_or_default();
        let clocksources: Vec<String> = available.split_whitespace().map(str::to_owned).collect();
        let name = Clock::NAME;
        let used = clocksource.as_deref() == Some(own);
        let distrusted = !clocksources.is_empty() && !clocksources.iter().any(|source| source == own);
        let kernels = clocksource.as_deref().unwrap_or("unknown");
        let (mut notes, mut unfit) = (Vec::new(), Vec::new());
        if calibration.passes_differ > AGREE {
            unfit.push(format!(
                "its rate changes: two successive calibration passes still differ by {:.2} % after {:.1} s; at most {:.1} % is allowed",
                100.0 * calibration.passes_differ,
                calibration.took.as_secs_f64(),
                100.0 * AGREE,
            ));
        }
        let mut doubt = |what: String| if virtualised { notes.push(what) } else { unfit.push(what) };
        if distrusted {
            doubt(format!(
                "the kernel does not trust it: the current clocksource is {kernels}, and {own} is not among the available ones ({}); see the \
                 kernel's log for the reason",
                clocksources.join(", ")
            ));
        } else if invariant == Some(false) && clocksource.is_some() && !used {
            doubt(format!(
                "CPUID does not state that its rate is constant, and the kernel's clocksource is {kernels} instead"
            ));
        } else if invariant == Some(false) {
            let because = if used { "the kernel uses it" } else { "calibration found its rate constant" };
            notes.push(format!("CPUID does not state that the rate of the {name} is constant; {because}"));
        }
        if let Some(stated) = stated_hz.filter(|hz| (hz / calibration.clock.frequency_hz - 1.0).abs() > STATED) {
            notes.push(format!(
                "the {name} is stated to run at {:.2} MHz but was measured at {:.2} MHz; wakerace uses the measured rate",
                stated / 1e6,
                calibration.clock.frequency_hz / 1e6
            ));
        }
        ClockCheck {
            passes_differ: calibration.passes_differ,
            calibration_s: calibration.took.as_secs_f64(),
            invariant,
            stated_hz,
            clocksource,
            clocksources,
            notes,
            unfit: (!unfit.is_empty()).then(|| unfit.join("; ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::machine::tree::made_up::MadeUp;

    const STEADY: Calibration = Calibration {
        clock: Clock { frequency_hz: 2.5e9, resolution_ticks: 1, read_ticks: 20 },
        passes_differ: 1e-5,
        took: Duration::from_millis(20),
    };

    fn kernel(current: &str, available: &str) -> MadeUp {
        let made_up = MadeUp::new();
        made_up
            .write("sys/devices/system/clocksource/clocksource0/current_clocksource", current)
            .write("sys/devices/system/clocksource/clocksource0/available_clocksource", available);
        made_up
    }

    fn judge(made_up: &MadeUp, virtualised: bool, invariant: Option<bool>) -> ClockCheck {
        ClockCheck::judge(&made_up.tree(), "tsc", STEADY, virtualised, invariant, None)
    }

    #[test]
    fn a_counter_that_the_kernel_uses_is_fit() {
        let check = judge(&kernel("tsc", "tsc hpet acpi_pm"), false, Some(true));
        assert_eq!((check.unfit, check.notes), (None, Vec::new()));
        assert_eq!(check.clocksource.as_deref(), Some("tsc"));
        assert_eq!(check.clocksources, ["tsc", "hpet", "acpi_pm"]);
        assert_eq!(check.invariant, Some(true));
        assert_eq!((check.passes_differ, check.calibration_s), (1e-5, 0.02));
        // A person chose another clocksource; the counter itself is still fit.
        assert_eq!(judge(&kernel("hpet", "tsc hpet acpi_pm"), false, Some(true)).unfit, None);
        // An old CPU whose counter the kernel has watched and kept.
        let check = judge(&kernel("tsc", "tsc hpet"), false, Some(false));
        assert!(check.unfit.is_none() && check.notes[0].contains("does not state"), "{check:?}");
        // Nothing can be read, so the measurement decides.
        let check = judge(&MadeUp::new(), false, None);
        assert!(check.unfit.is_none() && check.notes.is_empty() && check.clocksources.is_empty(), "{check:?}");
        let check = judge(&MadeUp::new(), false, Some(false));
        assert!(check.unfit.is_none() && check.notes[0].contains("found its rate constant"), "{check:?}");
    }

    #[test]
    fn a_counter_that_the_kernel_gave_up_is_unfit_on_hardware() {
        let check = judge(&kernel("hpet", "hpet acpi_pm"), false, Some(true));
        let unfit = check.unfit.unwrap();
        assert!(
            unfit.contains("does not trust it: the current clocksource is hpet") && unfit.contains("hpet, acpi_pm"),
            "{unfit}"
        );
        let unfit = judge(&kernel("hpet", "tsc hpet"), false, Some(false)).unfit.unwrap();
        assert!(unfit.contains("CPUID does not state") && unfit.contains("is hpet instead"), "{unfit}");
    }

    #[test]
    fn under_a_hypervisor_statements_are_notes() {
        for (current, available, invariant) in
            [("kvm-clock", "kvm-clock acpi_pm", false), ("kvm-clock", "kvm-clock tsc acpi_pm", false)]
        {
            let check = judge(&kernel(current, available), true, Some(invariant));
            assert!(check.unfit.is_none() && check.notes.len() == 1, "{check:?}");
            assert!(check.notes[0].contains("kvm-clock"), "{check:?}");
        }
        let check = judge(&kernel("kvm-clock", "kvm-clock tsc"), true, Some(true));
        assert_eq!((check.unfit, check.notes), (None, Vec::new()));
    }

    #[test]
    fn a_rate_that_changes_is_unfit_everywhere() {
        let wild = Calibration { passes_differ: 0.013, took: Duration::from_millis(310), ..STEADY };
        for virtualised in [false, true] {
            let tree = kernel("tsc", "tsc").tree();
            let unfit = ClockCheck::judge(&tree, "tsc", wild, virtualised, Some(true), None).unfit.unwrap();
            assert!(unfit.contains("still differ by 1.30 % after 0.3 s; at most 0.1 % is allowed"), "{unfit}");
        }
        let limit = Calibration { passes_differ: AGREE, ..STEADY };
        assert_eq!(ClockCheck::judge(&kernel("tsc", "tsc").tree(), "tsc", limit, false, None, None).unfit, None);
    }

    #[test]
    fn a_stated_rate_that_is_not_kept_is_a_note() {
        let tree = kernel("arch_sys_counter", "arch_sys_counter").tree();
        let check = |stated| ClockCheck::judge(&tree, "arch_sys_counter", STEADY, false, None, Some(stated));
        assert_eq!(check(2.501e9).notes, Vec::<String>::new());
        assert_eq!(check(2.501e9).stated_hz, Some(2.501e9));
        let notes = check(1e9).notes;
        assert!(notes[0].contains("1000.00 MHz but was measured at 2500.00 MHz"), "{notes:?}");
        assert_eq!(check(1e9).unfit, None);
    }

    #[test]
    fn a_check_that_cannot_be_is_named() {
        let check = judge(&kernel("tsc", "tsc"), false, Some(true));
        assert_eq!(check.problems(), Vec::<String>::new());
        for (wrong, words) in [
            (ClockCheck { passes_differ: -1.0, ..check.clone() }, "differ by -1"),
            (ClockCheck { calibration_s: f64::NAN, ..check.clone() }, "took NaN s"),
            (ClockCheck { passes_differ: 0.01, ..check.clone() }, "is not marked unfit"),
        ] {
            let problems = wrong.problems();
            assert!(problems.len() == 1 && problems[0].contains(words), "{problems:?}");
        }
        let unfit = ClockCheck { passes_differ: 0.01, unfit: Some("its rate changes".to_owned()), ..check };
        assert_eq!(unfit.problems(), Vec::<String>::new());
    }
}
