//! Attachments that are too long to be kept.

use serde_json::Value;
use sha2::{Digest, Sha256};
use shs_store::{Part, PartView};

use super::name::hexadecimal;

/// Puts size and SHA-256 in the place of data that is longer than the limit. The digest is of the data as it stands in the
/// message, which is base64.
pub(super) fn shorten(parts: &mut [Part], limit: usize) {
    for part in parts {
        let data = match part.view() {
            PartView::Blob { content, .. } if content.len() > limit => content,
            _ => continue,
        };
        let digest = hexadecimal(&Sha256::digest(data));
        let mut object = part.as_object().clone();
        object.insert("bytes".to_owned(), data.len().into());
        object.insert("sha256".to_owned(), digest.into());
        object.insert("content".to_owned(), Value::from(""));
        *part = Part::from_object(object).expect("a part has a type");
    }
}
