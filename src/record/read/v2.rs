//! Reads version 2 of the format, which this program writes.
//!
//! A record of version 2 that a later program wrote may have more fields. They are kept.

use super::parse;
use crate::error::Result;
use crate::record::{CampaignRecord, ProtocolRecord, Record};

pub(super) fn run(name: &str, text: &str) -> Result<Record> {
    parse(name, text)
}

pub(super) fn protocol(name: &str, text: &str) -> Result<ProtocolRecord> {
    parse(name, text)
}

pub(super) fn campaign(name: &str, text: &str) -> Result<CampaignRecord> {
    parse(name, text)
}
