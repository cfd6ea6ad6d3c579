//! Prints the lowered form of a test, for `wakerace show`.

use std::fmt::{self, Write as _};

use super::{
    Access, Address, Assembly, Binary, Column, Compare, Const, Op, Operand, Order, Program, Prop, Quantifier, RmwOp,
    RmwResult, Thread, Type, Unary,
};

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for location in &self.locations {
            writeln!(f, "shared {} {} = {}", location.ty, location.name, self.constant(location.init))?;
        }
        for (number, thread) in self.threads.iter().enumerate() {
            writeln!(f, "P{number}:")?;
            for op in &thread.ops {
                writeln!(f, "    {}", self.op(thread, op))?;
            }
            if let Some(assembly) = &thread.assembly {
                self.instructions(f, thread, assembly)?;
            }
        }
        let columns: Vec<String> = (0..self.columns.len()).map(|column| self.column_name(column)).collect();
        writeln!(f, "observe {}", columns.join(", "))?;
        if let Some(event) = &self.match_event {
            writeln!(f, "match {}", self.prop(event))?;
        }
        if let Some(filter) = &self.filter {
            writeln!(f, "filter {}", self.prop(filter))?;
        }
        writeln!(f, "{} {}", self.quantifier, self.prop(&self.condition))
    }
}

impl Program {
    /// The initial registers and the instructions of a thread in assembly.
    fn instructions(&self, f: &mut fmt::Formatter<'_>, thread: &Thread, assembly: &Assembly) -> fmt::Result {
        for &(register, value) in assembly.initial.iter().filter(|(_, value)| *value != Const::Int(0)) {
            writeln!(f, "    {} = {}", thread.registers[register].name, self.constant(value))?;
        }
        for instruction in &assembly.instructions {
            for label in &instruction.labels {
                writeln!(f, "  {label}:")?;
            }
            if !instruction.text.is_empty() {
                writeln!(f, "    {}", instruction.text)?;
            }
        }
        Ok(())
    }

    /// The condition with its quantifier, as records and logs print it.
    pub fn condition_text(&self) -> String {
        format!("{} ({})", self.quantifier, self.prop(&self.condition))
    }

    /// A constant in the syntax of the test.
    pub fn constant(&self, constant: Const) -> String {
        match constant {
            Const::Int(value) => value.to_string(),
            Const::Address(location) => format!("&{}", self.locations[location].name),
        }
    }

    /// A proposition in the syntax of the test.
    pub fn prop(&self, prop: &Prop) -> String {
        match prop {
            Prop::Const(value) => value.to_string(),
            Prop::Equal { column, value } => {
                let value = match value {
                    Const::Int(value) => value.to_string(),
                    Const::Address(location) => self.locations[*location].name.clone(),
                };
                format!("{}={value}", self.column_name(*column))
            }
            Prop::Same(left, right) => {
                let side = |column: usize| match self.columns[column] {
                    Column::Register { .. } => self.column_name(column),
                    Column::Location(_) => format!("[{}]", self.column_name(column)),
                };
                format!("{}={}", side(*left), side(*right))
            }
            Prop::Not(inner) => format!("~({})", self.prop(inner)),
            Prop::And(left, right) => format!("{} /\\ {}", self.inner(left), self.inner(right)),
            Prop::Or(left, right) => format!("{} \\/ {}", self.inner(left), self.inner(right)),
        }
    }

    fn inner(&self, prop: &Prop) -> String {
        match prop {
            Prop::Or(..) => format!("({})", self.prop(prop)),
            _ => self.prop(prop),
        }
    }

    /// One operation of a thread, as text.
    pub fn op(&self, thread: &Thread, op: &Op) -> String {
        let reg = |register: usize| thread.registers[register].name.clone();
        let val = |operand: Operand| match operand {
            Operand::Register(register) => reg(register),
            Operand::Const(constant) => self.constant(constant),
        };
        let place = |address: Address| match address {
            Address::Location(location) => self.locations[location].name.clone(),
            Address::Register(register) => format!("*{}", reg(register)),
        };
        match *op {
            Op::Load { dst, address, access, .. } => {
                format!("{} = {}({})", reg(dst), load_name(access), place(address))
            }
            Op::Store { address, value, access, .. } => {
                format!("{}({}, {})", store_name(access), place(address), val(value))
            }
            Op::StoreMb { address, value, .. } => format!("store_mb({}, {})", place(address), val(value)),
            Op::Fence(fence) => fence.name().to_owned(),
            Op::Rmw { dst, address, value, op, result, order, .. } => {
                let call =
                    format!("{}{}({}, {})", rmw_name(op, result), order_suffix(order), place(address), val(value));
                dst.map_or(call.clone(), |dst| format!("{} = {call}", reg(dst)))
            }
            Op::Cmpxchg { dst, address, expected, new, order, .. } => {
                let suffix = order_suffix(order);
                format!("{} = cmpxchg{suffix}({}, {}, {})", reg(dst), place(address), val(expected), val(new))
            }
            Op::SpinLock { address } => format!("spin_lock({})", place(address)),
            Op::SpinUnlock { address } => format!("spin_unlock({})", place(address)),
            Op::SpinTrylock { dst, address } => format!("{} = spin_trylock({})", reg(dst), place(address)),
            Op::SpinIsLocked { dst, address } => format!("{} = spin_is_locked({})", reg(dst), place(address)),
            Op::RcuFence(primitive) => primitive.name().to_owned(),
            Op::SrcuLock { dst, address } => format!("{} = srcu_read_lock({})", reg(dst), place(address)),
            Op::SrcuUnlock { address, value } => format!("srcu_read_unlock({}, {})", place(address), val(value)),
            Op::SynchronizeSrcu { address } => format!("synchronize_srcu({})", place(address)),
            Op::Move { dst, src } => format!("{} = {}", reg(dst), val(src)),
            Op::Extend { dst, src, from } => format!("{} = ({from}){}", reg(dst), val(src)),
            Op::Unary { dst, op, src, .. } => format!("{} = {}{}", reg(dst), unary_sign(op), val(src)),
            Op::Binary { dst, op, left, right, .. } => {
                format!("{} = {} {} {}", reg(dst), val(left), binary_sign(op), val(right))
            }
            Op::Branch { compare, left, right, target, .. } => {
                format!("if {} {} {} goto L{target}", val(left), compare_sign(compare), val(right))
            }
            Op::Jump { target } => format!("goto L{target}"),
            Op::Label(label) => format!("L{label}:"),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Int { bits, signed } => write!(f, "{}{bits}", if *signed { 's' } else { 'u' }),
            Type::Pointer => f.write_str("pointer"),
            Type::Spinlock => f.write_str("spinlock"),
        }
    }
}

impl fmt::Display for Quantifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Quantifier::Exists => "exists",
            Quantifier::NotExists => "~exists",
            Quantifier::Forall => "forall",
        })
    }
}

/// An outcome in herd7's format: `1:r0=1; x=2;`.
pub fn outcome(program: &Program, row: &[Const]) -> String {
    let mut text = String::new();
    for (column, value) in row.iter().enumerate() {
        if column > 0 {
            text.push(' ');
        }
        let value = match value {
            Const::Int(value) => value.to_string(),
            Const::Address(location) => program.locations[*location].name.clone(),
        };
        // Writing to a string cannot fail.
        let _ = write!(text, "{}={value};", program.column_name(column));
    }
    text
}

fn load_name(access: Access) -> &'static str {
    match access {
        Access::Plain => "plain_load",
        Access::Acquire => "load_acquire",
        _ => "load_once",
    }
}

fn store_name(access: Access) -> &'static str {
    match access {
        Access::Plain => "plain_store",
        Access::Release => "store_release",
        Access::NonTemporal => "store_nontemporal",
        _ => "store_once",
    }
}

fn rmw_name(op: RmwOp, result: RmwResult) -> String {
    let name = match op {
        RmwOp::Xchg => return "xchg".to_owned(),
        RmwOp::Add => "add",
        RmwOp::Sub => "sub",
        RmwOp::And => "and",
        RmwOp::Or => "or",
        RmwOp::Xor => "xor",
        RmwOp::AndNot => "andnot",
    };
    match result {
        RmwResult::None => format!("atomic_{name}"),
        RmwResult::Old => format!("atomic_fetch_{name}"),
        RmwResult::New => format!("atomic_{name}_return"),
        RmwResult::NewIsZero => format!("atomic_{name}_and_test"),
        RmwResult::NewIsNegative => format!("atomic_{name}_negative"),
    }
}

fn order_suffix(order: Order) -> &'static str {
    match order {
        Order::Relaxed => "_relaxed",
        Order::Acquire => "_acquire",
        Order::Release => "_release",
        Order::Full => "",
    }
}

fn unary_sign(op: Unary) -> &'static str {
    match op {
        Unary::Negate => "-",
        Unary::Invert => "~",
        Unary::Not => "!",
    }
}

fn binary_sign(op: Binary) -> &'static str {
    match op {
        Binary::Add => "+",
        Binary::Sub => "-",
        Binary::Mul => "*",
        Binary::And => "&",
        Binary::Or => "|",
        Binary::Xor => "^",
        Binary::ShiftLeft => "<<",
        Binary::ShiftRight => ">>",
        Binary::Compare(compare) => compare_sign(compare),
    }
}

fn compare_sign(compare: Compare) -> &'static str {
    match compare {
        Compare::Eq => "==",
        Compare::Ne => "!=",
        Compare::Lt => "<",
        Compare::Le => "<=",
        Compare::Gt => ">",
        Compare::Ge => ">=",
    }
}
