//! Writes records in the formats that people and other programs read.

mod campaign;
pub mod chart;
mod citation;
mod compare;
mod contribution;
mod cpus;
mod csv;
mod distances;
mod expect;
mod fit;
mod hgrm;
mod hlog;
mod klitmus;
mod last_writers;
mod latency;
mod line_fills;
mod litmus_log;
mod mail;
mod markdown;
mod matrix;
mod numbers;
mod page;
mod power;
mod protocol;
mod settings;
mod sums;
mod table;
mod tearing;
mod titles;
mod topology;
mod unmeasured;
mod warnings;
mod window;
mod zeros;

pub use campaign::{campaign_comparison, campaign_evidence, campaign_page};
pub use citation::{Citation, cff, zenodo};
pub use compare::{
    BETWEEN_RUNS, Code, Comparison, Rate, Ratio, Verdict, compare, comparison_markdown, comparison_table,
    distance_note, ratio,
};
pub use contribution::missing;
pub use cpus::kinds_of_cpu;
pub use csv::{csv_of, last_writers_csv, outcomes_csv, window_csv};
pub use expect::{expectations, nothing_fits};
pub use fit::{table_with_notes, wrapped_lines};
pub use hgrm::hgrm;
pub use hlog::{Tagged, hlog, tagged};
pub use klitmus::klitmus;
pub use latency::{DISTURBED_MARK, Latencies};
pub use litmus_log::{campaign_log, litmus_log};
pub use mail::MAIL_WIDTH;
pub use matrix::{Line, Matrix};
pub use numbers::{count, counted, rate, rate_with_interval};
pub use page::{
    Entry, FLEET, Front, LARGEST, PICTURE_ENDING, Page, badge, fleet_page, hosts, index, of_one_kind, page, picture,
    preview_of, rates_picture, signed_page,
};
pub use power::testing_powers;
pub use settings::{SettingsPart, other_settings, settings_parts, settings_words};
pub use tearing::{forbidden as tearing_forbidden, tearing, tearing_csv, tearing_summary};
pub use topology::{cpu_list, cpu_table};
pub use unmeasured::{INTERRUPTED, unmeasured};
pub use window::windows;

use crate::error::{Error, Result};
use crate::record::{AnyRecord, CampaignRecord, Finding, Judgement, ProtocolRecord, Record, Standing};
use crate::shown;

/// The output formats of a record.
pub trait Publish: serde::Serialize {
    /// Whether the record has no results.
    fn is_empty(&self) -> bool;
    /// The table for a terminal.
    fn table(&self) -> String;
    /// The table for a terminal of this many columns.
    fn table_in(&self, width: usize) -> String;
    /// The result as a mail: at most [`MAIL_WIDTH`] columns.
    fn mail(&self) -> String;
    /// Whether something was seen that nobody expects.
    fn is_alarming(&self) -> bool;
    /// What the results mean, in sentences.
    fn summary(&self) -> String;
    /// The table and the summary in Markdown.
    fn markdown(&self) -> String;
    /// CSV with a header line and a line per result.
    ///
    /// # Errors
    /// Only an internal one; no record causes it.
    fn csv(&self) -> Result<String>;
    /// A copy as [`AnyRecord`].
    fn any(&self) -> AnyRecord;
    /// The whole record as JSON.
    ///
    /// # Errors
    /// Only an internal one; no record causes it.
    fn json(&self) -> Result<String> {
        let mut text = serde_json::to_string_pretty(self).map_err(|error| Error::Internal(error.to_string()))?;
        text.push('\n');
        Ok(shown::json(text))
    }
}

impl Publish for Record {
    fn is_empty(&self) -> bool {
        self.results.is_empty()
    }

    fn table(&self) -> String {
        table::table(self)
    }

    fn table_in(&self, width: usize) -> String {
        table::table_in(self, width)
    }

    fn mail(&self) -> String {
        mail::mail(self)
    }

    fn is_alarming(&self) -> bool {
        self.results.iter().any(|result| result.finding == Finding::ForbiddenObserved)
    }

    fn summary(&self) -> String {
        table::summary(self)
    }

    fn markdown(&self) -> String {
        markdown::markdown(self)
    }

    fn csv(&self) -> Result<String> {
        csv::csv(self)
    }

    fn any(&self) -> AnyRecord {
        AnyRecord::Run(Box::new(self.clone()))
    }
}

impl Publish for ProtocolRecord {
    fn is_empty(&self) -> bool {
        self.results.is_empty()
    }

    fn table(&self) -> String {
        protocol::table(self)
    }

    fn table_in(&self, width: usize) -> String {
        protocol::table_in(self, width)
    }

    fn mail(&self) -> String {
        mail::protocol_mail(self)
    }

    fn is_alarming(&self) -> bool {
        self.results.iter().any(|result| result.judgement() == Judgement::Unexpected)
    }

    fn summary(&self) -> String {
        protocol::summary(self)
    }

    fn markdown(&self) -> String {
        protocol::markdown(self)
    }

    fn csv(&self) -> Result<String> {
        protocol::csv(self)
    }

    fn any(&self) -> AnyRecord {
        AnyRecord::Protocol(Box::new(self.clone()))
    }
}

impl Publish for CampaignRecord {
    fn is_empty(&self) -> bool {
        self.results.is_empty()
    }

    fn table(&self) -> String {
        campaign::text(self)
    }

    fn table_in(&self, width: usize) -> String {
        campaign::text_in(self, width)
    }

    fn mail(&self) -> String {
        campaign::mail(self)
    }

    fn is_alarming(&self) -> bool {
        self.results.iter().any(|test| test.standing == Standing::ForbiddenSeen)
    }

    fn summary(&self) -> String {
        campaign::summary(self)
    }

    fn markdown(&self) -> String {
        campaign::markdown(self)
    }

    fn csv(&self) -> Result<String> {
        campaign::csv(self)
    }

    fn any(&self) -> AnyRecord {
        AnyRecord::Campaign(Box::new(self.clone()))
    }
}
