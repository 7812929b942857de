//! The hosts of the Hub.

use crate::http::Origin;
use url::Url;

/// A host of the Hub.
struct Host {
    name: &'static str,
    /// Whether it shows the Hub that everyone uses. Another one, for tests of the Hub itself, has other repositories.
    is_public_hub: bool,
    /// Whether it answers as the Hub itself, which gets the token. One that only leads there does not.
    is_origin: bool,
}

const HOSTS: [Host; 4] = [
    Host { name: "huggingface.co", is_public_hub: true, is_origin: true },
    Host { name: "www.huggingface.co", is_public_hub: true, is_origin: false },
    Host { name: "hf.co", is_public_hub: true, is_origin: true },
    Host { name: "hub-ci.huggingface.co", is_public_hub: false, is_origin: true },
];

/// Whether a host is one of the Hub's.
pub(super) fn is_hub_host(host: &str) -> bool {
    HOSTS.iter().any(|known| known.name == host)
}

/// Whether a host shows the repositories that references mean.
pub(super) fn is_public_hub(host: &str) -> bool {
    HOSTS.iter().any(|known| known.is_public_hub && known.name.eq_ignore_ascii_case(host))
}

/// The Hub's origins: HTTPS only.
pub(super) fn hub_origins() -> Vec<Origin> {
    let origins = HOSTS.iter().filter(|host| host.is_origin);
    origins.filter_map(|host| Origin::of(&Url::parse(&format!("https://{}", host.name)).ok()?)).collect()
}

/// Whether an endpoint is the Hub, and no mirror of it.
pub(super) fn is_hub_itself(endpoint: &Url) -> bool {
    Origin::of(endpoint).is_some_and(|origin| hub_origins().contains(&origin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_goes_to_the_hubs_own_origins_only() {
        for (address, is_hub) in [
            ("https://huggingface.co", true),
            ("https://huggingface.co:443/o/r", true),
            ("http://huggingface.co", false),
            ("https://huggingface.co:8443", false),
            ("https://huggingface.co.example", false),
            ("https://www.huggingface.co", false),
            ("https://hf.co", true),
            ("https://hub-ci.huggingface.co", true),
        ] {
            assert_eq!(is_hub_itself(&Url::parse(address).unwrap()), is_hub, "{address}");
        }
    }
}
