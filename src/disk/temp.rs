//! Names of temporary files and links. All begin alike, so that what a process left when it died can be recognised and
//! removed.

/// Every temporary name of this program begins so; twelve letters or digits follow.
pub const TEMP_PREFIX: &str = ".tmp-";
/// How many letters or digits.
pub(super) const TEMP_RANDOM: usize = 12;

/// A temporary name that no other file has.
pub fn temp_name() -> String {
    let random: String = std::iter::repeat_with(fastrand::alphanumeric).take(TEMP_RANDOM).collect();
    format!("{TEMP_PREFIX}{random}")
}

/// Whether this is a temporary name of this program.
pub fn is_temp_name(name: &str) -> bool {
    name.strip_prefix(TEMP_PREFIX)
        .is_some_and(|rest| rest.len() == TEMP_RANDOM && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}
