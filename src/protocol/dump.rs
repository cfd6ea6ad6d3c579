//! A text dump of the state of every CPU, task and lock, for the analysis of a failed run.

use std::fmt::Write as _;
use std::sync::atomic::Ordering as ProbeOrdering;

use crate::kernel::sync::Ordering;
use crate::kernel::task::{NULL, PROXY_WAKING, TaskLayout};
use crate::kernel::{Cpu, Kernel, trace};

/// The state of all CPUs, tasks and mutexes and the last events, as text.
pub fn dump<T: TaskLayout>(kernel: &Kernel<T>) -> String {
    let mut out = String::new();
    for (cpu, rq) in kernel.rqs.iter().enumerate() {
        let _ = writeln!(
            out,
            "CPU {cpu}: nr_running {}, rq->lock {}",
            rq.nr_running.load(Ordering::Relaxed),
            held(rq.lock.holder())
        );
    }
    for (number, task) in kernel.tasks.iter().enumerate().skip(kernel.rqs.len()) {
        let blocked_on = match kernel.blocked_on(number) {
            NULL => "NULL".to_owned(),
            PROXY_WAKING => "PROXY_WAKING".to_owned(),
            mutex => format!("mutex {}", mutex - 1),
        };
        let _ = writeln!(
            out,
            "task {number}: __state {:#x}, on_rq {}, on_cpu {}, CPU {}, blocked_on {blocked_on}, is_blocked {}, signal {}, \
             {} switches, pi_lock {}, blocked_lock {}",
            kernel.state(number),
            task.fields.on_rq().load(Ordering::Relaxed),
            task.other.on_cpu.load(Ordering::Relaxed),
            task.other.cpu.load(Ordering::Relaxed),
            task.other.is_blocked.load(Ordering::Relaxed),
            task.other.sigpending.load(Ordering::Relaxed),
            task.probe.switches.load(ProbeOrdering::Relaxed),
            held(task.fields.pi_lock().holder()),
            held(task.fields.blocked_lock().holder()),
        );
    }
    for (number, mutex) in kernel.mutexes.iter().enumerate() {
        let owner = kernel.__mutex_owner(number).map_or("nobody".to_owned(), |task| format!("task {task}"));
        let flags = mutex.owner.load(Ordering::Relaxed) & 7;
        let _ = writeln!(
            out,
            "mutex {number}: owner {owner}, flags {flags:#x}, wait_lock {}",
            held(mutex.wait_lock.holder())
        );
    }
    let entries = kernel.trace.entries();
    if !entries.is_empty() {
        out.push_str("the last events:\n");
        out.push_str(&trace::listing(&entries, |cpu: Cpu| format!("CPU {cpu}")));
    }
    out
}

fn held(holder: Option<Cpu>) -> String {
    holder.map_or("free".to_owned(), |cpu| format!("held by CPU {cpu}"))
}
