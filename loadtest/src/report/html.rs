//! The report as a page.
use serde_json::Value;
/// Page.
#[must_use]
pub fn page(document: &Value) -> String {
    document.to_string()
}
