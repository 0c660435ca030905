//! x
/// x
pub fn page(_: &super::Report) -> String {
    String::new()
}
