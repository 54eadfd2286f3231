//! What this build is.

/// The commit built from, in forty hexadecimal digits; zeros outside a checkout.
///
/// Release builds set `FRONT_PROXY_COMMIT` when they compile.
pub fn commit() -> &'static str {
    match option_env!("FRONT_PROXY_COMMIT") {
        Some(commit) if commit.len() == 40 => commit,
        _ => "0000000000000000000000000000000000000000",
    }
}

/// `COMMIT/VERSION/STATUS/BUILD/TLS`, as Envoy has it.
pub fn string() -> String {
    let status = if commit().starts_with("0000000") { "Distribution" } else { "Clean" };
    let version = env!("CARGO_PKG_VERSION");
    format!("{}/{version}/{status}/{}/ring", commit(), build_type())
}

/// `server.version`: the first 24 bits of [`commit`].
pub fn number() -> u32 {
    commit().get(..6).and_then(|digits| u32::from_str_radix(digits, 16).ok()).unwrap_or(0)
}

/// `RELEASE` or `DEBUG`.
pub fn build_type() -> &'static str {
    if cfg!(debug_assertions) { "DEBUG" } else { "RELEASE" }
}
