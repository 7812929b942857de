//! The hosts of the Hub.

use crate::http::Origin;
use url::Url;

/// A host of the Hub.
struct Host {
    name: &'static str,
    /// Whether it shows the Hub that everyone uses. Another one, for tests of the Hub itself, has other repositories.
    is_public_hub: bool,
}

const HOSTS: [Host; 4] = [
    Host { name: "huggingface.co", is_public_hub: true },
    Host { name: "www.huggingface.co", is_public_hub: true },
    Host { name: "hf.co", is_public_hub: true },
    Host { name: "hub-ci.huggingface.co", is_public_hub: false },
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
    HOSTS.iter().filter_map(|host| Origin::of(&Url::parse(&format!("https://{}", host.name)).ok()?)).collect()
}

/// Whether an endpoint is the Hub, and no mirror of it.
pub(super) fn is_hub_itself(endpoint: &Url) -> bool {
    Origin::of(endpoint).is_some_and(|origin| hub_origins().contains(&origin))
}
