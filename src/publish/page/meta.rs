//! What a page says about itself to programs: its author, its description, and the picture that a link to it shows.

use serde::Serialize;

use super::{Front, preview, tool};

/// The values for meta.html.
#[derive(Serialize)]
pub(in crate::publish) struct Meta {
    tool: String,
    title: String,
    description: String,
    author: Option<String>,
    url: Option<String>,
    /// The address of the picture. Sites take no other than an absolute one.
    image: Option<String>,
    width: u32,
    height: u32,
}

impl Meta {
    pub(in crate::publish) fn new(title: &str, description: &str, front: &Front) -> Meta {
        Meta {
            tool: tool(),
            title: title.to_owned(),
            description: description.to_owned(),
            author: front.author.clone(),
            url: front.url.clone(),
            image: front.image.clone(),
            width: preview::WIDTH,
            height: preview::HEIGHT,
        }
    }
}
