//! Descriptions of other machines, made from copies of their /sys and /proc.

use std::time::Duration;

use super::*;
use crate::machine::tree::made_up::MadeUp;

const CALIBRATION: Calibration = Calibration {
    clock: Clock { frequency_hz: 1e9, resolution_ticks: 2, read_ticks: 20 },
    passes_differ: 1e-6,
    took: Duration::from_millis(20),
};

fn described(made_up: &MadeUp, own: Own, allowed: &[usize]) -> Host {
    let tree = made_up.tree();
    describe_tree(&tree, own, &Topology::read_from(&tree, allowed), allowed, CALIBRATION)
}

fn on(arch: Arch) -> Own {
    Own { cpu: OwnCpu { arch: Some(arch), ..OwnCpu::default() }, granule: 0 }
}

/// Describes the online CPUs, with `threads` threads per core and `cores` cores per socket.
fn cpus(made_up: &MadeUp, online: &[usize], threads: usize, cores: usize) {
    made_up.online(&format_cpu_list(online));
    for &cpu in online {
        let block = |size: usize| {
            let all: Vec<usize> = online.iter().copied().filter(|other| other / size == cpu / size).collect();
            format_cpu_list(&all)
        };
        made_up
            .topology(cpu, "core_cpus_list", &block(threads))
            .topology(cpu, "package_cpus_list", &block(threads * cores))
            .node(cpu, cpu / (threads * cores));
    }
}

#[test]
fn a_xeon_is_described() {
    let made_up = MadeUp::new();
    cpus(&made_up, &(0..8).collect::<Vec<_>>(), 2, 2);
    made_up
        .write("proc/cpuinfo", "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 143\nmodel name\t: Intel(R) Xeon(R) Platinum 8488C\nstepping\t: 8\nmicrocode\t: 0x2b000603\n\nprocessor\t: 1\nmodel name\t: Intel(R) Xeon(R) Platinum 8488C")
        .write("proc/sys/kernel/ostype", "Linux")
        .write("proc/sys/kernel/osrelease", "6.8.0-45-generic")
        .write("proc/sys/kernel/version", "#45-Ubuntu SMP")
        .write("proc/sys/kernel/arch", "x86_64")
        .write("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance")
        .write("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never")
        .write("sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc")
        .cache(0, 0, 1, "Data", "48K", "0-1")
        .cache(0, 1, 1, "Instruction", "32K", "0-1")
        .cache(0, 2, 2, "Unified", "2048K", "0-1")
        .cache(0, 3, 3, "Unified", "107520K", "0-3");
    let host = described(&made_up, on(Arch::X86_64), &[1, 2, 3]);
    assert_eq!(host.architecture, "x86_64");
    assert_eq!(host.cpu_model, "Intel(R) Xeon(R) Platinum 8488C");
    assert_eq!(host.cpu_ids["cpu family"], "6");
    assert_eq!(host.cpu_ids["model"], "143");
    assert_eq!(host.cpu_ids["stepping"], "8");
    assert_eq!(host.core_types["Intel(R) Xeon(R) Platinum 8488C"], "0-7");
    assert_eq!(host.microcode.as_deref(), Some("0x2b000603"));
    let caches: Vec<_> =
        host.caches.iter().map(|c| (c.level, &c.kind[..], &c.size[..], c.line_bytes, c.shared_by)).collect();
    assert_eq!(
        caches,
        [
            (1, "Data", "48K", 64, 2),
            (1, "Instruction", "32K", 64, 2),
            (2, "Unified", "2048K", 64, 2),
            (3, "Unified", "107520K", 64, 4)
        ]
    );
    assert_eq!(host.false_sharing_bytes, 128);
    assert_eq!((&host.cpus_online[..], &host.cpus_allowed[..]), ("0-7", "1-3"));
    assert_eq!((host.threads_per_core, host.sockets, host.numa_nodes), (2, 2, 2));
    assert_eq!(host.kernel, "Linux 6.8.0-45-generic #45-Ubuntu SMP");
    assert_eq!(host.governor.as_deref(), Some("performance"));
    assert_eq!(host.transparent_hugepages.as_deref(), Some("madvise"));
    assert_eq!((host.virtualised, host.emulated), (None, false));
    assert_eq!(host.clock_measured, CALIBRATION.clock);
    assert_eq!(host.clock_check.unwrap().clocksource.as_deref(), Some("tsc"));
    assert_eq!(host.unread, Vec::<String>::new());
}

#[test]
fn what_cpu_0_does_not_say_the_first_online_one_does() {
    let made_up = MadeUp::new();
    cpus(&made_up, &[8, 9, 10, 11, 20], 4, 1);
    made_up
        .write("proc/cpuinfo", "processor\t: 8\ncpu\t\t: POWER9, altivec supported\nrevision\t: 2.2\n\nprocessor\t: 9\ncpu\t\t: POWER9, altivec supported\n\ntimebase\t: 512000000\nplatform\t: PowerNV\nmachine\t\t: PowerNV 8335-GTH")
        .write("sys/devices/system/cpu/cpu8/cpufreq/scaling_governor", "ondemand")
        .cache(8, 0, 1, "Data", "32K", "8-11")
        .write("sys/devices/system/cpu/cpu8/cache/index0/coherency_line_size", "128")
        // The second cache is described only in part; the third one follows it.
        .write("sys/devices/system/cpu/cpu8/cache/index1/level", "2")
        .cache(8, 2, 3, "Unified", "10240K", "8-11")
        .write("sys/devices/system/cpu/cpu8/cache/index2/coherency_line_size", "128");
    let host = described(&made_up, on(Arch::Powerpc64le), &[8]);
    assert_eq!(host.cpu_model, "POWER9, altivec supported");
    assert_eq!(host.cpu_ids["platform"], "PowerNV");
    assert_eq!(host.cpus_online, "8-11,20");
    assert_eq!((host.threads_per_core, host.sockets, host.numa_nodes), (4, 2, 2));
    assert_eq!(host.governor.as_deref(), Some("ondemand"));
    assert_eq!(
        host.caches.iter().map(|cache| (cache.level, cache.line_bytes)).collect::<Vec<_>>(),
        [(1, 128), (3, 128)]
    );
    assert_eq!(host.false_sharing_bytes, 128);
    // On arm64 the host's own register takes precedence.
    let stated = host.clock_check.unwrap().stated_hz;
    assert!(stated == Some(512e6) || cfg!(target_arch = "aarch64"), "{stated:?}");
}

#[test]
fn kinds_of_core_are_told_apart() {
    let made_up = MadeUp::new();
    cpus(&made_up, &[0, 1, 2, 3], 1, 4);
    for (cpu, midr) in
        [(0, "0x00000000412fd050"), (1, "0x00000000412fd050"), (2, "0x00000000412fd050"), (3, "0x00000000411fd410")]
    {
        made_up.write(&format!("sys/devices/system/cpu/cpu{cpu}/regs/identification/midr_el1"), midr);
    }
    made_up.write("proc/cpuinfo", "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd05");
    let host = described(&made_up, on(Arch::Aarch64), &[0]);
    assert_eq!(host.core_types["Cortex-A55"], "0-2");
    assert_eq!(host.core_types["Cortex-A78"], "3");
    assert_eq!(host.cpu_model, "Cortex-A55 + Cortex-A78");
    // A kernel that does not show the register states the numbers in each CPU's block of /proc/cpuinfo.
    let made_up = MadeUp::new();
    cpus(&made_up, &[0, 1], 1, 2);
    made_up.write("proc/cpuinfo", "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd03\n\nprocessor\t: 1\nCPU implementer\t: 0x41\nCPU part\t: 0xd08");
    let host = described(&made_up, on(Arch::Aarch64), &[0]);
    assert_eq!(host.core_types["Cortex-A53"], "0");
    assert_eq!(host.core_types["Cortex-A72"], "1");
}

#[test]
fn variables_are_as_far_apart_as_the_widest_line() {
    let lines = |bytes: &[usize], granule| {
        let cache =
            |line_bytes| Cache { level: 1, kind: "Data".to_owned(), size: String::new(), line_bytes, shared_by: 1 };
        false_sharing_bytes(&bytes.iter().map(|bytes| cache(*bytes)).collect::<Vec<_>>(), granule)
    };
    // 64-byte lines are fetched in pairs, A64FX has lines of 256 bytes, and CTR_EL0 may state more than /sys.
    assert_eq!(lines(&[64, 64], 0), 128);
    assert_eq!(lines(&[], 0), 128);
    assert_eq!(lines(&[64, 256], 64), 256);
    assert_eq!(lines(&[64], 512), 512);
    // A value that cannot be a line size is ignored.
    assert_eq!(lines(&[96, 4096], 0), 128);
}

#[test]
fn a_host_without_sys_and_proc_is_described_all_the_same() {
    let host = described(&MadeUp::new(), on(Arch::X86_64), &[0, 1]);
    assert_eq!((&host.cpus_online[..], host.threads_per_core, host.sockets, host.numa_nodes), ("0,1", 1, 1, 1));
    assert_eq!((host.caches.len(), host.false_sharing_bytes), (0, 128));
    assert_eq!(host.cpu_model, "unknown");
    assert!(host.unread[0].contains("cpu/online"), "{:?}", host.unread);
    let check = host.clock_check.unwrap();
    assert!(check.unfit.is_none() && check.clocksource.is_none(), "{check:?}");
}

/// A program under a user-mode emulator sees the clocksources of the machine below. They are none of the emulated
/// counter's, and that does not make it unfit.
#[test]
fn an_emulated_counter_is_not_judged_by_the_kernel_below() {
    for (kernel, emulated) in [("aarch64", false), ("x86_64", true)] {
        let made_up = MadeUp::new();
        cpus(&made_up, &[0, 1], 1, 2);
        made_up
            .write("proc/sys/kernel/arch", kernel)
            .write("sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet")
            .write("sys/devices/system/clocksource/clocksource0/available_clocksource", "hpet acpi_pm");
        let host = described(&made_up, on(Arch::Aarch64), &[0, 1]);
        let check = host.clock_check.unwrap();
        assert_eq!((host.emulated, check.unfit.is_none()), (emulated, emulated), "{check:?}");
        assert_eq!(check.notes.iter().any(|note| note.contains("the kernel does not trust it")), emulated, "{check:?}");
    }
}

#[test]
fn the_architecture_is_the_kernels_word_or_the_form_of_cpuinfo() {
    for (arch, kernel, info) in [
        (Arch::X86_64, "x86_64", "processor\t: 0\nvendor_id\t: AuthenticAMD"),
        (Arch::Aarch64, "aarch64", "processor\t: 0\nCPU implementer\t: 0x41"),
        (Arch::Powerpc64le, "ppc64le", "processor\t: 0\ncpu\t\t: POWER9\n\ntimebase\t: 512000000"),
        (Arch::Riscv64gc, "riscv64", "processor\t: 0\nhart\t\t: 0"),
    ] {
        let of = |path: &str, text: &str| {
            let made_up = MadeUp::new();
            made_up.write(path, text);
            arch_of(&made_up.tree())
        };
        assert_eq!((of("proc/sys/kernel/arch", kernel), of("proc/cpuinfo", info)), (Some(arch), Some(arch)));
        assert_eq!(of("proc/sys/kernel/arch", "s390x"), None);
    }
    assert_eq!(arch_of(&MadeUp::new().tree()), None);
}
