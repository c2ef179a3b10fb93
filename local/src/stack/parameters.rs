//! The template's parameters, with the stack's own values for those that need a local one.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use super::options::{Constraints, Options};
use crate::address::Addresses;
use crate::error::{Error, Result};
use crate::template::{LocalValues, Template};

/// The audience of the local sign-in's tokens.
const AUDIENCE: &str = "purrline-local";

pub(super) fn read_template(path: &Path) -> Result<Template> {
    let text = std::fs::read_to_string(path);
    let text = text.map_err(Error::io(format!("can't read {}", path.display())))?;
    Ok(Template::parse(&text)?)
}

/// Returns the given parameters, completed with the stack's own values.
pub(super) fn complete(
    template: &Template,
    options: &Options,
    addresses: &Addresses,
) -> BTreeMap<String, String> {
    let Addresses { own, public } = addresses;
    let mut parameters = options.parameters.clone();
    let declared = template.parameters();
    for (name, value) in [
        ("AuthIssuer", default_issuer(public)),
        ("AuthAudience", AUDIENCE.to_owned()),
        ("AuthJwksUrl", format!("{own}/_local/jwks.json")),
        ("MediaBaseUrl", format!("{public}/media")),
        ("CacheScheme", "redis".to_owned()),
        // No certificate: the local load balancer speaks plain HTTP.
        ("CertificateArn", String::new()),
    ] {
        // The local sign-in doesn't have the keys of another issuer.
        let foreign = name == "AuthJwksUrl" && options.parameters.contains_key("AuthIssuer");
        if declared.contains(&name) && !foreign {
            parameters.entry(name.to_owned()).or_insert(value);
        }
    }
    parameters
}

/// Refuses parameters that AWS would refuse, before anything starts.
pub(super) fn check(template: &Template, options: &Options) -> Result<()> {
    let port = options.port.filter(|port| *port != 0).unwrap_or(80);
    let bound = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let addresses = Addresses::new(options.host(), bound, options.public_url.as_deref());
    let parameters = complete(template, options, &addresses);
    let problems = template.check_parameters(&parameters, &LocalValues::default())?;
    match (problems, options.constraints) {
        (Some(problems), Constraints::Enforced) => Err(problems.into()),
        _ => Ok(()),
    }
}

/// Returns the issuer and the audience of tokens.
pub(super) fn issuer_and_audience(
    parameters: &BTreeMap<String, String>,
    public_url: &str,
) -> (String, String) {
    let issuer = parameters.get("AuthIssuer").cloned();
    let audience = parameters.get("AuthAudience").cloned();
    (
        issuer.unwrap_or_else(|| default_issuer(public_url)),
        audience.unwrap_or_else(|| AUDIENCE.to_owned()),
    )
}

fn default_issuer(public_url: &str) -> String {
    format!("{public_url}/_local")
}
