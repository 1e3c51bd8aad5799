//! What a queue is, as plainly as it can be said: an engine that keeps everything in a map.

use std::collections::BTreeMap;

use super::super::engine::{Durability, Engine, Result};
use super::super::message::*;

#[derive(Clone, Debug, Default)]
struct State {
    next: u64,
    messages: BTreeMap<u64, Row>,
    names: BTreeMap<(String, String), (i64, Appended)>,
    documents: BTreeMap<(String, String), Document>,
}

#[derive(Clone, Debug)]
struct Row {
    lane: String,
    message: Message,
    token: Option<u64>,
}

#[derive(Debug, Default)]
pub(super) struct Model {
    state: State,
    before: State,
}

impl Model {
    fn leased(&mut self, lease: Lease) -> Option<&mut Row> {
        let row = self.state.messages.get_mut(&lease.id)?;
        (row.token == Some(lease.token)).then_some(row)
    }

    fn of<'a>(&'a self, lane: &'a str) -> impl Iterator<Item = &'a Row> {
        self.state.messages.values().filter(move |row| row.lane == lane)
    }

    fn is_held(&self, row: &Row, now_ms: i64) -> bool {
        row.message.group.is_some()
            && self.of(&row.lane).any(|other| {
                other.message.group == row.message.group
                    && other.message.due_ms > now_ms
                    && (other.token.is_some() || other.message.id < row.message.id)
            })
    }

    fn begin_again(&mut self, id: u64, lane: &str, now_ms: i64) {
        let row = self.state.messages.get_mut(&id).unwrap();
        row.lane = lane.into();
        row.token = None;
        row.message.is_leased = false;
        row.message.due_ms = now_ms;
        row.message.leases = 0;
        row.message.first_leased_ms = None;
    }
}

impl Engine for Model {
    fn begin(&mut self, _: Durability) -> Result<()> {
        self.before = self.state.clone();
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        Ok(())
    }

    fn rollback(&mut self) {
        self.state = self.before.clone();
    }

    fn append(&mut self, lane: &str, new: &New) -> Result<Appended> {
        let name = new.unique.clone().map(|(name, until_ms)| ((lane.to_owned(), name), until_ms));
        if let Some((key, _)) = &name
            && let Some((until_ms, same)) = self.state.names.get(key)
            && *until_ms > new.sent_ms
        {
            return Ok(same.clone());
        }
        self.state.next += 1;
        let id = self.state.next;
        let message = Message {
            id,
            head: new.head.clone(),
            body: new.body.clone(),
            sent_ms: new.sent_ms,
            due_ms: new.due_ms,
            is_leased: false,
            leases: 0,
            first_leased_ms: None,
            group: new.group.clone(),
        };
        self.state.messages.insert(id, Row { lane: lane.into(), message, token: None });
        if let Some((key, until_ms)) = name {
            let same = Appended { id, same: Some(new.head.clone()) };
            self.state.names.insert(key, (until_ms, same));
        }
        Ok(Appended { id, same: None })
    }

    fn lease(&mut self, wanted: &Wanted) -> Result<Vec<Leased>> {
        let mut leased = Vec::new();
        while leased.len() < wanted.count {
            let due = self.of(&wanted.lane).filter(|row| row.message.due_ms <= wanted.now_ms);
            let mut due: Vec<&Row> =
                due.filter(|row| !wanted.in_order || !self.is_held(row, wanted.now_ms)).collect();
            due.sort_by_key(|row| {
                let by_time = if wanted.in_order { 0 } else { row.message.due_ms };
                (by_time, row.message.id)
            });
            let ids = due.iter().map(|row| row.message.id);
            let ids: Vec<u64> = ids.take(wanted.count - leased.len()).collect();
            if ids.is_empty() {
                break;
            }
            for id in ids {
                let row = self.state.messages.get_mut(&id).unwrap();
                if let Some((max, other)) = &wanted.leases_max
                    && row.message.leases >= *max
                {
                    self.begin_again(id, other, wanted.now_ms);
                    continue;
                }
                row.token = Some(wanted.token);
                row.message.is_leased = true;
                row.message.due_ms = wanted.until_ms;
                row.message.leases += 1;
                row.message.first_leased_ms.get_or_insert(wanted.now_ms);
                let lease = Lease { id, token: wanted.token };
                leased.push(Leased { lease, message: row.message.clone() });
            }
        }
        Ok(leased)
    }

    fn renew(&mut self, lease: Lease, now_ms: i64, until_ms: i64) -> Result<bool> {
        let row = self.leased(lease).filter(|row| row.message.due_ms > now_ms);
        Ok(row.map(|row| row.message.due_ms = until_ms).is_some())
    }

    fn complete(&mut self, lease: Lease) -> Result<bool> {
        let is_valid = self.leased(lease).is_some();
        if is_valid {
            self.state.messages.remove(&lease.id);
        }
        Ok(is_valid)
    }

    fn contains(&mut self, id: u64) -> Result<bool> {
        Ok(self.state.messages.contains_key(&id))
    }

    fn retry(&mut self, lease: Lease, due_ms: i64, head: &str) -> Result<bool> {
        let Some(row) = self.leased(lease) else { return Ok(false) };
        row.token = None;
        row.message.is_leased = false;
        row.message.due_ms = due_ms;
        row.message.head = head.into();
        Ok(true)
    }

    fn abandon(&mut self, prefix: &str, now_ms: i64) -> Result<u64> {
        let mut count = 0;
        for row in self.state.messages.values_mut() {
            if row.lane.starts_with(prefix) && row.token.take().is_some() {
                row.message.is_leased = false;
                row.message.due_ms = now_ms;
                count += 1;
            }
        }
        Ok(count)
    }

    fn redrive(&mut self, from: &str, to: &str, count: usize, now_ms: i64) -> Result<u64> {
        let free = |row: &&Row| row.token.is_none() || row.message.due_ms <= now_ms;
        let ids = self.of(from).filter(free).map(|row| row.message.id);
        let ids: Vec<u64> = ids.take(count).collect();
        ids.iter().for_each(|id| self.begin_again(*id, to, now_ms));
        Ok(ids.len() as u64)
    }

    fn purge(&mut self, lane: &str, count: usize) -> Result<u64> {
        let mut ids: Vec<(i64, u64)> =
            self.of(lane).map(|row| (row.message.due_ms, row.message.id)).collect();
        ids.sort_unstable();
        ids.truncate(count);
        self.state.messages.retain(|id, _| !ids.iter().any(|(_, gone)| gone == id));
        Ok(ids.len() as u64)
    }

    fn expire(&mut self, lane: &str, sent_before_ms: i64, now_ms: i64) -> Result<u64> {
        self.state.names.retain(|(of, _), (until_ms, _)| of != lane || *until_ms > now_ms);
        let before = self.state.messages.len();
        let is_old = |row: &Row| row.lane == lane && row.message.sent_ms < sent_before_ms;
        self.state.messages.retain(|_, row| !is_old(row));
        Ok((before - self.state.messages.len()) as u64)
    }

    fn depth(&mut self, lane: &str, now_ms: i64) -> Result<Depth> {
        let mut depth = Depth::default();
        for row in self.of(lane) {
            match (row.message.due_ms <= now_ms, row.token.is_some()) {
                (true, _) => depth.due += 1,
                (false, true) => depth.leased += 1,
                (false, false) => depth.later += 1,
            }
            let waits = row.message.due_ms <= now_ms || row.token.is_none();
            depth.retried += u64::from(waits && row.message.leases > 0);
            let oldest = depth.oldest_ms.unwrap_or(i64::MAX);
            depth.oldest_ms = Some(oldest.min(row.message.sent_ms));
        }
        Ok(depth)
    }

    fn heads(&mut self, prefix: &str) -> Result<Vec<Head>> {
        let mut heads: BTreeMap<String, i64> = BTreeMap::new();
        for row in self.state.messages.values().filter(|row| row.lane.starts_with(prefix)) {
            let due_ms = heads.entry(row.lane.clone()).or_insert(i64::MAX);
            *due_ms = (*due_ms).min(row.message.due_ms);
        }
        Ok(heads.into_iter().map(|(lane, due_ms)| Head { lane, due_ms }).collect())
    }

    fn next_due(&mut self, lane: &str, now_ms: i64) -> Result<Option<i64>> {
        Ok(self.of(lane).map(|row| row.message.due_ms).filter(|due_ms| *due_ms > now_ms).min())
    }

    fn peek(&mut self, lane: &str, count: usize) -> Result<Vec<Message>> {
        Ok(self.of(lane).map(|row| row.message.clone()).take(count).collect())
    }

    fn put_document(&mut self, kind: &str, document: &Document) -> Result<()> {
        let key = (kind.to_owned(), document.name.clone());
        self.state.documents.insert(key, document.clone());
        Ok(())
    }

    fn remove_document(&mut self, kind: &str, name: &str) -> Result<bool> {
        Ok(self.state.documents.remove(&(kind.to_owned(), name.to_owned())).is_some())
    }

    fn documents(&mut self, kind: &str) -> Result<Vec<Document>> {
        let of_kind = self.state.documents.iter().filter(|((of, _), _)| of == kind);
        Ok(of_kind.map(|(_, document)| document.clone()).collect())
    }
}
