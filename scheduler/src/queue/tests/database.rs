//! A database of one test's own, in the cluster that the tests share.

use mayfly_postgres::Cluster;

use super::super::{Postgres, Server};

/// It goes with this.
pub(super) struct TestDatabase {
    pub(super) cluster: &'static Cluster,
    pub(super) name: String,
}

impl TestDatabase {
    /// `None` where there is no PostgreSQL.
    pub(super) fn new() -> Option<TestDatabase> {
        let cluster = mayfly_postgres::shared()?;
        Some(TestDatabase { cluster, name: cluster.database() })
    }

    pub(super) fn server(&self) -> Server {
        Server::parse(&self.cluster.url(&self.name)).unwrap()
    }

    pub(super) fn engine(&self) -> Postgres {
        Postgres::connect(self.server()).unwrap()
    }

    pub(super) fn sql(&self, sql: &str) -> String {
        self.cluster.sql(&self.name, sql)
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        self.cluster.sql("postgres", &format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}
