//! What is below the kernel: a hypervisor, an emulator, or neither.

use super::cpuinfo::cpuinfo;
use super::tree::Tree;
use crate::arch::Arch;
use crate::arch::facts::QemuMachine;

/// What only the running CPU says.
#[derive(Debug, Clone, Default)]
pub(super) struct OwnCpu {
    /// The architecture.
    pub arch: Option<Arch>,
    /// The hypervisor that CPUID names.
    pub hypervisor: Option<String>,
    /// The counter's frequency as the hardware states it, in Hz.
    pub counter_hz: Option<f64>,
}

/// What is below the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Below {
    /// The name of the hypervisor, if there is one.
    pub hypervisor: Option<String>,
    /// Whether an emulator runs the instructions.
    pub emulated: bool,
}

impl Below {
    /// Finds out what is below the kernel. `info` is /proc/cpuinfo.
    pub fn of(tree: &Tree, own: &OwnCpu, info: &str) -> Below {
        let machine = own.arch.map_or(std::env::consts::ARCH, |arch| arch.facts().kernel_name);
        // If the kernel's architecture is not the one of this program, a user-mode emulator runs it. Kernels before
        // 6.1 do not have this file; at best their version line shows the architecture.
        let foreign_kernel = tree.read("proc/sys/kernel/arch").is_some_and(|kernel| kernel != machine);
        let Some(facts) = own.arch.map(Arch::facts).filter(|facts| !facts.has_cpuid) else {
            // QEMU's code generator (TCG) answers TCGTCGTCGTCG at leaf 0x40000000 (target/i386/cpu.c).
            let emulated = own.hypervisor.as_deref() == Some("QEMU") || foreign_kernel;
            return Below { hypervisor: own.hypervisor.clone(), emulated };
        };
        // Signs of an emulator: the cpuinfo of an x86 kernel under a program for another architecture, or a CPU
        // made by QEMU's code generator (its "max" models state implementer 0x00 on arm64).
        let emulated = foreign_kernel
            || info.contains("vendor_id")
            || info.contains("QEMU")
            || cpuinfo(info, "CPU implementer").as_deref() == Some("0x00")
            || qemu_made(tree) && (facts.translated_by_qemu)(&qemu_machine(tree, own, info));
        Below { hypervisor: name(tree), emulated }
    }
}

fn qemu_machine<'a>(tree: &Tree, own: &OwnCpu, info: &'a str) -> QemuMachine<'a> {
    let hypervisor_node = !tree.names("proc/device-tree/hypervisor").is_empty();
    QemuMachine { cpuinfo: info, counter_hz: own.counter_hz, hypervisor_node }
}

/// The hypervisor's name by the signs that systemd-detect-virt uses too (virt.c in systemd).
fn name(tree: &Tree) -> Option<String> {
    tree.read("sys/hypervisor/type")
        .or_else(|| tree.read("proc/device-tree/hypervisor/compatible"))
        .or_else(|| firmware_hypervisor(tree))
        .or_else(|| qemu_made(tree).then(|| "QEMU".to_owned()))
        .or_else(|| power_partition(tree).then(|| "PowerVM".to_owned()))
}

/// Whether QEMU made this machine, with or without KVM. The device trees of its arm64 and riscv64 machines have a node
/// fw-cfg@ADDRESS, those of its POWER machines are compatible with qemu,pseries or qemu,powernv.
fn qemu_made(tree: &Tree) -> bool {
    tree.names("proc/device-tree").iter().any(|node| node.starts_with("fw-cfg"))
        || tree
            .read("proc/device-tree/compatible")
            .is_some_and(|names| names.split('\0').any(|n| n.starts_with("qemu,")))
        || tree.read("sys/class/dmi/id/sys_vendor").as_deref() == Some("QEMU")
}

/// Whether this is a logical partition of IBM's POWER hypervisor.
fn power_partition(tree: &Tree) -> bool {
    ["ibm,partition-name", "hmc-managed?"]
        .iter()
        .all(|name| tree.names("proc/device-tree").iter().any(|node| node == name))
}

/// The name of the hypervisor according to the firmware's DMI tables. arm64 servers have these tables, and neither a device
/// tree nor CPUID.
fn firmware_hypervisor(tree: &Tree) -> Option<String> {
    /// The beginning of a DMI field, and the hypervisor that it means.
    const KNOWN: [(&str, &str); 11] = [
        ("KVM", "KVM"),
        ("OpenStack", "KVM"),
        ("KubeVirt", "KVM"),
        ("Amazon EC2", "Amazon EC2"),
        ("Google Compute Engine", "Google Compute Engine"),
        ("QEMU", "QEMU"),
        ("VMware", "VMware"),
        ("Xen", "Xen"),
        ("Hyper-V", "Hyper-V"),
        ("Parallels", "Parallels"),
        ("Apple Virtualization", "Apple"),
    ];
    let field = |name: &str| tree.read(&format!("sys/class/dmi/id/{name}"));
    // Amazon's bare-metal machines carry the name too.
    if field("product_name").is_some_and(|product| product.ends_with(".metal")) {
        return None;
    }
    let fields = ["product_name", "sys_vendor", "board_vendor", "bios_vendor", "product_version"];
    fields.into_iter().filter_map(field).find_map(|text| {
        KNOWN.into_iter().find(|(begins, _)| text.starts_with(begins)).map(|(_, name)| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::tree::made_up::MadeUp;

    fn own(arch: Arch) -> OwnCpu {
        OwnCpu { arch: Some(arch), ..OwnCpu::default() }
    }

    fn found(made_up: &MadeUp, own: OwnCpu, info: &str) -> (Option<String>, bool) {
        let below = Below::of(&made_up.tree(), &own, info);
        (below.hypervisor, below.emulated)
    }

    fn named(name: &str, emulated: bool) -> (Option<String>, bool) {
        (Some(name.to_owned()), emulated)
    }

    #[test]
    fn cpuid_names_the_hypervisor() {
        let found = |cpuid: Option<&str>, info| {
            let own = OwnCpu { hypervisor: cpuid.map(str::to_owned), ..own(Arch::X86_64) };
            found(&MadeUp::new(), own, info)
        };
        assert_eq!(found(None, "vendor_id : GenuineIntel"), (None, false));
        assert_eq!(found(Some("KVM"), ""), named("KVM", false));
        assert_eq!(found(Some("QEMU"), ""), named("QEMU", true));
    }

    #[test]
    fn hypervisors_are_known_by_what_they_leave_behind() {
        let arm = || own(Arch::Aarch64);
        assert_eq!(found(&MadeUp::new(), arm(), "CPU implementer\t: 0x41"), (None, false));
        let xen = MadeUp::new();
        xen.write("sys/hypervisor/type", "xen");
        assert_eq!(found(&xen, arm(), ""), named("xen", false));
        let tree = MadeUp::new();
        tree.write("proc/device-tree/hypervisor/compatible", "linux,kvm\0");
        assert_eq!(found(&tree, own(Arch::Powerpc64le), ""), named("linux,kvm", false));
        // Graviton has the same vendor with and without a hypervisor.
        let amazon = MadeUp::new();
        amazon.write("sys/class/dmi/id/sys_vendor", "Amazon EC2").write("sys/class/dmi/id/product_name", "c7g.large");
        assert_eq!(found(&amazon, arm(), ""), named("Amazon EC2", false));
        amazon.write("sys/class/dmi/id/product_name", "c7g.metal");
        assert_eq!(found(&amazon, arm(), ""), (None, false));
        let partition = MadeUp::new();
        partition.write("proc/device-tree/ibm,partition-name", "lpar1\0");
        assert_eq!(found(&partition, own(Arch::Powerpc64le), ""), (None, false));
        partition.write("proc/device-tree/hmc-managed?", "\0");
        assert_eq!(found(&partition, own(Arch::Powerpc64le), ""), named("PowerVM", false));
    }

    /// Each machine as QEMU translates it, and under KVM.
    #[test]
    fn a_machine_that_qemu_translates_is_told_from_one_under_kvm() {
        let arm = |hz| OwnCpu { counter_hz: Some(hz), ..own(Arch::Aarch64) };
        let a53 = "CPU implementer\t: 0x41\nCPU part\t: 0xd03";
        let virt = MadeUp::new();
        virt.write("proc/device-tree/compatible", "linux,dummy-virt\0")
            .write("proc/device-tree/fw-cfg@9020000/compatible", "qemu,fw-cfg-mmio\0");
        assert_eq!(found(&virt, arm(62.5e6), a53), named("QEMU", true));
        assert_eq!(found(&virt, arm(54e6), a53), named("QEMU", false));
        assert_eq!(found(&virt, arm(1e9), "CPU implementer\t: 0x00"), named("QEMU", true));
        // A board whose counter happens to have QEMU's frequency.
        assert_eq!(found(&MadeUp::new(), arm(62.5e6), a53), (None, false));
        let firmware = MadeUp::new();
        firmware
            .write("sys/class/dmi/id/sys_vendor", "QEMU")
            .write("sys/class/dmi/id/product_name", "KVM Virtual Machine");
        assert_eq!(found(&firmware, arm(62.5e6), a53), named("KVM", true));
        assert_eq!(found(&firmware, arm(1e9), a53), named("KVM", false));

        let power = || own(Arch::Powerpc64le);
        let pseries = MadeUp::new();
        pseries
            .write("proc/device-tree/compatible", "qemu,pseries\0")
            .write("proc/device-tree/ibm,partition-name", "guest\0")
            .write("proc/device-tree/hmc-managed?", "\0");
        assert_eq!(found(&pseries, power(), ""), named("QEMU", true));
        pseries.write("proc/device-tree/hypervisor/compatible", "linux,kvm\0");
        assert_eq!(found(&pseries, power(), ""), named("linux,kvm", false));
        let powernv = MadeUp::new();
        powernv.write("proc/device-tree/compatible", "qemu,powernv10\0ibm,powernv\0");
        assert_eq!(found(&powernv, power(), ""), named("QEMU", true));
        let metal = MadeUp::new();
        metal.write("proc/device-tree/compatible", "ibm,witherspoon\0ibm,powernv\0");
        assert_eq!(found(&metal, power(), ""), (None, false));

        let riscv = MadeUp::new();
        riscv
            .write("proc/device-tree/compatible", "riscv-virtio\0")
            .write("proc/device-tree/fw-cfg@10100000/compatible", "qemu,fw-cfg-mmio\0");
        assert_eq!(found(&riscv, own(Arch::Riscv64gc), "hart\t: 0\nmvendorid\t: 0x0\n"), named("QEMU", true));
        assert_eq!(found(&riscv, own(Arch::Riscv64gc), "hart\t: 0\nmvendorid\t: 0x489\n"), named("QEMU", false));
    }

    #[test]
    fn a_kernel_of_another_architecture_means_an_emulator() {
        assert_eq!(found(&MadeUp::new(), own(Arch::Riscv64gc), "vendor_id : GenuineIntel"), (None, true));
        for (arch, kernel, emulated) in [
            (Arch::Aarch64, "x86_64", true),
            (Arch::Aarch64, "aarch64", false),
            (Arch::Powerpc64le, "ppc64le", false),
            (Arch::Riscv64gc, "riscv64", false),
            (Arch::X86_64, "x86_64", false),
            (Arch::X86_64, "aarch64", true),
        ] {
            let made_up = MadeUp::new();
            made_up.write("proc/sys/kernel/arch", kernel);
            assert_eq!(found(&made_up, own(arch), "").1, emulated, "{arch} on {kernel}");
        }
    }
}
