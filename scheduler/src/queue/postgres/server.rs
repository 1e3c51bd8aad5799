//! Where a PostgreSQL is and as whom to use it: `postgres://user:password@host:port/database`.

use std::fmt;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use super::PostgresError;

/// How long a connection may take to be made, to each address.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// How long what was sent may stay without an acknowledgement.
const UNHEARD_MAX: Duration = Duration::from_secs(15);
/// When to ask a silent connection whether it is still there, how often, how many times.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(10), Duration::from_secs(5), 3);
/// Where Debian's server has its socket.
const SOCKETS: &str = "/run/postgresql";
/// PostgreSQL's port.
const PORT: u16 = 5432;

/// A database on a PostgreSQL server. Neither its `Debug` nor its `Display` shows the password.
#[derive(Clone, Debug)]
pub struct Server(Config);

impl Server {
    /// Reads an address as libpq does: `postgres://user@host:port/database`, `postgres:///database` for Debian's socket,
    /// `postgres:///database?host=/directory` for another. Values are percent-encoded.
    ///
    /// # Errors
    /// [`PostgresError::Address`], which does not repeat the address: a password may be in it.
    /// [`PostgresError::Encrypted`].
    pub fn parse(url: &str) -> Result<Server, PostgresError> {
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(PostgresError::Address("it begins with postgres://".into()));
        }
        let parsed: Result<Config, _> = url.parse();
        let mut config = parsed.map_err(|error| PostgresError::Address(super::chain(&error)))?;
        if config.get_ssl_mode() == SslMode::Require {
            return Err(PostgresError::Encrypted);
        }
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            config.host_path(SOCKETS);
        }
        let (idle, interval, retries) = KEEPALIVE;
        config.keepalives_idle(idle).keepalives_interval(interval).keepalives_retries(retries);
        config.tcp_user_timeout(UNHEARD_MAX).connect_timeout(CONNECT_MAX);
        config.application_name("mayfly");
        Ok(Server(config))
    }

    /// The same, with this password.
    #[must_use]
    pub fn with_password(mut self, password: &str) -> Server {
        self.0.password(password);
        self
    }

    pub(super) fn config(&self) -> &Config {
        &self.0
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts = self.0.get_hosts().iter().map(|host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(directory) => directory.display().to_string(),
        });
        let addresses = self.0.get_hostaddrs().iter().map(ToString::to_string);
        let hosts: Vec<String> = hosts.chain(addresses).collect();
        let port = self.0.get_ports().first().unwrap_or(&PORT);
        let database = self.0.get_dbname().or(self.0.get_user()).unwrap_or_default();
        write!(f, "{}:{port}/{database}", hosts.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_password() {
        let server = Server::parse("postgres://ada:s3cret@127.0.0.1:5433/events").unwrap();
        assert_eq!(server.to_string(), "127.0.0.1:5433/events");
        assert_eq!(server.config().get_password(), Some(&b"s3cret"[..]));
        let server = server.with_password("0ther");
        assert_eq!(server.config().get_password(), Some(&b"0ther"[..]));
        let shown = format!("{server:?}");
        assert!(shown.contains("ada") && !shown.contains("s3cret") && !shown.contains("0ther"));
    }

    #[test]
    fn sockets_have_directories() {
        let of = |url: &str| Server::parse(url).unwrap().to_string();
        assert_eq!(of("postgresql:///events"), "/run/postgresql:5432/events");
        assert_eq!(of("postgres:///events?host=/tmp/x"), "/tmp/x:5432/events");
        assert_eq!(of("postgres://ada@%2Ftmp%2Fx/events"), "/tmp/x:5432/events");
    }

    #[test]
    fn a_connection_that_must_be_encrypted_is_refused() {
        let of = |mode| Server::parse(&format!("postgres://ada@host/x?sslmode={mode}"));
        let error = of("require").unwrap_err();
        assert!(matches!(error, PostgresError::Encrypted), "{error}");
        assert!(of("prefer").is_ok() && of("disable").is_ok());
        let error = of("verify-full").unwrap_err();
        assert!(error.to_string().contains("sslmode"), "{error}");
    }

    #[test]
    fn what_is_no_address_is_refused_without_being_repeated() {
        for url in [
            "",
            "events",
            "host=x password=s3cret",
            "mysql://ada:s3cret@host/x",
            "postgres://ada:s3cret@host:port/x",
            "postgres://ada:s3cret@host/x?no_such=1",
        ] {
            let error = Server::parse(url).unwrap_err();
            assert!(matches!(error, PostgresError::Address(_)), "{url}: {error}");
            assert!(!error.to_string().contains("s3cret"), "{error}");
        }
    }
}
