//! Channels of a real connection, by number.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use russh::server::{Handle, Msg};
use russh::{ChannelId, ChannelWriteHalf};

use super::backlog::Backlog;
use super::inbox::{Control, Inbox, Reader};
use super::pace::{Breather, Typing};
use super::writer::Writer;

/// Bulk is handed over in pieces of this many bytes, an OpenSSH client's largest packet.
pub(super) const PIECE: usize = 32 * 1024;

/// The open channels of one connection. Cheap to clone.
///
/// A channel leaves when its [`Writer`] is dropped, which is the last thing its user does.
#[derive(Clone, Debug, Default)]
pub struct Table {
    inboxes: Arc<Mutex<Inboxes>>,
    backlog: Backlog,
    typing: Typing,
}

#[derive(Debug, Default)]
struct Inboxes {
    open: HashMap<ChannelId, Arc<Inbox>>,
    /// Whether the connection has ended. A forward may still be dialling then.
    over: bool,
}

/// Takes a channel out of its table when dropped.
#[derive(Debug)]
pub(super) struct Registration {
    table: Table,
    id: ChannelId,
    inbox: Arc<Inbox>,
    breather: Breather,
}

/// A channel's three ends, as its user holds them.
#[derive(Debug)]
pub struct Channel {
    /// Bytes from the peer.
    pub reader: Reader,
    /// Requests from the peer.
    pub control: Control,
    /// Bytes and endings to the peer.
    pub writer: Writer,
}

impl Table {
    /// The table of a connection with this backlog.
    pub fn new(backlog: Backlog) -> Self {
        Self {
            inboxes: Arc::default(),
            backlog,
            typing: Typing::default(),
        }
    }

    /// When the connection's user last typed.
    pub fn typing(&self) -> &Typing {
        &self.typing
    }

    /// Enter a channel with a receive window of `window` bytes.
    ///
    /// An inbox made beforehand by [`Table::inbox`] is taken over, with what it holds.
    pub fn open(&self, half: ChannelWriteHalf<Msg>, handle: &Handle, window: u32) -> Channel {
        let id = half.id();
        let inbox = self.inbox(id, handle, window);
        let (reader, control) = inbox.split();
        let registration = Registration {
            table: self.clone(),
            id,
            inbox,
            breather: Breather::default(),
        };
        let writer = Writer::ssh(half, handle.clone(), registration);
        Channel {
            reader,
            control,
            writer,
        }
    }

    /// The inbox of `id`, made if it is not there: bytes may arrive before their reader does.
    pub fn inbox(&self, id: ChannelId, handle: &Handle, window: u32) -> Arc<Inbox> {
        let mut inboxes = self.lock();
        let over = inboxes.over;
        let inbox = inboxes.open.entry(id).or_insert_with(|| {
            let handle = handle.clone();
            let credit = move |bytes| {
                // A connection that has ended needs no credit.
                let _ = handle.credit(id, bytes);
            };
            Inbox::new(window, Box::new(credit))
        });
        if over {
            inbox.close();
        }
        Arc::clone(inbox)
    }

    /// The inbox of `id`, if it is open.
    pub fn get(&self, id: ChannelId) -> Option<Arc<Inbox>> {
        self.lock().open.get(&id).map(Arc::clone)
    }

    /// How many channels are open.
    pub fn len(&self) -> usize {
        self.lock().open.len()
    }

    /// Whether no channel is open.
    pub fn is_empty(&self) -> bool {
        self.lock().open.is_empty()
    }

    /// The connection has ended: so has every channel, and so has each that is entered from now on.
    pub fn close_all(&self) {
        let mut inboxes = self.lock();
        inboxes.over = true;
        for (_, inbox) in inboxes.open.drain() {
            inbox.close();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inboxes> {
        self.inboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registration {
    /// Resolves when the connection and the peer can take `length` more bytes of bulk, or at once
    /// for less than bulk.
    pub(super) async fn admit(&self, length: usize) {
        self.table.backlog.admit(length).await;
        if length > PIECE / 2 {
            self.inbox.pace.admit(&self.table.typing).await;
            self.breather.rest(length).await;
        }
        self.inbox.pace.sent(length);
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.table.lock().open.remove(&self.id);
    }
}
