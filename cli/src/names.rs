//! Which names this host's programs find (nsswitch.conf(5)).

use std::fs;

use mayfly_scheduler::function::UrlForm;

const SWITCH: &str = "/etc/nsswitch.conf";
/// Services that know names below localhost (nss-myhostname(8), nss-resolve(8)).
const LOCAL: [&str; 2] = ["myhostname", "resolve"];

/// The form of function URLs that this host's programs can look up. What is not to be found out needs no looking up.
pub fn url_form() -> UrlForm {
    form(&fs::read_to_string(SWITCH).unwrap_or_default())
}

fn form(switch: &str) -> UrlForm {
    let hosts = switch.lines().find_map(|line| line.trim_start().strip_prefix("hosts:"));
    let sources = hosts.unwrap_or_default().split('#').next().unwrap_or_default();
    match sources.split_whitespace().any(|source| LOCAL.contains(&source)) {
        true => UrlForm::Host,
        false => UrlForm::Path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_knows_names_below_localhost_is_told_them() {
        for switch in [
            "passwd: files\nhosts: files myhostname dns\n",
            "hosts:\tresolve [!UNAVAIL=return] dns",
        ] {
            assert_eq!(form(switch), UrlForm::Host, "{switch}");
        }
        for switch in ["", "hosts: files dns # myhostname", "#hosts: resolve", "passwd: resolve"] {
            assert_eq!(form(switch), UrlForm::Path, "{switch}");
        }
    }
}
