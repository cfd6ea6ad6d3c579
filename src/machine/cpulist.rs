//! Lists of CPUs in the kernel's notation: `0-3,8`.

/// The highest CPU number accepted. NR_CPUS goes up to 8192: on x86-64 (arch/x86/Kconfig, NR_CPUS_RANGE_END) and on POWER
/// (arch/powerpc/platforms/Kconfig.cputype). It is 4096 on arm64 and 512 on RISC-V.
const MAX_CPU: usize = 8191;

/// Parses a list such as `0-3,8` and keeps its order.
///
/// ```
/// use wakerace::machine::parse_cpu_list;
///
/// assert_eq!(parse_cpu_list("8,0-3"), Ok(vec![8, 0, 1, 2, 3]));
/// assert!(parse_cpu_list("3-0").is_err());
/// ```
///
/// # Errors
/// A text that says what is wrong: not a number, a range whose end is below its start, or a CPU that is named twice.
pub fn parse_cpu_list(text: &str) -> Result<Vec<usize>, String> {
    let mut cpus: Vec<usize> = Vec::new();
    let number = |word: &str| match word.trim().parse::<usize>() {
        Ok(cpu) if cpu <= MAX_CPU => Ok(cpu),
        _ => Err(format!("'{}' is not a CPU number in '{text}'; expected a list such as 0-3,8", word.trim())),
    };
    for part in text.trim().split(',') {
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (number(first)?, number(last)?),
            None => (number(part)?, number(part)?),
        };
        if last < first {
            return Err(format!("the range '{part}' runs backwards; write {last}-{first}"));
        }
        for cpu in first..=last {
            if cpus.contains(&cpu) {
                return Err(format!("CPU {cpu} is listed twice in '{text}'"));
            }
            cpus.push(cpu);
        }
    }
    Ok(cpus)
}

/// Formats a list of CPUs. Three or more consecutive numbers become a range.
pub fn format_cpu_list(cpus: &[usize]) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut at = 0;
    while at < cpus.len() {
        let mut end = at;
        while end + 1 < cpus.len() && cpus[end + 1] == cpus[end] + 1 {
            end += 1;
        }
        parts.push(match end - at {
            0 => cpus[at].to_string(),
            1 => format!("{},{}", cpus[at], cpus[end]),
            _ => format!("{}-{}", cpus[at], cpus[end]),
        });
        at = end + 1;
    }
    parts.join(",")
}

/// Formats the CPUs of threads in the order of the threads: `0,1`.
pub fn in_order(cpus: &[usize]) -> String {
    cpus.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_round_trip() {
        assert_eq!(parse_cpu_list("0-3,8").unwrap(), [0, 1, 2, 3, 8]);
        assert_eq!(parse_cpu_list("5,1").unwrap(), [5, 1]);
        assert_eq!(format_cpu_list(&[0, 1, 2, 3, 8, 10, 11]), "0-3,8,10,11");
        assert_eq!(format_cpu_list(&[]), "");
    }

    #[test]
    fn bad_lists_say_what_is_wrong() {
        assert!(parse_cpu_list("0,0").unwrap_err().contains("listed twice"));
        assert!(parse_cpu_list("3-1").unwrap_err().contains("1-3"));
        for bad in ["", "x", "1-", "-1", "0-99999999999", "1,,2"] {
            assert!(parse_cpu_list(bad).is_err(), "{bad}");
        }
    }
}
