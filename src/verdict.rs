//! The expected verdict of a scenario on an architecture: computed by the models and compared with the
//! header.

use crate::arch::Arch;
use crate::arch::lock::{Choices, Lock};
use crate::catalogue::Scenario;
use crate::error::{Error, Result};
use crate::litmus::Verdict;
use crate::model::{self, Bounds, Model, ModelError, Needs, Outcome};

/// The verdicts that are shown beside a measurement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// Whether the race may be seen on the architecture. `None` if neither the model nor the header says.
    pub race: Option<Verdict>,
    /// Where `race` comes from.
    pub source: VerdictSource,
    /// The verdict of the kernel's model on the condition.
    pub lkmm: Option<Verdict>,
    /// The reorderings that the race needs; `None` if the test is too large to compute them.
    pub needs: Option<Needs>,
    /// Why the architecture's model gave no verdict, if it was asked and could not.
    pub note: Option<String>,
}

/// The source of a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum VerdictSource {
    /// The test's header.
    #[default]
    Header,
    /// The architecture's model.
    Model,
}

/// The verdict of a model on a scenario; `None` if the models do not cover it (non-temporal stores).
///
/// # Errors
/// If the test is too large, or does something that no model can follow.
pub fn judge(
    scenario: &Scenario,
    model: Model,
    choices: impl Into<Choices>,
    bounds: Bounds,
) -> Result<Option<Outcome>> {
    let judged = scenario.code_for(model, choices).and_then(|code| model::check(&code, model, bounds));
    match judged {
        Ok(outcome) => Ok(Some(outcome)),
        Err(ModelError::NotModelled(_)) => Ok(None),
        Err(error) => Err(Error::Usage(format!("{}, {model}: {error}", scenario.name))),
    }
}

/// Checks that a header's verdict and a model's verdict on code with this lock are the same. A header's `Result:` is read as the kernel's
/// tools/memory-model/scripts/judgelitmus.sh reads it: `DEADLOCK` means that no execution finishes, or that none passes the filter, and where a data
/// race is predicted (`DATARACE`) and seen, no other verdict is compared.
///
/// # Errors
/// If they differ. The error names both.
pub fn agrees(scenario: &Scenario, model: Model, lock: Lock, outcome: &Outcome) -> Result<()> {
    let header = &scenario.test.header;
    let differs = |declared: &str, found: &str| {
        Err(Error::Usage(format!(
            "{}: its header says {declared}, but {model} {found}; one of them is wrong",
            scenario.name
        )))
    };
    if model == Model::Lkmm && header.has_result {
        match (header.data_race, outcome.data_race) {
            (true, true) => return Ok(()),
            (true, false) => return differs("DATARACE (Result:)", "sees no data race"),
            (false, true) => return differs("no DATARACE (Result:)", "sees a data race"),
            (false, false) => {}
        }
        // judgelitmus.sh asks for `Never 0 0`: the filter may drop what finishes.
        if header.deadlock && !outcome.states.is_empty() {
            return differs("DEADLOCK (Result:)", "has executions that finish");
        }
        if !header.deadlock && !outcome.finishes {
            return differs("no DEADLOCK (Result:)", "has no execution that finishes");
        }
    }
    let (key, declared) = match model.arch() {
        Some(arch) => (header.key(arch, lock), header.expected(arch, lock)),
        None => ("Result".to_owned(), header.result),
    };
    match declared {
        Some(declared) if model != Model::Sc && declared != outcome.verdict => {
            differs(&format!("{declared} ({key}:)"), &format!("says {}", outcome.verdict))
        }
        _ => Ok(()),
    }
}

/// Whether a header declares something that [`agrees`] compares with a model's verdict.
pub fn declares(scenario: &Scenario, model: Model) -> bool {
    let header = &scenario.test.header;
    match model {
        Model::Sc => false,
        Model::Lkmm => header.has_result,
        _ => model.arch().is_some_and(|arch| header.expected(arch, Lock::Qspinlock).is_some()),
    }
}

/// The expectation of a scenario on an architecture. If a test is too large for the models, or has a
/// non-temporal store, the expectation is the header's.
///
/// # Errors
/// If header and model disagree.
pub fn expectation(scenario: &Scenario, arch: Arch, choices: impl Into<Choices>) -> Result<Expectation> {
    let choices = choices.into();
    let quick = Bounds { candidates: 200_000, ..Bounds::default() };
    let mut note = None;
    let mut on = |model| -> Result<Option<Outcome>> {
        match judge(scenario, model, choices, quick) {
            Ok(Some(outcome)) => {
                agrees(scenario, model, choices.lock, &outcome)?;
                Ok(Some(outcome))
            }
            Ok(None) => Ok(None),
            Err(error) => {
                note.get_or_insert_with(|| error.to_string());
                Ok(None)
            }
        }
    };
    let lkmm = on(Model::Lkmm)?.map(|outcome| outcome.verdict).or(scenario.test.header.result);
    let computed = on(Model::of(arch))?.map(|outcome| outcome.on_race(scenario.program.quantifier));
    let needs = model::reordering::needs(&scenario.accesses(), quick).ok();
    Ok(match computed {
        Some(verdict) => Expectation { race: Some(verdict), source: VerdictSource::Model, lkmm, needs, note: None },
        None => Expectation {
            race: scenario.expected(arch, choices.lock),
            source: VerdictSource::Header,
            lkmm,
            needs,
            note,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::Atomics;
    use crate::litmus::Source;

    #[test]
    fn a_header_that_disagrees_is_an_error_that_names_both() {
        let text = "C wrong\n(*\n * Result: Sometimes\n * x86_64: Sometimes\n *)\n{}\nP0(int *x, int *y) { WRITE_ONCE(*x, 1); \
                    WRITE_ONCE(*y, 1); }\nP1(int *x, int *y) { int r0; int r1; r0 = READ_ONCE(*y); r1 = READ_ONCE(*x); }\n\
                    exists (1:r0=1 /\\ 1:r1=0)\n";
        let scenario = Scenario::new(&Source::new("wrong", text), "").unwrap();
        let error = expectation(&scenario, Arch::X86_64, Atomics::Lse).unwrap_err().to_string();
        assert!(error.contains("says Sometimes (x86_64:)") && error.contains("x86-TSO says Never"), "{error}");
        let fine = expectation(&scenario, Arch::Aarch64, Atomics::Lse).unwrap();
        assert_eq!((fine.race, fine.source), (Some(Verdict::Sometimes), VerdictSource::Model));
        // Without a line for the architecture the verdict is that of `Result:`.
        let text = text.replace("Result: Sometimes", "Result: Never");
        let scenario = Scenario::new(&Source::new("wrong", &*text), "").unwrap();
        let outcome = judge(&scenario, Model::Rvwmo, Atomics::Lse, Bounds::default()).unwrap().unwrap();
        let error = agrees(&scenario, Model::Rvwmo, Lock::default(), &outcome).unwrap_err().to_string();
        assert!(error.contains("says Never (Result:)"), "{error}");
    }

    #[test]
    fn a_forall_is_a_race_where_it_does_not_hold() {
        let text = "C all\n{}\nP0(int *x) { WRITE_ONCE(*x, 1); }\nforall (x=1)\n";
        let scenario = Scenario::new(&Source::new("all", text), "").unwrap();
        let expectation = expectation(&scenario, Arch::Riscv64gc, Atomics::Lse).unwrap();
        assert_eq!((expectation.race, expectation.lkmm), (Some(Verdict::Never), Some(Verdict::Always)));
    }

    #[test]
    fn where_nothing_passes_the_filter_no_race_is_seen() {
        for quantifier in ["exists", "forall"] {
            let text = format!("C none\n{{}}\nP0(int *x) {{ WRITE_ONCE(*x, 1); }}\nfilter (x=2)\n{quantifier} (x=1)\n");
            let scenario = Scenario::new(&Source::new("none", &*text), "").unwrap();
            for arch in Arch::ALL {
                let expectation = expectation(&scenario, arch, Atomics::Lse).unwrap();
                assert_eq!(expectation.race, Some(Verdict::Never), "{quantifier} {arch}");
            }
        }
    }
}
