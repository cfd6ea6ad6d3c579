//! Tests of what the instructions of tests in assembly become: machine code that two other programs decode or make in
//! the same way, and outcomes when it runs.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;

use common::many::{MOST, many};
use wakerace::arch::Arch;
use wakerace::catalogue::Scenario;
use wakerace::codegen::{Pace, Part, Target, ThreadCode, disassemble};
use wakerace::harness::{Adapt, Job, Limits, OutcomeCounts, Prefetch, RunPlan, run};
use wakerace::isa;
use wakerace::layout::{Layout, LayoutKind};
use wakerace::litmus::{Source, Verdict};
use wakerace::machine::{Clock, allowed_cpus};
use wakerace::model::{self, Bounds, Model};
use wakerace::program::{Column, Const, Program, Quantifier};
use wakerace::units::Ticks;

/// The first word of a test in the assembly of an architecture.
fn dialect(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "X86_64",
        Arch::Aarch64 => "AArch64",
        Arch::Powerpc64le => "PPC",
        Arch::Riscv64gc => "RISCV",
    }
}

/// A test of one thread. The instructions are separated by semicolons.
fn one(arch: Arch, init: &str, body: &str) -> String {
    let lines: String = body.split(';').map(|line| format!(" {} ;\n", line.trim())).collect();
    format!("{} t\n{{ {init} }}\n P0 ;\n{lines}exists (x=0)\n", dialect(arch))
}

fn read(text: &str) -> Result<Scenario, String> {
    Scenario::new(&Source::new("t.litmus", text), "").map_err(|error| error.to_string())
}

/// What the disassembler reads in the code of a test of one thread, with the registers that the test names.
#[track_caller]
fn decoded(arch: Arch, init: &str, body: &str) -> Vec<String> {
    let text = one(arch, init, body);
    let scenario = read(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let bytes = isa::as_written(&scenario.program).unwrap()[0].concat();
    let code = ThreadCode { arch, bytes, marks: Vec::new() };
    let found: Vec<String> = disassemble(&code).unwrap().into_iter().map(|instruction| instruction.text).collect();
    if arch == Arch::X86_64 {
        assert_eq!(found, common::x86::capstone(&code.bytes), "{body}");
    }
    found
}

#[track_caller]
fn check(arch: Arch, init: &str, forms: &[(&str, &str)]) {
    for (written, expected) in forms {
        assert_eq!(decoded(arch, init, written).join("; "), *expected, "{written}");
    }
}

#[test]
fn x86_64_instructions_are_what_two_disassemblers_read_back() {
    let init = "uint64_t x; uint64_t y; int z; 0:rdi=x; 0:r12=x; 0:r13=x; 0:rbp=x; 0:rbx=1; 0:r8=1;";
    check(
        Arch::X86_64,
        init,
        &[
            ("movl $1,(z)", "mov dword ptr [rdi], 1"),
            ("mov $1,(z)", "mov dword ptr [rdi], 1"),
            ("MOV [z],EAX; mov %eax,(z)", "mov eax, dword ptr [rdi]; mov dword ptr [rdi], eax"),
            ("mov %rbx,(x); sub %ecx,%eax", "mov qword ptr [rdi], rbx; sub eax, ecx"),
            ("movl (z),%r10d", "mov r10d, dword ptr [rdi]"),
            ("movq $-1,(x)", "mov qword ptr [rdi], 0xffffffffffffffff"),
            ("movq %r9,(%r12)", "mov qword ptr [r12], r9"),
            ("movq %r9,(%r13)", "mov qword ptr [r13], r9"),
            ("movq (%rbp),%rbx", "mov rbx, qword ptr [rbp]"),
            ("movl %eax,%r11d", "mov r11d, eax"),
            ("movl $0xffffffff,%eax", "mov eax, 0xffffffff"),
            ("movq $1,%rax", "mov rax, 1"),
            ("movq $0x100000000,%r8", "movabs r8, 0x100000000"),
            ("mfence; lfence; sfence; nop", "mfence; lfence; sfence; nop"),
            ("xchgl %eax,(z)", "xchg dword ptr [rdi], eax"),
            ("XCHG [z],EAX", "xchg dword ptr [rdi], eax"),
            ("xchgq %r15,(x)", "xchg qword ptr [rdi], r15"),
            ("xchgl %eax,%ecx", "xchg ecx, eax"),
            ("xchgq %rax,%r12", "xchg r12, rax"),
            ("xchg %ebx,%ecx", "xchg ecx, ebx"),
            ("xchg %rbx,%r9", "xchg r9, rbx"),
            ("xchg %eax,%eax", "xchg eax, eax"),
            ("lock xchgl %eax,(z)", "lock xchg dword ptr [rdi], eax"),
            ("lock cmpxchgl %ebx,(z)", "lock cmpxchg dword ptr [rdi], ebx"),
            ("lock cmpxchgq %rbx,(%r12)", "lock cmpxchg qword ptr [r12], rbx"),
            ("lock xaddl %ebx,(z)", "lock xadd dword ptr [rdi], ebx"),
            ("lock addl $1,(z)", "lock add dword ptr [rdi], 1"),
            ("lock addl $300,(z)", "lock add dword ptr [rdi], 0x12c"),
            ("lock incl (z); lock decq (x)", "lock inc dword ptr [rdi]; lock dec qword ptr [rdi]"),
            ("lock orl %eax,(z); lock andl %eax,(z)", "lock or dword ptr [rdi], eax; lock and dword ptr [rdi], eax"),
            ("lock xorl %eax,(z); lock subl %eax,(z)", "lock xor dword ptr [rdi], eax; lock sub dword ptr [rdi], eax"),
            ("addl $1,(z); incl (z)", "add dword ptr [rdi], 1; inc dword ptr [rdi]"),
            ("addl (z),%eax", "add eax, dword ptr [rdi]"),
            ("addl $300,%eax; addl $300,%ecx", "add eax, 0x12c; add ecx, 0x12c"),
            ("addq $-1,%rcx; subl $127,%ecx; subl $128,%ecx", "add rcx, -1; sub ecx, 0x7f; sub ecx, 0x80"),
            // Constants of comparisons and sums are listed with their sign, those of masks and moves as bits.
            ("cmpl $-2,%eax; subq $-300,%rcx; cmpl $-1,(z)", "cmp eax, -2; sub rcx, -0x12c; cmp dword ptr [rdi], -1"),
            ("andl $-2,%eax; orq $-300,%rcx", "and eax, 0xfffffffe; or rcx, 0xfffffffffffffed4"),
            ("xorl $-1,%ecx; movl $-1,%ecx", "xor ecx, 0xffffffff; mov ecx, 0xffffffff"),
            ("xorl %eax,%ecx; XOR EAX,EAX", "xor ecx, eax; xor eax, eax"),
            ("andl $1,%eax; orl $1,%eax; incl %eax; decl %r9d", "and eax, 1; or eax, 1; inc eax; dec r9d"),
            ("movntil %eax,(z)", "movnti dword ptr [rdi], eax"),
            ("movnti %rax,(x)", "movnti qword ptr [rdi], rax"),
            ("cmpl $1,%eax; je L; nop; L:", "cmp eax, 1; je 6; nop"),
            ("CMP $1,EAX; JNE L; nop; L: nop", "cmp eax, 1; jne 6; nop; nop"),
            ("cmpl (z),%eax; jg L; L:", "cmp eax, dword ptr [rdi]; jg 4"),
            ("cmp %ecx,%eax; jgt L; jlt L; L:", "cmp eax, ecx; jg 6; jl 6"),
            ("test %eax,%eax; jz L; L:", "test eax, eax; je 4"),
            ("L: lock decl (z); jne L", "lock dec dword ptr [rdi]; jne 0"),
            ("jmp L; nop; L:", "jmp 3; nop"),
            // A displacement of 8 bits, with the base registers that need more bytes; one that is 0 has none.
            ("movl 4(%r12),%ecx; movl %ecx,4(%r13)", "mov ecx, dword ptr [r12 + 4]; mov dword ptr [r13 + 4], ecx"),
            ("movl 0(%r12),%ecx; movw $1,6(%rbp)", "mov ecx, dword ptr [r12]; mov word ptr [rbp + 6], 1"),
            ("xchgb %cl,1(%r12); lock incl 4(%r12)", "xchg byte ptr [r12 + 1], cl; lock inc dword ptr [r12 + 4]"),
            ("addq $136,%rbp; movl -132(%rbp),%ecx", "add rbp, 0x88; mov ecx, dword ptr [rbp - 0x84]"),
            (
                "movl (%rbp,%rbx,4),%ecx; movl %ecx,(%r13,%rbx,4); movl %ecx,(%r12,%rbx,4)",
                "mov ecx, dword ptr [rbp + rbx*4]; mov dword ptr [r13 + rbx*4], ecx; mov dword ptr [r12 + rbx*4], ecx",
            ),
            (
                "movw $1,4(%r12,%rbx,2); movq -8(%rbp,%r8,8),%r9; movb %cl,(%rbx,%r12)",
                "mov word ptr [r12 + rbx*2 + 4], 1; mov r9, qword ptr [rbp + r8*8 - 8]; mov byte ptr [rbx + r12], cl",
            ),
            (
                "endbr64; nopl (%rax); nopw 512(%rax,%rax,1)",
                "endbr64; nop dword ptr [rax]; nop word ptr [rax + rax + 0x200]",
            ),
            ("nopw 8(%r9,%rbx,8); nop %eax", "nop word ptr [r9 + rbx*8 + 8]; nop eax"),
            (
                "shl $2,%eax; sal $4,%r9d; shrq $63,%rbx; sar $31,%esi",
                "shl eax, 2; shl r9d, 4; shr rbx, 0x3f; sar esi, 0x1f",
            ),
            ("shl %eax; sarl $1,(z); shrq $7,(x)", "shl eax, 1; sar dword ptr [rdi], 1; shr qword ptr [rdi], 7"),
            ("cmpxchgl %ecx,(z); cmpxchg %rcx,(x)", "cmpxchg dword ptr [rdi], ecx; cmpxchg qword ptr [rdi], rcx"),
            // A return goes behind the last instruction.
            ("cmpl $1,%eax; je L; ret; L: nop; retq", "cmp eax, 1; je 7; jmp 0xa; nop; jmp 0xa"),
        ],
    );
}

/// As herd7 reads them: target first, with suffixes too, and the registers have their names of 32 bits.
#[test]
fn x86_tests_have_the_target_first() {
    let decoded = |body: &str| {
        let text = format!("X86 t\n{{}}\n P0 ;\n{}exists (x=0)\n", body.replace(';', ";\n") + ";\n");
        let scenario = read(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let bytes = isa::as_written(&scenario.program).unwrap()[0].concat();
        common::x86::capstone(&bytes).join("; ")
    };
    assert_eq!(decoded("MOV [x],$1"), "mov dword ptr [rdi], 1");
    assert_eq!(decoded("MOV EAX,[x]; MOVL EBX,[x]"), "mov eax, dword ptr [rdi]; mov ebx, dword ptr [rdi]");
    assert_eq!(decoded("MOVL [x],$1; MOVL [x],EAX"), "mov dword ptr [rdi], 1; mov dword ptr [rdi], eax");
    assert_eq!(decoded("XCHG EAX,[x]; xchg [x],eax"), "xchg dword ptr [rdi], eax; xchg dword ptr [rdi], eax");
    assert_eq!(decoded("CMP EAX,$1; JNE L; NOP; L: NOP"), "cmp eax, 1; jne 6; nop; nop");
    assert_eq!(decoded("ADD EAX,EBX; LOCK CMPXCHG [x],ECX"), "add eax, ebx; lock cmpxchg dword ptr [rdi], ecx");
}

#[test]
fn aarch64_instructions_are_what_capstone_reads_back() {
    let init = "uint64_t x; int z; 0:X1=x; 0:X5=z; 0:X3=0; 0:X6=x;";
    check(
        Arch::Aarch64,
        init,
        &[
            (
                "MOV W0,#1; MOV X0,#-1; MOV X2,#0x10000; MOV W2,#0xff00ff",
                "mov w0, #1; mov x0, #-1; mov x2, #0x10000; mov w2, #0xff00ff",
            ),
            (
                "MOV W0,1; ADD W2,W0,3; LDR X0,[X1,0]; LSL X2,X0,4; B.AL .L; NOP; .L: NOP",
                "mov w0, #1; add w2, w0, #3; ldr x0, [x1]; lsl x2, x0, #4; b #0x18; nop; nop",
            ),
            ("MOV W2,W0; MOV X2,X0; MOV W0,WZR", "mov w2, w0; mov x2, x0; mov w0, wzr"),
            ("LDR W0,[X5]; LDR X0,[X1]; LDR X0,[X1,#0]", "ldr w0, [x5]; ldr x0, [x1]; ldr x0, [x1]"),
            ("STR W0,[X5]; STR XZR,[X1]", "str w0, [x5]; str xzr, [x1]"),
            ("LDR W0,[X5,W3,SXTW]; LDR X0,[X1,X3]", "ldr w0, [x5, w3, sxtw]; ldr x0, [x1, x3]"),
            ("LDR X0,[X1,X3,LSL #3]; STR X0,[X1,W3,UXTW #3]", "ldr x0, [x1, x3, lsl #3]; str x0, [x1, w3, uxtw #3]"),
            ("STR W0,[X5,X3,SXTX]", "str w0, [x5, x3, sxtx]"),
            ("LDUR X0,[X1]; STUR W0,[X5]", "ldur x0, [x1]; stur w0, [x5]"),
            ("LDP W0,W2,[X1]; STP W0,WZR,[X1,#0]", "ldp w0, w2, [x1]; stp w0, wzr, [x1]"),
            ("LDPSW X0,X2,[X1]; LDP W1,W0,[X1]", "ldpsw x0, x2, [x1]; ldp w1, w0, [x1]"),
            ("ADD X4,X1,#8; LDP W0,W2,[X4,#-8]", "add x4, x1, #8; ldp w0, w2, [x4, #-8]"),
            (
                "LDAR W0,[X5]; LDAR X0,[X1]; STLR W0,[X5]; STLR X0,[X1]",
                "ldar w0, [x5]; ldar x0, [x1]; stlr w0, [x5]; stlr x0, [x1]",
            ),
            ("LDAPR W0,[X5]; LDAPR X0,[X1]", "ldapr w0, [x5]; ldapr x0, [x1]"),
            (
                "LDXR W0,[X5]; STXR W2,W0,[X5]; LDAXR X0,[X1]; STLXR W2,X0,[X1]",
                "ldxr w0, [x5]; stxr w2, w0, [x5]; ldaxr x0, [x1]; stlxr w2, x0, [x1]",
            ),
            (
                "CAS W0,W2,[X5]; CASA W0,W2,[X5]; CASL X0,X2,[X1]; CASAL X0,X2,[X1]",
                "cas w0, w2, [x5]; casa w0, w2, [x5]; casl x0, x2, [x1]; casal x0, x2, [x1]",
            ),
            (
                "SWP W0,W2,[X5]; SWPA W0,W2,[X5]; SWPL X0,X2,[X1]; SWPAL X0,X2,[X1]",
                "swp w0, w2, [x5]; swpa w0, w2, [x5]; swpl x0, x2, [x1]; swpal x0, x2, [x1]",
            ),
            (
                "LDADD W0,W2,[X5]; LDADDA W0,W2,[X5]; LDADDL X0,X2,[X1]; LDADDAL X0,X2,[X1]",
                "ldadd w0, w2, [x5]; ldadda w0, w2, [x5]; ldaddl x0, x2, [x1]; ldaddal x0, x2, [x1]",
            ),
            (
                "LDSET W0,W2,[X5]; LDCLRA W0,W2,[X5]; LDEORL X0,X2,[X1]",
                "ldset w0, w2, [x5]; ldclra w0, w2, [x5]; ldeorl x0, x2, [x1]",
            ),
            ("STADD W0,[X5]; STADDL X0,[X1]; STSET W0,[X5]", "stadd w0, [x5]; staddl x0, [x1]; stset w0, [x5]"),
            (
                "ADD W0,W2,#1; ADD X0,X2,X3; SUB X0,X2,#-4; SUBS W0,W2,W3; ADDS X0,X2,#0x1000",
                "add w0, w2, #1; add x0, x2, x3; add x0, x2, #4; subs w0, w2, w3; adds x0, x2, #1, lsl #12",
            ),
            ("ADD X0,X2,W3,SXTW; ADD X0,X2,X3,LSL #2", "add x0, x2, w3, sxtw; add x0, x2, x3, lsl #2"),
            (
                "EOR W0,W2,W2; AND X0,X2,#128; ORR W0,W2,W3; ANDS W0,W2,#1; EOR X0,X2,#0xff",
                "eor w0, w2, w2; and x0, x2, #0x80; orr w0, w2, w3; ands w0, w2, #1; eor x0, x2, #0xff",
            ),
            (
                "MVN W0,W2; NEG X0,X2; SXTW X0,W2; LSL X0,X2,#4; LSL W0,W2,#31",
                "mvn w0, w2; neg x0, x2; sxtw x0, w2; lsl x0, x2, #4; lsl w0, w2, #0x1f",
            ),
            ("CMP W0,#1; CSEL W0,W2,W3,EQ; CSINC X0,X2,X3,NE", "cmp w0, #1; csel w0, w2, w3, eq; csinc x0, x2, x3, ne"),
            (
                "CMP X0,X2; CSET W0,EQ; CSETM X0,HI; CSINV W0,W2,W3,LS; CSNEG W0,W2,W3,GT",
                "cmp x0, x2; cset w0, eq; csetm x0, hi; csinv w0, w2, w3, ls; csneg w0, w2, w3, gt",
            ),
            ("TST W0,#3; B.EQ L; NOP; L:", "tst w0, #3; b.eq #0xc; nop"),
            ("L: CBZ W0,L; CBNZ X0,M; B L; M:", "cbz w0, #0; cbnz x0, #0xc; b #0"),
            (
                "DMB SY; DMB ISH; DMB ISHLD; DMB ST; DMB LD; DMB OSHST",
                "dmb sy; dmb ish; dmb ishld; dmb st; dmb ld; dmb oshst",
            ),
            ("DSB SY; DSB ISHST; ISB; NOP", "dsb sy; dsb ishst; isb; nop"),
            (
                "MOVZ W0,#42; MOVZ X0,#42,LSL #48; MOVN W2,#1,LSL #16; MOVK X2,#65535,LSL #32",
                "mov w0, #0x2a; mov x0, #0x2a000000000000; mov w2, #-0x10001; movk x2, #0xffff, lsl #32",
            ),
            (
                "ADD X0,X2,#1,LSL #12; SUBS W0,W2,#7,LSL #0; CMN X0,X2; CMN W0,#3; NEGS X0,X2",
                "add x0, x2, #1, lsl #12; subs w0, w2, #7; cmn x0, x2; cmn w0, #3; negs x0, x2",
            ),
            (
                "ADD W0,W2,W3,LSR #4; SUB X0,X2,X3,ASR #63; NEG W0,W2,LSL #2; CMP X0,X2,ASR #1",
                "add w0, w2, w3, lsr #4; sub x0, x2, x3, asr #63; neg w0, w2, lsl #2; cmp x0, x2, asr #1",
            ),
            (
                "ORR W0,W2,W3,ROR #5; BIC X0,X2,X3,LSR #1; MVN X0,X2,ASR #3; EON W0,W2,W3,LSL #31",
                "orr w0, w2, w3, ror #5; bic x0, x2, x3, lsr #1; mvn x0, x2, asr #3; eon w0, w2, w3, lsl #31",
            ),
            (
                "MADD W0,W2,W3,W4; MSUB X0,X2,X3,X4; MNEG X0,X2,X3; MUL W0,W2,W3",
                "madd w0, w2, w3, w4; msub x0, x2, x3, x4; mneg x0, x2, x3; mul w0, w2, w3",
            ),
            (
                "SMULL X0,W2,W3; UMULL X0,W2,W3; SMNEGL X0,W2,W3; UMNEGL X0,W2,W3",
                "smull x0, w2, w3; umull x0, w2, w3; smnegl x0, w2, w3; umnegl x0, w2, w3",
            ),
            (
                "SMADDL X0,W2,W3,X4; UMADDL X0,W2,W3,X4; SMSUBL X0,W2,W3,X4; UMSUBL X0,W2,W3,X4",
                "smaddl x0, w2, w3, x4; umaddl x0, w2, w3, x4; smsubl x0, w2, w3, x4; umsubl x0, w2, w3, x4",
            ),
            (
                "UBFM W0,W2,#4,#2; SBFM X0,X2,#4,#20; BFM W0,W2,#4,#20; UBFX X0,X2,#5,#9; SBFX W0,W2,#0,#3",
                "ubfiz w0, w2, #0x1c, #3; sbfx x0, x2, #4, #0x11; bfxil w0, w2, #4, #0x11; ubfx x0, x2, #5, #9; sbfx w0, w2, #0, #3",
            ),
            (
                "UBFIZ X0,X2,#5,#9; SBFIZ W0,W2,#3,#8; BFI X0,X2,#8,#4; BFXIL W0,W2,#8,#4",
                "ubfiz x0, x2, #5, #9; sbfiz w0, w2, #3, #8; bfi x0, x2, #8, #4; bfxil w0, w2, #8, #4",
            ),
            (
                "RBIT W0,W2; RBIT X0,X2; REV W0,W2; REV X0,X2; REV16 W0,W2; REV16 X0,X2; REV32 X0,X2; REV64 X0,X2",
                "rbit w0, w2; rbit x0, x2; rev w0, w2; rev x0, x2; rev16 w0, w2; rev16 x0, x2; rev32 x0, x2; rev x0, x2",
            ),
            (
                "EXTR W0,W2,W3,#7; EXTR X0,X2,X3,#63; ROR W0,W2,#13; ROR X0,X2,X3",
                "extr w0, w2, w3, #7; extr x0, x2, x3, #0x3f; ror w0, w2, #0xd; ror x0, x2, x3",
            ),
            (
                "ADD X4,X1,#0; LDP W0,W2,[X4],#8; STP W0,W2,[X4,#-8]!; LDPSW X0,X2,[X4],#8",
                "add x4, x1, #0; ldp w0, w2, [x4], #8; stp w0, w2, [x4, #-8]!; ldpsw x0, x2, [x4], #8",
            ),
            (
                "ADD X4,X1,#4; LDRSB W0,[X4],#2; LDRSH X0,[X4,#-4]!; LDRH W0,[X4],#2; STRB W0,[X4,#-1]!; LDRSW X0,[X1],#4",
                "add x4, x1, #4; ldrsb w0, [x4], #2; ldrsh x0, [x4, #-4]!; ldrh w0, [x4], #2; strb w0, [x4, #-1]!; ldrsw x0, [x1], #4",
            ),
            (
                "ADD W0,W2,#-1,LSL #12; LSLV W0,W2,W3; RORV X0,X2,X3",
                "sub w0, w2, #1, lsl #12; lsl w0, w2, w3; ror x0, x2, x3",
            ),
            ("CBZ W0,L; RET; L: NOP; RET", "cbz w0, #8; b #0x10; nop; b #0x10"),
            ("MOV W0,#1; CBZ W0,.+8; B .+4; NOP", "mov w0, #1; cbz w0, #0xc; b #0xc; nop"),
        ],
    );
}

#[test]
fn power_instructions_are_what_capstone_reads_back() {
    let init = "uint64_t x; int z; uint16_t h; uint8_t b; 0:r1=x; 0:r2=z; 0:r6=0; 0:r7=h; 0:r8=b;";
    check(
        Arch::Powerpc64le,
        init,
        &[
            ("li r3,1; li r3,-1; mr r3,r4", "li r3, 1; li r3, -1; mr r3, r4"),
            ("lwz r3,0,r2; stw r3,0,r2", "lwz r3, 0(r2); stw r3, 0(r2)"),
            (
                "lwz r3,0(r2); ld r3,0(r1); stw r3,0(r2); std r3,0(r1)",
                "lwz r3, 0(r2); ld r3, 0(r1); stw r3, 0(r2); std r3, 0(r1)",
            ),
            (
                "lwzx r3,r6,r2; ldx r3,r1,r6; stwx r3,r6,r2; stdx r3,r6,r1",
                "lwzx r3, r6, r2; ldx r3, r1, r6; stwx r3, r6, r2; stdx r3, r6, r1",
            ),
            ("lwarx r3,r0,r2; stwcx. r3,r0,r2", "lwarx r3, 0, r2; stwcx. r3, 0, r2"),
            ("ldarx r3,r6,r1; stdcx. r3,r6,r1", "ldarx r3, r6, r1; stdcx. r3, r6, r1"),
            ("addi r3,r4,-1; addi r3,r0,5; add r3,r4,r5", "addi r3, r4, -1; li r3, 5; add r3, r4, r5"),
            (
                "xor r3,r4,r4; and r3,r4,r5; or r3,r4,r5; ori r3,r4,1; xori r3,r4,0xffff",
                "xor r3, r4, r4; and r3, r4, r5; or r3, r4, r5; ori r3, r4, 1; xori r3, r4, 0xffff",
            ),
            ("cmpw r3,r4; beq L; nop; L:", "cmpw r3, r4; beq 0xc; nop"),
            ("L: cmpwi r3,1; bne L; blt L; bge L", "cmpwi r3, 1; bne 0; blt 0; bge 0"),
            ("cmpwi r3,-1; bgt M; ble M; b M; M:", "cmpwi r3, -1; bgt 0x10; ble 0x10; b 0x10"),
            ("sync; lwsync; eieio; isync; nop", "sync; lwsync; eieio; isync; nop"),
            ("lhz r3,0(r7); sth r3,0(r7); lbz r3,0(r8)", "lhz r3, 0(r7); sth r3, 0(r7); lbz r3, 0(r8)"),
            (
                "sub r3,r4,r5; subf r3,r4,r5; mullw r3,r4,r5; nor r3,r4,r5; neg r3,r4",
                "subf r3, r5, r4; subf r3, r4, r5; mullw r3, r4, r5; nor r3, r4, r5; neg r3, r4",
            ),
            (
                "add. r3,r4,r5; sub. r3,r4,r5; mullw. r3,r4,r5; neg. r3,r4; andi. r3,r4,7",
                "add. r3, r4, r5; subf. r3, r5, r4; mullw. r3, r4, r5; neg. r3, r4; andi. r3, r4, 7",
            ),
            ("and. r3,r4,r5; or. r3,r4,r5; xor. r3,r4,r5", "and. r3, r4, r5; or. r3, r4, r5; xor. r3, r4, r5"),
            ("subi r3,r4,5; mulli r3,r4,-3; srawi r3,r4,31", "addi r3, r4, -5; mulli r3, r4, -3; srawi r3, r4, 0x1f"),
            (
                "rlwinm r3,r4,8,16,31; slwi r3,r4,4; srwi r3,r4,4",
                "rlwinm r3, r4, 8, 0x10, 0x1f; slwi r3, r4, 4; srwi r3, r4, 4",
            ),
            ("stdu r3,0(r1); ldu r3,0(r1); stwu r3,0(r2)", "stdu r3, 0(r1); ldu r3, 0(r1); stwu r3, 0(r2)"),
            ("cmpw cr0,r3,r4; bnl L; bng L; L:", "cmpw r3, r4; bge 0xc; ble 0xc"),
            (
                "lis r3,1; lis r3,-1; lis r3,0xffff; addis r3,r4,-2; addis r3,r0,3",
                "lis r3, 1; lis r3, -1; lis r3, -1; addis r3, r4, -2; lis r3, 3",
            ),
            (
                "lwa r3,0(r2); lha r3,0(r7); lwax r3,r6,r2; lhax r3,r6,r7",
                "lwa r3, 0(r2); lha r3, 0(r7); lwax r3, r6, r2; lhax r3, r6, r7",
            ),
            (
                "extsw r3,r4; extsh r3,r4; extsb r3,r4; extsw. r3,r4",
                "extsw r3, r4; extsh r3, r4; extsb r3, r4; extsw. r3, r4",
            ),
            (
                "clrldi r3,r4,32; clrldi. r3,r4,63; clrldi r3,r4,5",
                "clrldi r3, r4, 0x20; clrldi. r3, r4, 0x3f; clrldi r3, r4, 5",
            ),
            (
                "clrlwi r3,r4,16; clrlwi. r3,r4,31; rlwinm. r3,r4,1,2,3",
                "clrlwi r3, r4, 0x10; clrlwi. r3, r4, 0x1f; rlwinm. r3, r4, 1, 2, 3",
            ),
            ("rlwimi r3,r4,4,30,31; rlwimi. r3,r4,1,20,3", "rlwimi r3, r4, 4, 0x1e, 0x1f; rlwimi. r3, r4, 1, 0x14, 3"),
            ("cmplw r3,r4; cmplwi r3,0xffff; cmplwi cr0,r3,1", "cmplw r3, r4; cmplwi r3, 0xffff; cmplwi r3, 1"),
            ("cmplwi r3,1; beq L; blr; L: nop; blr", "cmplwi r3, 1; beq 0xc; b 0x14; nop; b 0x14"),
        ],
    );
}

#[test]
fn riscv_instructions_are_what_capstone_reads_back() {
    let init = "uint64_t x; int z; 0:x1=x; 0:x2=z;";
    check(
        Arch::Riscv64gc,
        init,
        &[
            (
                "li x5,1; li x5,-2048; li x5,0x12345678; mv x5,x6",
                "addi t0, zero, 1; addi t0, zero, -0x800; lui t0, 0x12345; addiw t0, t0, 0x678; mv t0, t1",
            ),
            ("li x5,0x1800; li x5,0x10000", "lui t0, 2; addiw t0, t0, -0x800; lui t0, 0x10"),
            (
                "lw x5,0(x2); ld a0,(x1); sw x5,0(x2); sd zero,0(x1)",
                "lw t0, 0(sp); ld a0, 0(ra); sw t0, 0(sp); sd zero, 0(ra)",
            ),
            (
                "lr.w x5,(x2); lr.d.aq x5,(x1); lr.w.aqrl x5,0(x2)",
                "lr.w t0, (sp); lr.d.aq t0, (ra); lr.w.aqrl t0, (sp)",
            ),
            (
                "lr.w x5,(x2); sc.w x6,x5,(x2); lr.d x5,(x1); sc.d.rl x6,x5,(x1)",
                "lr.w t0, (sp); sc.w t1, t0, (sp); lr.d t0, (ra); sc.d.rl t1, t0, (ra)",
            ),
            (
                "amoswap.w x5,x6,(x2); amoadd.d.aq x5,x6,(x1); amoor.w.rl x5,x6,(x2)",
                "amoswap.w t0, t1, (sp); amoadd.d.aq t0, t1, (ra); amoor.w.rl t0, t1, (sp)",
            ),
            (
                "amoand.w.aqrl x0,x6,(x2); amoxor.d.aq.rl x5,x6,(x1)",
                "amoand.w.aqrl zero, t1, (sp); amoxor.d.aqrl t0, t1, (ra)",
            ),
            (
                "ori x5,x0,1; addi x5,x6,-1; xori x5,x6,1; andi x5,x6,1; slli x5,x6,63",
                "ori t0, zero, 1; addi t0, t1, -1; xori t0, t1, 1; andi t0, t1, 1; slli t0, t1, 0x3f",
            ),
            (
                "add x5,x6,x7; sub x5,x6,x7; xor x5,x6,x6; or x5,x6,x7; and x5,x6,x7",
                "add t0, t1, t2; sub t0, t1, t2; xor t0, t1, t1; or t0, t1, t2; and t0, t1, t2",
            ),
            (
                "L: beq x5,x6,L; bne x5,x0,L; blt x5,x6,M; bgeu x5,x6,M; M: j L",
                "beq t0, t1, 0x0; bnez t0, 0x0; blt t0, t1, 0x10; bgeu t0, t1, 0x10; j 0x0",
            ),
            ("beqz x5,L; bnez x5,L; L:", "beqz t0, 0x8; bnez t0, 0x8"),
            (
                "fence rw,rw; fence r,rw; fence rw,w; fence iorw,iorw; fence w,r; fence",
                "fence rw, rw; fence r, rw; fence rw, w; fence; fence w, r; fence",
            ),
            ("fence.tso; fence.i; nop", "fence.tso; fence.i; nop"),
            ("lw x5,4(x1); sh x5,6(x1); lbu x5,7(x1)", "lw t0, 4(ra); sh t0, 6(ra); lbu t0, 7(ra)"),
            ("addi x6,x1,8; lw x5,-4(x6)", "addi t1, ra, 8; lw t0, -4(t1)"),
            (
                "sll x5,x6,x7; srl x5,x6,x7; sra x5,x6,x7; slt x5,x6,x7; sltu x5,x6,x7",
                "sll t0, t1, t2; srl t0, t1, t2; sra t0, t1, t2; slt t0, t1, t2; sltu t0, t1, t2",
            ),
            (
                "addw x5,x6,x7; subw x5,x6,x7; sllw x5,x6,x7; srlw x5,x6,x7; sraw x5,x6,x7",
                "addw t0, t1, t2; subw t0, t1, t2; sllw t0, t1, t2; srlw t0, t1, t2; sraw t0, t1, t2",
            ),
            (
                "srli x5,x6,63; srai x5,x6,63; slti x5,x6,-1; sltiu x5,x6,7",
                "srli t0, t1, 0x3f; srai t0, t1, 0x3f; slti t0, t1, -1; sltiu t0, t1, 7",
            ),
            (
                "addiw x5,x6,-1; slliw x5,x6,31; srliw x5,x6,31; sraiw x5,x6,31",
                "addiw t0, t1, -1; slliw t0, t1, 0x1f; srliw t0, t1, 0x1f; sraiw t0, t1, 0x1f",
            ),
            (
                "neg x5,x6; negw x5,x6; not x5,x6; seqz x5,x6; snez x5,x6; sext.w x5,x6",
                "neg t0, t1; negw t0, t1; not t0, t1; seqz t0, t1; snez t0, t1; sext.w t0, t1",
            ),
            (
                "bgt x5,x6,L; ble x5,x6,L; bgtu x5,x6,L; bleu x5,x6,L; L:",
                "blt t1, t0, 0x10; bge t1, t0, 0x10; bltu t1, t0, 0x10; bgeu t1, t0, 0x10",
            ),
            (
                "bltz x5,L; bgez x5,L; bgtz x5,L; blez x5,L; L:",
                "bltz t0, 0x10; bgez t0, 0x10; bgtz t0, 0x10; blez t0, 0x10",
            ),
            (
                "lui x5,1; lui a0,0xfffff; MV x5,x6; NOP; zext.b x5,x6",
                "lui t0, 1; lui a0, 0xfffff; mv t0, t1; nop; andi t0, t1, 0xff",
            ),
            ("amomax.w x5,x6,(x2); amomin.d.aq x5,x6,(x1)", "amomax.w t0, t1, (sp); amomin.d.aq t0, t1, (ra)"),
            (
                "amomaxu.w.rl x5,x6,(x2); amominu.d.aqrl x0,x6,(x1)",
                "amomaxu.w.rl t0, t1, (sp); amominu.d.aqrl zero, t1, (ra)",
            ),
            ("fence iorw,ow; fence i,r; fence o,io", "fence iorw, ow; fence i, r; fence o, io"),
        ],
    );
    let returns = [("beq x5,x6,L; ret; L: nop; RET", "beq t0, t1, 0x8; j 0x10; nop; j 0x10")];
    check(Arch::Riscv64gc, "", &returns);
}

#[test]
fn bytes_and_half_words_are_what_capstone_reads_back() {
    let both = |forms: &[&str]| forms.join("; ");
    let x86 = [
        (
            "movb $1,(b); movb %al,(b); movb %sil,(b); movb %r9b,(b)",
            both(&[
                "mov byte ptr [rdi], 1",
                "mov byte ptr [rdi], al",
                "mov byte ptr [rdi], sil",
                "mov byte ptr [rdi], r9b",
            ]),
        ),
        ("movb (b),%cl; movb (b),%bpl", both(&["mov cl, byte ptr [rdi]", "mov bpl, byte ptr [rdi]"])),
        (
            "movw $0x1234,(h); movw %ax,(h); movw (h),%r10w",
            both(&["mov word ptr [rdi], 0x1234", "mov word ptr [rdi], ax", "mov r10w, word ptr [rdi]"]),
        ),
        (
            "movzbl (b),%eax; movzwl (h),%ecx; movzbq (b),%r9",
            both(&["movzx eax, byte ptr [rdi]", "movzx ecx, word ptr [rdi]", "movzx r9, byte ptr [rdi]"]),
        ),
        (
            "addb $1,%cl; subw %bx,(h); xorb (b),%r9b; lock incb (b); decw %si",
            both(&[
                "add cl, 1",
                "sub word ptr [rdi], bx",
                "xor r9b, byte ptr [rdi]",
                "lock inc byte ptr [rdi]",
                "dec si",
            ]),
        ),
        (
            "lock cmpxchgw %cx,(h); lock xaddb %cl,(b); lock xchgb %sil,(b); cmpb $3,%sil; testw %ax,%ax",
            both(&[
                "lock cmpxchg word ptr [rdi], cx",
                "lock xadd byte ptr [rdi], cl",
                "lock xchg byte ptr [rdi], sil",
                "cmp sil, 3",
                "test ax, ax",
            ]),
        ),
        ("shlw $2,%ax; sarb $7,%sil; shrb (b)", both(&["shl ax, 2", "sar sil, 7", "shr byte ptr [rdi], 1"])),
        ("movb %al,%bl; movw %ax,%r9w; movb $-3,%cl", both(&["mov bl, al", "mov r9w, ax", "mov cl, 0xfd"])),
        ("xchgb %al,(b); xchgw %r9w,(h)", both(&["xchg byte ptr [rdi], al", "xchg word ptr [rdi], r9w"])),
    ];
    for (written, expected) in x86 {
        assert_eq!(decoded(Arch::X86_64, "uint8_t b; uint16_t h;", written).join("; "), expected, "{written}");
    }
    // The other architectures write these as capstone does, but for the case and a blank.
    let same = |arch: Arch, init: &str, written: &str| {
        let expected: Vec<String> =
            written.split(';').map(|text| text.trim().to_lowercase().replace(',', ", ")).collect();
        assert_eq!(decoded(arch, init, written), expected, "{written}");
    };
    let arm = "uint8_t b; uint16_t h; int w; 0:X1=b; 0:X2=h; 0:X3=w; 0:X6=b;";
    for written in [
        "LDRB W0,[X1]; STRB W0,[X1]; LDRH W0,[X2]; STRH W0,[X2]",
        "LDRSB X0,[X1]; LDRSB W0,[X1]; LDRSH X0,[X2]; LDRSH W0,[X2]; LDRSW X0,[X3]",
        "LDARB W0,[X1]; LDARH W0,[X2]; STLRB W0,[X1]; STLRH W0,[X2]; LDAPRB W0,[X1]; LDAPRH W0,[X2]",
        "LDXRB W0,[X1]; STXRB W4,W0,[X1]; LDAXRH W0,[X2]; STLXRH W4,W0,[X2]",
        "CASAB W0,W5,[X1]; CASLH W0,W5,[X2]; SWPALH W0,W5,[X2]; SWPB W0,W5,[X1]; LDADDB W0,W5,[X1]; LDCLRALH W0,W5,[X2]",
        "STADDB W0,[X1]; STADDH W0,[X2]",
        "LDURB W0,[X1]; STURH W0,[X2]; LDURSB X0,[X1]; LDURSB W0,[X1]; LDURSH X0,[X2]; LDURSW X0,[X3]",
        "LDAPUR W0,[X3]; LDAPURB W0,[X1]; LDAPURSB X0,[X1]; LDAPURSH W0,[X2]; LDAPURSW X0,[X3]; STLUR W0,[X3]; STLURH W0,[X2]",
    ] {
        same(Arch::Aarch64, arm, written);
    }
    let power = "uint8_t b; uint16_t h; 0:r1=b; 0:r2=h; 0:r6=0;";
    same(Arch::Powerpc64le, power, "lbz r3,0(r1); stb r3,0(r1); lhz r3,0(r2); sth r3,0(r2)");
    same(Arch::Powerpc64le, power, "lbzx r3,r6,r1; stbx r3,r6,r1; lhzx r3,r6,r2; sthx r3,r6,r2");
    let riscv = "uint8_t b; uint16_t h; int w; 0:a1=b; 0:a2=h; 0:a3=w;";
    same(
        Arch::Riscv64gc,
        riscv,
        "lb a0,0(a1); lbu a0,0(a1); lh a0,0(a2); lhu a0,0(a2); lwu a0,0(a3); sb a0,0(a1); sh a0,0(a2)",
    );
}

/// The value that a run reads has the type that the test declares, as the models have it.
#[test]
fn columns_have_the_declared_types() {
    let text = "X86_64 t\n{ uint8_t b=0xff; int8_t c=-1; uint32_t u; uint64_t q; uint32_t 0:rcx; uint64_t 0:rdx; }\n P0 ;\n movl $-1,(u) ;\n \
                movl (u),%ecx ;\n movzbl (b),%eax ;\n movq $-1,%rdx ;\n movq %rdx,(q) ;\n\
                forall (b=255 /\\ c=-1 /\\ u=0xffffffff /\\ 0:rcx=0xffffffff /\\ 0:rax=255 /\\ 0:rdx=-1 /\\ q=-1)\n";
    let scenario = read(text).unwrap();
    let types: Vec<String> =
        scenario.program.locations.iter().map(|known| format!("{} {}", known.ty, known.name)).collect();
    assert_eq!(types, ["u8 b", "s8 c", "u32 u", "u64 q"]);
    let code = scenario.code_for(Model::X86Tso, Target::from(Arch::X86_64).choices()).unwrap();
    let states = model::check(&code, Model::X86Tso, Bounds::default()).unwrap().states;
    assert_eq!(states.len(), 1, "{states:?}");
    assert!(!scenario.program.is_race(states.first().unwrap()), "{states:?}");
    let shown = scenario.program.condition_text();
    assert!(shown.contains("u=4294967295") && shown.contains("c=-1") && !shown.contains("\\/"), "{shown}");
    if Arch::host() == Some(Arch::X86_64) {
        let outcomes = measured(&scenario.program, Pace::Free, LayoutKind::Packed).unwrap();
        assert_eq!(outcomes.keys().collect::<Vec<_>>(), states.iter().collect::<Vec<_>>());
    }
}

/// Accesses of another size than the location's run, as far as they stay inside.
#[test]
fn accesses_of_mixed_sizes_run() {
    let text = "X86_64 t\n{ uint64_t x; 0:rax=x; 0:rbx=x; uint64_t 0:rcx; }\n P0 ;\n movl $1,(%rax) ;\n addq $4,%rbx ;\n movl $2,(%rbx) ;\n \
                movq (%rax),%rcx ;\nforall (0:rcx=0x200000001)\n";
    let scenario = read(text).unwrap();
    if Arch::host() == Some(Arch::X86_64) {
        let outcomes = measured(&scenario.program, Pace::Free, LayoutKind::Padded).unwrap();
        assert_eq!(outcomes.into_keys().collect::<Vec<_>>(), [[Const::Int(0x2_0000_0001)]]);
    }
    let outside = text.replace("addq $4", "addq $6");
    let error = read(&outside).unwrap_err();
    assert!(error.contains("t.litmus:6:2"), "an access that is not aligned: {error}");
}

/// tests/litmus/arithmetic has the values by the manuals. The models compute them, and so does the CPU where it is of that
/// architecture.
#[test]
fn arithmetic_has_the_values_of_the_manuals() {
    let mut files = Vec::new();
    common::find(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/litmus/arithmetic"), &[".litmus"], &mut files);
    assert!(files.len() >= 7, "{files:?}");
    for file in files {
        let scenario = read(&fs::read_to_string(&file).unwrap()).unwrap_or_else(|error| panic!("{error}"));
        let arch = scenario.program.language.unwrap();
        let model = Model::of(arch);
        let code = scenario.code_for(model, Target::from(arch).choices()).unwrap();
        let outcome = model::check(&code, model, Bounds::default()).unwrap();
        assert_eq!((outcome.verdict, outcome.states.len()), (Verdict::Always, 1), "{}", file.display());
        if Arch::host() == Some(arch) {
            let outcomes = measured(&scenario.program, Pace::Free, LayoutKind::Padded).unwrap();
            // The race of a `forall` is a state in which it does not hold.
            assert!(outcomes.keys().all(|state| !scenario.program.is_race(state)), "{}: {outcomes:?}", file.display());
        }
    }
}

/// A test runs on its own architecture only, so these are run where they can be.
fn host_runs(arch: Arch) -> &'static [&'static str] {
    match arch {
        Arch::X86_64 => &[
            "X86 SB\n{}\n P0 | P1 ;\n MOV [x],$1 | MOV [y],$1 ;\n MOV EAX,[y] | MOV EAX,[x] ;\nexists (0:EAX=0 /\\ 1:EAX=0)\n",
            "X86_64 SB+mfences\n{}\n P0 | P1 ;\n movl $1,(x) | movl $1,(y) ;\n mfence | mfence ;\n movl (y),%eax | movl (x),%eax ;\nexists (0:rax=0 /\\ 1:rax=0)\n",
            "X86_64 SB+xchg\n{ 0:rbx=1; 1:rbx=1; }\n P0 | P1 ;\n xchgl %ebx,(x) | xchgl %ebx,(y) ;\n movl (y),%eax | movl (x),%eax ;\nexists (0:rax=0 /\\ 1:rax=0)\n",
            "X86_64 MP\n{}\n P0 | P1 ;\n movl $1,(x) | movl (y),%eax ;\n movl $1,(y) | movl (x),%ebx ;\nexists (1:rax=1 /\\ 1:rbx=0)\n",
            "X86_64 LB\n{}\n P0 | P1 ;\n movl (x),%eax | movl (y),%eax ;\n movl $1,(y) | movl $1,(x) ;\nexists (0:rax=1 /\\ 1:rax=1)\n",
            "X86_64 2+2W\n{}\n P0 | P1 ;\n movl $2,(x) | movl $2,(y) ;\n movl $1,(y) | movl $1,(x) ;\nexists (x=2 /\\ y=2)\n",
            "X86_64 R\n{}\n P0 | P1 ;\n movl $1,(x) | movl $2,(y) ;\n movl $1,(y) | movl (x),%eax ;\nexists (y=2 /\\ 1:rax=0)\n",
            "X86_64 S\n{}\n P0 | P1 ;\n movl $2,(x) | movl (y),%eax ;\n movl $1,(y) | movl $1,(x) ;\nexists (x=2 /\\ 1:rax=1)\n",
            "X86_64 cmpxchg\n{ uint64_t x; 0:rbx=7; 1:rbx=9; uint64_t 0:rax; uint64_t 1:rax; }\n P0 | P1 ;\n lock cmpxchgq %rbx,(x) | lock cmpxchgq %rbx,(x) ;\n\
             forall ((x=7 /\\ 0:rax=0 /\\ 1:rax=7) \\/ (x=9 /\\ 0:rax=9 /\\ 1:rax=0))\n",
            "X86_64 counter\n{ 0:rax=0; 1:rbx=1; }\n P0 | P1 ;\n L: movl %eax,%ecx | lock xaddl %ebx,(x) ;\n incl %ecx | lock incl (x) ;\n \
             lock cmpxchgl %ecx,(x) | lock addl $2,(x) ;\n jne L | ;\nforall (x=5)\n",
            "X86_64 pointer\n{ p=x; 1:rcx=y; x=5; y=6; }\n P0 | P1 ;\n movq (p),%rax | movq %rcx,(p) ;\n movl (%rax),%ebx | ;\nforall ((0:rax=x /\\ 0:rbx=5) \\/ (0:rax=y /\\ 0:rbx=6))\n",
            "X86_64 return\n{ x=1; 0:rbx=x; uint64_t 0:rcx; }\n P0 ;\n cmpl $1,(x) ;\n je L ;\n ret ;\n L: shlq $3,%rcx ;\n nopl (%rbx) ;\n addl $4,(%rbx,%rcx,4) ;\n \
             jmp M ;\n N: ret ;\n M: jmp N ;\nforall (x=5)\n",
            "X86_64 one\n{ x=3; uint64_t 0:rcx; }\n P0 ;\n movl (x),%eax ;\n addl $-5,%eax ;\n movl %eax,%ecx ;\n subl $1,(x) ;\n orl $8,(x) ;\n andl $0xa,(x) ;\n xorl %eax,(x) ;\n \
             cmpl $-2,%eax ;\n je L ;\n movl $9,(x) ;\n L: ;\nforall (0:rcx=0xfffffffe /\\ x=-12)\n",
        ],
        Arch::Aarch64 => &[
            "AArch64 SB\n{ 0:X1=x; 0:X3=y; 1:X1=y; 1:X3=x; }\n P0 | P1 ;\n MOV W0,#1 | MOV W0,#1 ;\n STR W0,[X1] | STR W0,[X1] ;\n LDR W2,[X3] | LDR W2,[X3] ;\nexists (0:X2=0 /\\ 1:X2=0)\n",
            "AArch64 MP+dmb.sy+addr\n{ 0:X1=x; 0:X3=y; 1:X1=y; 1:X3=x; }\n P0 | P1 ;\n MOV W0,#1 | LDR W0,[X1] ;\n STR W0,[X1] | EOR W2,W0,W0 ;\n DMB SY | LDR W4,[X3,W2,SXTW] ;\n STR W0,[X3] | ;\nexists (1:X0=1 /\\ 1:X4=0)\n",
            "AArch64 counter\n{ 0:X1=x; 1:X1=x; 1:X0=2; }\n P0 | P1 ;\n L: LDXR W0,[X1] | LDADD W0,W2,[X1] ;\n ADD W0,W0,#1 | ;\n STXR W2,W0,[X1] | ;\n CBNZ W2,L | ;\nforall (x=3)\n",
            "AArch64 one\n{ uint64_t 0:X9; 0:X1=5; 0:X2=-5; }\n P0 ;\n CMP W1,W2 ;\n CSINV X9,X1,X2,LT ;\n MVN X3,X9 ;\n ADD X9,X3,W1,UXTW ;\n LSL X9,X9,#4 ;\n EOR X9,X9,#0xff ;\nforall (0:X9=0xff)\n",
        ],
        Arch::Powerpc64le => &[
            "PPC SB\n{ 0:r2=x; 0:r4=y; 1:r2=y; 1:r4=x; }\n P0 | P1 ;\n li r1,1 | li r1,1 ;\n stw r1,0(r2) | stw r1,0(r2) ;\n lwz r3,0(r4) | lwz r3,0(r4) ;\nexists (0:r3=0 /\\ 1:r3=0)\n",
            "PPC counter\n{ 0:r2=x; 1:r2=x; }\n P0 | P1 ;\n L: lwarx r1,r0,r2 | L: lwarx r1,r0,r2 ;\n addi r1,r1,1 | addi r1,r1,2 ;\n stwcx. r1,r0,r2 | stwcx. r1,r0,r2 ;\n bne L | bne L ;\nforall (x=3)\n",
            "PPC one\n{ 0:r2=x; x=3; }\n P0 ;\n lwz r1,0(r2) ;\n xor r3,r1,r1 ;\n lwzx r4,r3,r2 ;\n ori r4,r4,8 ;\n cmpwi r4,11 ;\n beq L ;\n li r4,1 ;\n L: add r4,r4,r1 ;\nforall (0:r4=14)\n",
        ],
        Arch::Riscv64gc => &[
            "RISCV SB\n{ 0:x6=x; 0:x7=y; 1:x6=y; 1:x7=x; }\n P0 | P1 ;\n li x5,1 | li x5,1 ;\n sw x5,0(x6) | sw x5,0(x6) ;\n lw x8,0(x7) | lw x8,0(x7) ;\nexists (0:x8=0 /\\ 1:x8=0)\n",
            "RISCV counter\n{ 0:x6=x; 1:x6=x; 1:x5=2; }\n P0 | P1 ;\n L: lr.w x5,(x6) | amoadd.w x7,x5,(x6) ;\n addi x5,x5,1 | ;\n sc.w x7,x5,(x6) | ;\n bnez x7,L | ;\nforall (x=3)\n",
            "RISCV one\n{ 0:x6=x; x=3; uint64_t 0:x9; }\n P0 ;\n lw x5,0(x6) ;\n xor x7,x5,x5 ;\n add x7,x7,x6 ;\n lw x8,0(x7) ;\n sub x9,x8,x5 ;\n addi x9,x9,-1 ;\n slli x9,x9,4 ;\nforall (0:x9=-16)\n",
        ],
    }
}

/// A test that ends in every pace in outcomes that its architecture allows, as many as it has iterations. A test of one
/// thread ends in the only outcome.
#[test]
fn tests_of_this_host_run_and_end_as_its_model_allows() {
    let host = Target::of_host().unwrap();
    for text in host_runs(host.arch) {
        let scenario = read(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let program = &scenario.program;
        let code = scenario.code_for(Model::of(host.arch), host.choices()).unwrap();
        let model = model::check(&code, Model::of(host.arch), Bounds::default()).unwrap();
        assert!(!program.quantifier.eq(&Quantifier::Forall) || model.verdict == Verdict::Always, "{text}");
        let narrow = |row: &[Const]| -> Vec<Const> {
            let bytes = |column: usize| match program.columns[column] {
                Column::Register { thread, register } => program.threads[thread].registers[register].ty.bytes(),
                Column::Location(location) => program.locations[location].ty.bytes(),
            };
            let each = row.iter().enumerate().map(|(column, value)| match value {
                Const::Int(value) if bytes(column) == 4 => Const::Int((*value as i32).into()),
                other => *other,
            });
            each.collect()
        };
        let states: BTreeSet<Vec<Const>> = model.states.iter().map(|state| narrow(state)).collect();
        let ways =
            [(Pace::Free, LayoutKind::Padded), (Pace::Paced, LayoutKind::Packed), (Pace::Free, LayoutKind::Dense)];
        for (pace, kind) in ways {
            let outcomes = measured(program, pace, kind).unwrap();
            assert_eq!(outcomes.values().sum::<u64>(), 2_000, "{text}");
            for row in outcomes.keys() {
                let row = narrow(row);
                assert!(states.contains(&row), "{pace:?} {kind}: {row:?} is not allowed: {states:?}\n{text}");
            }
        }
    }
}

/// Runs a test on the available CPUs, for 2,000 iterations.
fn measured(program: &Program, pace: Pace, kind: LayoutKind) -> wakerace::error::Result<OutcomeCounts> {
    let allowed = allowed_cpus().unwrap();
    let layout = Layout::new(kind, program, 64).unwrap();
    let code = isa::emit(Target::of_host().unwrap(), program, &layout, pace).unwrap();
    let cpus: Vec<usize> = (0..program.threads.len()).map(|thread| allowed[thread % allowed.len()]).collect();
    let job = Job { program, layout: &layout, code: &code, cpus: &cpus, clock: Clock::calibrate() };
    let plan = RunPlan {
        pace,
        period: Ticks(500),
        group: 1,
        prefetch: Prefetch::Turns,
        focus: false,
        nice: 0,
        event: None,
        adapt: Adapt::Never,
        skews: [-50, 0, 50].map(Ticks).to_vec(),
        counter_offsets: Vec::new(),
        edges: None,
        batch: 100,
        seed: 1,
        only_at: None,
        finds_neighbours: false,
        limits: Limits { iterations: Some(2_000), ..Limits::default() },
    };
    run(job, &plan, &AtomicBool::new(false), |_| ()).map(|measurement| measurement.tally.outcomes())
}

/// A thread may use nearly every register of its architecture.
#[test]
fn a_thread_of_this_host_with_many_registers_runs() {
    let arch = Target::of_host().unwrap().arch;
    let most = MOST.iter().find(|(known, _)| *known == arch).unwrap().1;
    for (count, looping) in [(most / 2, false), (most - 1, true), (most, true), (most, false)] {
        let (text, values) = many(arch, count, looping);
        let scenario = read(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let wanted: Vec<Const> = values.into_iter().map(Const::Int).collect();
        for (pace, kind) in [(Pace::Free, LayoutKind::Dense), (Pace::Paced, LayoutKind::Padded)] {
            let seen: Vec<_> = measured(&scenario.program, pace, kind).unwrap().into_iter().collect();
            assert_eq!(seen, [(wanted.clone(), 2_000)], "{count} {looping} {pace:?}");
        }
    }
}

/// A thread that waits for a value that no thread stores gives up, and the error names it.
#[test]
fn a_test_that_waits_for_ever_ends_with_an_error() {
    let text = match Target::of_host().unwrap().arch {
        Arch::X86_64 => "X86_64 wait\n{}\n P0 | P1 ;\n movl $1,(x) | L: cmpl $2,(x) ;\n | jne L ;\nexists (x=1)\n",
        Arch::Aarch64 => {
            "AArch64 wait\n{ 1:X1=x; }\n P0 | P1 ;\n NOP | L: LDR W0,[X1] ;\n | CBZ W0,L ;\nexists (x=1)\n"
        }
        Arch::Powerpc64le => {
            "PPC wait\n{ 1:r2=x; }\n P0 | P1 ;\n nop | L: lwz r1,0(r2) ;\n | cmpwi r1,1 ;\n | bne L ;\nexists (x=1)\n"
        }
        Arch::Riscv64gc => {
            "RISCV wait\n{ 1:x6=x; }\n P0 | P1 ;\n nop | L: lw x5,0(x6) ;\n | beqz x5,L ;\nexists (x=1)\n"
        }
    };
    let scenario = read(text).unwrap();
    let error = measured(&scenario.program, Pace::Free, LayoutKind::Padded).unwrap_err().to_string();
    assert!(error.contains("P1 went round a loop for 5 s"), "{error}");
}

/// A jump of more than 127 bytes has 32 bits of distance, in both directions. The jumps between make each other longer.
#[test]
fn x86_64_jumps_have_the_shortest_form_that_reaches() {
    let nops = |count: usize| vec!["nop"; count].join("; ");
    let jumps = |body: &str| {
        let all = decoded(Arch::X86_64, "int x;", body);
        all.into_iter().filter(|text| text.starts_with('j')).collect::<Vec<_>>()
    };
    let scenario = |body: &str| read(&one(Arch::X86_64, "int x;", body)).unwrap();
    let lengths = |body: &str| {
        let bytes = isa::as_written(&scenario(body).program).unwrap();
        bytes[0].iter().map(Vec::len).filter(|length| *length > 1).collect::<Vec<_>>()
    };
    let forward = |count| format!("jmp L; {}; L:", nops(count));
    assert_eq!((lengths(&forward(127)), jumps(&forward(127))), (vec![2], vec!["jmp 0x81".to_owned()]));
    assert_eq!((lengths(&forward(128)), jumps(&forward(128))), (vec![5], vec!["jmp 0x85".to_owned()]));
    let backward = |count| format!("L: {}; jmp L", nops(count));
    assert_eq!(lengths(&backward(126)), [2]);
    assert_eq!(lengths(&backward(127)), [5]);
    // The first jump reaches only if the second is short, and the second is not.
    let both = format!("jmp A; {}; jmp B; A: {}; B:", nops(124), nops(128));
    assert_eq!(lengths(&both), [5, 5]);
    assert_eq!(jumps(&both), ["jmp 0x86", "jmp 0x106"]);
}

/// Between the first and the last instruction of the test stand only instructions of the test, in every pace and layout.
#[test]
fn the_emitted_code_has_the_tests_instructions_and_nothing_between() {
    let text = "X86_64 t\n{ x=0; 1:rax=3; 1:r10=y; }\n P0 | P1 ;\n movl $1,(x) | L: lock cmpxchgl %ebx,(x) ;\n mfence | jne L ;\n \
                movl (y),%eax | movl $2,(%r10) ;\nexists (0:rax=0 /\\ 1:rax=0)\n";
    let scenario = read(text).unwrap();
    for kind in [LayoutKind::Padded, LayoutKind::Packed, LayoutKind::Dense] {
        let layout = Layout::new(kind, &scenario.program, 64).unwrap();
        let y = layout.offsets[scenario.program.locations.iter().position(|known| known.name == "y").unwrap()];
        for pace in [Pace::Free, Pace::Paced] {
            let code = isa::emit(Arch::X86_64, &scenario.program, &layout, pace).unwrap();
            let own: Vec<Vec<String>> = (code.iter())
                .map(|code| {
                    let all = disassemble(code).unwrap();
                    let is_op = |part: Part| matches!(part, Part::Op(_));
                    let first = all.iter().position(|instruction| is_op(instruction.part)).unwrap();
                    let last = all.iter().rposition(|instruction| is_op(instruction.part)).unwrap();
                    all[first..=last].iter().map(|instruction| instruction.text.clone()).collect()
                })
                .collect();
            // capstone writes small numbers in decimal.
            let y = if y < 10 { y.to_string() } else { format!("{y:#x}") };
            assert_eq!(own[0], ["mov dword ptr [rdi], 1", "mfence", &format!("mov ebx, dword ptr [rdi + {y}]")]);
            assert_eq!(own[1].len(), 3, "{own:?}");
            assert_eq!(own[1][0], "lock cmpxchg dword ptr [rdi], ebp");
            // rax is loaded behind the wait, in front of the test.
            let all = disassemble(&code[1]).unwrap();
            let first = all.iter().position(|instruction| matches!(instruction.part, Part::Op(_))).unwrap();
            assert_eq!(all[first - 1].text, "mov eax, 3");
        }
    }
}

#[test]
fn what_cannot_run_is_refused_at_its_place() {
    let refused = |text: &str, place: &str, words: &str| {
        let error = read(text).err().unwrap_or_else(|| panic!("this must be refused:\n{text}"));
        assert!(error.contains(&format!("t.litmus:{place}")) && error.contains(words), "{error}");
    };
    let x86 = |init: &str, line: &str| format!("X86_64 t\n{{ {init} }}\n P0 ;\n nop ;\n {line} ;\nexists (x=0)\n");
    refused(&x86("", "clflush (x)"), "5:2", "`clflush (x)` is not a supported instruction");
    refused(&x86("", "movl $1,(%rsp)"), "5:2", "address 0");
    refused(&x86("0:rsp=x;", "movl $1,(%rsp)"), "5:2", "rsp holds the stack");
    refused(&x86("0:rax=x;", "movl $1,(%eax)"), "5:2", "the address in `(%eax)` has 32 bits");
    refused(&x86("", "movl %ecx,%rax"), "5:2", "different widths");
    refused(&x86("", "nopl (%rax,%eax,0)"), "5:2", "the scale is 0; expected 1, 2, 4 or 8");
    refused(&x86("", "nopl %cs:0(%rax,%rax,1)"), "5:2", "a segment is not encoded");
    // Accesses outside of the test's locations.
    refused(&x86("0:rax=8;", "movl $1,(%rax)"), "5:2", "may have the address 8, which is no location");
    refused(&x86("0:rax=x;", "addq $4,%rax ;\n movl $1,(%rax)"), "6:2", "4 bytes at offset 4 of `x`, which has 4");
    refused(&x86("0:rax=x; uint64_t y;", "addq (y),%rax ;\n incq (y) ;\n movl $1,(%rax)"), "7:2", "in advance");
    // An address of another size than 64 bits is torn.
    refused(&x86("0:rax=x;", "movl %eax,%ebx ;\n movl $1,(%rbx)"), "6:2", "in advance");
    let many: Vec<String> = (8..16).map(|number| format!("movl $1,%r{number}d")).collect();
    let more = ["rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp"].map(|name| format!("movq $1,%{name}"));
    let all = [many, more.to_vec()].concat().join(" ;\n ");
    assert!(read(&x86("", &all)).is_ok());
    // An operand that names a location needs a register for the address of the instance.
    refused(
        &x86("", &format!("movl $1,(x) ;\n {all}")),
        "4:2",
        "uses 15 registers; 14 can hold values during an instance",
    );
    // The values of a run have the types of the test. Where they do not tell whether the bits are equal, it does not run.
    let equal = |init: &str, line: &str, condition: &str| {
        format!("X86_64 t\n{{ {init} }}\n P0 ;\n {line} ;\nexists ({condition})\n")
    };
    let words = "the condition compares the bits of `0:rax` and `x`";
    refused(&equal("uint64_t x=0x100000001;", "movq (x),%rax", "0:rax=[x]"), "1:1", words);
    refused(&equal("int16_t x=-1; uint16_t y=-1;", "nop", "[x]=[y]"), "1:1", "compares the bits of `x` and `y`");
    assert!(read(&equal("uint64_t x=1; int y=1;", "movq (x),%rax", "0:rax=[x] /\\ [x]=[y]")).is_ok());
    assert!(read(&equal("x=7;", "movl (x),%eax ;\n movl %eax,%ebx", "0:rax=0:rbx /\\ 0:rax=[x]")).is_ok());
    // A test that another architecture runs is not for this one.
    let scenario = read(&x86("", "movl $1,(x)")).unwrap();
    for arch in Arch::ALL.into_iter().filter(|arch| *arch != Arch::X86_64) {
        let reason = scenario.refused_by(arch).unwrap();
        assert!(reason.contains("assembly of x86_64") && reason.contains("wakerace check"), "{reason}");
        let layout = Layout::new(LayoutKind::Padded, &scenario.program, 64).unwrap();
        let error = isa::emit(arch, &scenario.program, &layout, Pace::Free).unwrap_err().to_string();
        assert!(error.contains("assembly of x86_64") && error.contains(arch.name()), "{error}");
    }
    assert_eq!(scenario.refused_by(Arch::X86_64), None);
}

/// What an access may reach is computed through memory, registers, branches and loops. Nothing here is refused.
#[test]
fn a_false_dependency_and_a_pointer_in_memory_stay_inside() {
    let runs = |init: &str, body: &str| {
        let text = one(Arch::X86_64, init, body);
        read(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
    };
    runs("0:rax=x;", "movl (y),%ecx; xorl %ecx,%ecx; addq %rcx,%rax; movl $1,(%rax)");
    runs("0:rax=x;", "movl (y),%ecx; andl $2,%ecx; movl $1,(y); addq %rcx,%rax; movl $1,(%rax)");
    let pointer = runs("p=x; q=0; 0:rcx=x;", "movq (p),%rax; movl $1,(%rax); movq %rcx,(q); movq (q),%rbx");
    let types: Vec<String> =
        pointer.program.locations.iter().map(|known| format!("{} {}", known.ty, known.name)).collect();
    assert_eq!(types, ["s32 x", "pointer p", "pointer q"]);
    runs("0:rax=x; 0:rbx=y;", "movl (z),%ecx; cmpl $1,%ecx; je L; movq %rbx,%rax; L: movl $1,(%rax)");
    // An offset that grows in a loop is not bounded.
    let text = one(Arch::X86_64, "0:rax=x;", "L: movl $1,(%rax); addq $4,%rax; cmpl $3,(y); jne L");
    assert!(read(&text).unwrap_err().contains("in advance"));
}

/// Every text is refused with an error, or it has code that the disassembler reads: nothing that was read is refused later.
#[test]
fn a_changed_test_is_refused_or_has_code() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    let (mut emitted, mut refused) = (0, 0);
    for arch in Arch::ALL {
        let texts = host_runs(arch);
        let words: Vec<&str> = texts.iter().flat_map(|text| text.split_inclusive([' ', ',', '\n', '('])).collect();
        for text in texts {
            for _ in 0..60 {
                let mut pieces: Vec<&str> = text.split_inclusive([' ', ',', '\n', '(']).collect();
                for _ in 0..1 + random(2) {
                    let at = 1 + random(pieces.len() - 1);
                    match random(4) {
                        0 => drop(pieces.remove(at)),
                        1 => pieces.insert(at, words[random(words.len())]),
                        2 => pieces[at] = words[random(words.len())],
                        _ => {
                            pieces[at] = ["0x7fffffffffffffff ", "-1,", "x ", "[X1,#-8] ", "0(r0) ", "LOCK "][random(6)]
                        }
                    }
                }
                let changed = pieces.concat();
                let Ok(scenario) = read(&changed) else {
                    refused += 1;
                    continue;
                };
                let arch = scenario.program.language.unwrap();
                let layout = Layout::new(LayoutKind::Padded, &scenario.program, 64).unwrap();
                let code = isa::emit(arch, &scenario.program, &layout, Pace::Paced);
                for code in code.unwrap_or_else(|error| panic!("{error}\n{changed}")) {
                    let listed = disassemble(&code).unwrap_or_else(|error| panic!("{error}\n{changed}"));
                    if arch == Arch::X86_64 {
                        let listed: Vec<String> = listed.into_iter().map(|instruction| instruction.text).collect();
                        assert_eq!(listed, common::x86::capstone(&code.bytes), "{changed}");
                    }
                }
                emitted += 1;
            }
        }
    }
    assert!(emitted > 50 && refused > 50, "{emitted} {refused}");
}

/// A folder of tests for several architectures: those of the host run, and the others are told by name.
#[test]
fn a_folder_of_tests_in_assembly_runs_as_far_as_it_can() {
    let host = Arch::host().unwrap();
    let folder = tempfile::tempdir().unwrap();
    for arch in Arch::ALL {
        // The first test of each list is store buffering.
        fs::write(folder.path().join(format!("{arch}.litmus")), host_runs(arch)[0]).unwrap();
    }
    fs::write(folder.path().join("none.litmus"), host_runs(host)[0].replace("exists", "exist")).unwrap();
    let wakerace = |args: &[&str], status: i32| {
        let output = common::wakerace_in(folder.path()).args(args).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(status), "{args:?}: {told}");
        (String::from_utf8_lossy(&output.stdout).into_owned(), told)
    };
    let quick = ["--no-controls", "--no-save", "--oversubscribe", "-n", "500", "--export-json", "record.json"];
    // The status is that of the file that is no test.
    let (_, told) = wakerace(&[&["run", "."], &quick[..]].concat(), 2);
    for other in Arch::ALL.into_iter().filter(|other| *other != host) {
        assert!(told.contains(&format!("SB is not run on {host}: it is in the assembly of {other}")), "{told}");
    }
    let record: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(folder.path().join("record.json")).unwrap()).unwrap();
    let results = record["results"].as_array().unwrap();
    assert_eq!(results.len(), 1, "{results:?}");
    assert_eq!((&results[0]["scenario"], &results[0]["iterations"]), (&"SB".into(), &500.into()));
    assert_eq!(results[0]["expected"], "Sometimes", "the verdict of the architecture's model");
    wakerace(&["validate", "record.json"], 0);
    wakerace(&["report", "-o", "page.html", "record.json"], 0);
    let page = fs::read_to_string(folder.path().join("page.html")).unwrap();
    assert!(page.contains("SB") && page.contains("0:"), "the outcomes are on the page");
    // The code of a test for another architecture is shown without a further word.
    let foreign = Arch::ALL.into_iter().find(|other| *other != host).unwrap();
    let file = format!("{foreign}.litmus");
    assert!(wakerace(&["show", &file], 0).0.contains(&format!("== P1, {foreign}:")));
    // Alone, such a test leaves nothing to run.
    let (_, told) = wakerace(&["run", &file], 2);
    assert!(told.contains("none of the named scenarios can run") && told.contains("wakerace check"), "{told}");
}

/// herdtools allows a test without a condition. It then has outcomes and no race.
#[test]
fn a_test_may_have_no_condition() {
    let text = "X86_64 t\n{}\n P0 | P1 ;\n movl $1,(x) | movl $2,(x) ;\n";
    let scenario = read(&format!("{text}locations [x;]\n")).unwrap();
    assert_eq!((scenario.program.quantifier, scenario.program.columns.len()), (Quantifier::Forall, 1));
    assert!(!scenario.program.is_race(&[Const::Int(1)]));
    assert!(read(text).unwrap().program.columns.is_empty());
    assert!(read(&format!("{text}exist (x=1)\n")).is_err());
}

/// The folder of a corpus that the comparison with GNU as also reads.
const CORPUS: &str = "WAKERACE_TEST_CORPUS";

/// The text of a thread for GNU as. An operand that names a location becomes the address in rdi.
fn for_as(arch: Arch, scenario: &Scenario, thread: usize, number: usize) -> String {
    let program = &scenario.program;
    let mut text = match arch {
        Arch::X86_64 => String::new(),
        Arch::Aarch64 => ".arch armv8.6-a+rcpc\n".to_owned(),
        Arch::Powerpc64le => ".machine power8\n".to_owned(),
        Arch::Riscv64gc => ".option norvc\n.option norelax\n".to_owned(),
    };
    let assembly = program.threads[thread].assembly.as_ref().unwrap();
    // Labels are numbered, so that the texts of several threads can be assembled together.
    let label = |at: usize| format!("L_{number}_{at}");
    for (at, instruction) in assembly.instructions.iter().enumerate() {
        text.push_str(&format!("{}:\n", label(at)));
        let mut operands = instruction.operands.clone();
        if arch == Arch::X86_64 {
            operands = operands.iter().map(|operand| x86_operand(program, operand)).collect();
        }
        // A jump names its label last.
        if let Some(last) = operands.last_mut()
            && let Some(target) = assembly.label(last)
        {
            *last = label(target);
        }
        text.push_str(&as_text(arch, &instruction.mnemonic, &operands));
        text.push('\n');
    }
    text
}

fn x86_operand(program: &Program, operand: &str) -> String {
    let inner = operand.trim_matches(['(', ')', '[', ']']);
    let named = inner.len() < operand.len() && program.locations.iter().any(|location| location.name == inner);
    if named {
        operand.replace(inner, if operand.starts_with('[') { "rdi" } else { "%rdi" })
    } else {
        operand.to_owned()
    }
}

/// One instruction in the syntax of GNU as.
fn as_text(arch: Arch, mnemonic: &str, operands: &[String]) -> String {
    // herd writes the suffixes of RISC-V with a point between.
    let mnemonic = mnemonic.to_lowercase().replace(".aq.rl", ".aqrl");
    match arch {
        Arch::X86_64 if operands.iter().any(|operand| operand.contains('%') || operand.contains('(')) => {
            let operands: Vec<String> = operands.iter().map(|operand| operand.to_lowercase()).collect();
            format!(".att_syntax prefix\n{mnemonic} {}", operands.join(","))
        }
        Arch::X86_64 => {
            // An X86 test: the operands were turned round when they were read.
            let operands: Vec<String> = (operands.iter().rev())
                .map(|operand| operand.replace('[', "dword ptr [").replace('$', "").to_lowercase().replace("l_", "L_"))
                .collect();
            format!(".intel_syntax noprefix\n{mnemonic} {}", operands.join(","))
        }
        // herd's name.
        Arch::Riscv64gc if mnemonic == "fence" && operands == ["tso"] => "fence.tso".to_owned(),
        Arch::Powerpc64le => {
            let operands: Vec<String> = operands.iter().map(|operand| ppc_operand(operand)).collect();
            format!("{mnemonic} {}", operands.join(","))
        }
        _ => {
            let lower =
                |operand: &String| if operand.starts_with("L_") { operand.clone() } else { operand.to_lowercase() };
            format!("{mnemonic} {}", operands.iter().map(lower).collect::<Vec<_>>().join(","))
        }
    }
}

/// GNU as takes registers of POWER as numbers.
fn ppc_operand(operand: &str) -> String {
    match operand.split_once('(') {
        Some((offset, base)) => format!("{offset}({}", base.trim_start_matches('r')),
        None if operand.starts_with("L_") => operand.to_owned(),
        None => operand.trim_start_matches("cr").trim_start_matches('r').to_owned(),
    }
}

/// The machine code that GNU as makes of a text; its message if it refuses it. WAKERACE_CROSS is a command that runs a
/// command where the cross assemblers are.
fn assembled(arch: Arch, text: &str) -> Result<Vec<u8>, String> {
    let prefix = match arch {
        Arch::X86_64 => "x86_64",
        Arch::Aarch64 => "aarch64",
        Arch::Powerpc64le => "powerpc64le",
        Arch::Riscv64gc => "riscv64",
    };
    let runner = std::env::var_os("WAKERACE_CROSS").expect("WAKERACE_CROSS is not set, such as to scripts/in-rootfs");
    let tool = format!("{prefix}-linux-gnu");
    let script = format!(
        "cd \"$(mktemp -d)\" && cat >t.s && {tool}-as t.s -o t.o && \
         {tool}-objcopy -O binary --only-section=.text t.o t.bin && cat t.bin"
    );
    let mut command = Command::new(&runner);
    command.args(["sh", "-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", runner.display()));
    // The script reads all of the text before it writes anything.
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(output.stdout)
}

/// The tests in assembly of the tree, and of the folders that the environment names.
fn corpus() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    common::find(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"), &[".litmus"], &mut files);
    for folder in std::env::var(CORPUS).iter().flat_map(|folders| folders.split(':')) {
        common::find(Path::new(folder), &[".litmus"], &mut files);
    }
    files.sort();
    let text = |path: PathBuf| fs::read_to_string(&path).ok().map(|text| (path, text));
    files.into_iter().filter_map(text).filter(|(_, text)| isa::model_of_assembly(text).is_some()).collect()
}

/// Every instruction of every test has the bytes that GNU as gives it. What is not encoded is refused by name.
#[test]
#[ignore = "needs the cross assemblers of scripts/rootfs, in WAKERACE_CROSS"]
fn gnu_as_makes_the_same_of_every_instruction() {
    let (mut same, mut refused) = (BTreeMap::<Arch, usize>::new(), BTreeMap::<String, usize>::new());
    let (mut differ, mut threads) = (Vec::new(), BTreeMap::<Arch, Vec<(String, String, Vec<Vec<u8>>)>>::new());
    for (path, text) in corpus() {
        let scenario = match Scenario::new(&Source::new(path.display().to_string(), text), "") {
            Ok(scenario) => scenario,
            Err(wakerace::error::Error::Litmus(diagnostic)) => {
                *refused.entry(diagnostic.reason()).or_default() += 1;
                continue;
            }
            Err(error) => panic!("{}: {error}", path.display()),
        };
        let arch = scenario.program.language.unwrap();
        let own = isa::as_written(&scenario.program).unwrap();
        for (thread, own) in own.iter().enumerate() {
            let all: &mut Vec<_> = threads.entry(arch).or_default();
            let text = for_as(arch, &scenario, thread, all.len());
            all.push((format!("{} P{thread}", path.display()), text, own.clone()));
        }
    }
    for (arch, threads) in &threads {
        // All threads in one text first. If that differs, each by itself.
        let text: String = threads.iter().map(|(_, text, _)| text.as_str()).collect();
        let bytes: Vec<u8> = threads.iter().flat_map(|(.., own)| own.concat()).collect();
        let whole = assembled(*arch, &text).is_ok_and(|found| found == bytes);
        for (name, text, own) in threads {
            match if whole { Ok(own.concat()) } else { assembled(*arch, text) } {
                Ok(bytes) if bytes == own.concat() => *same.entry(*arch).or_default() += own.len(),
                other => differ.push(format!("{name}: {own:02x?}\n{text}{other:02x?}")),
            }
        }
    }
    println!("the same: {same:?}; refused: {refused:#?}");
    let some = differ.iter().step_by(differ.len() / 5 + 1).map(String::as_str).collect::<Vec<_>>().join("\n");
    assert!(differ.is_empty(), "{} threads differ, such as\n{some}", differ.len());
    assert!(same.values().sum::<usize>() > 10, "{same:?}");
}
