//! A client that says what it is told and writes down every answer.

use crate::render::render;
use crate::servers::Server;

/// One packet's fields, put one behind the other.
#[derive(Clone, Default)]
pub(crate) struct Body(pub(crate) Vec<u8>);

impl Body {
    pub(crate) fn u32(mut self, value: u32) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(crate) fn u64(mut self, value: u64) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(crate) fn string(mut self, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        self.0.extend((bytes.len() as u32).to_be_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    /// Attributes: none.
    pub(crate) fn plain(self) -> Self {
        self.u32(0)
    }

    /// Attributes: a mode.
    pub(crate) fn mode(self, mode: u32) -> Self {
        self.u32(4).u32(mode)
    }

    /// Attributes: a size.
    pub(crate) fn size(self, size: u64) -> Self {
        self.u32(1).u64(size)
    }

    /// Attributes: access and modification time.
    pub(crate) fn times(self, access: u32, modification: u32) -> Self {
        self.u32(8).u32(access).u32(modification)
    }

    /// Attributes: user and group.
    pub(crate) fn owner(self, user: u32, group: u32) -> Self {
        self.u32(2).u32(user).u32(group)
    }
}

pub(crate) fn body() -> Body {
    Body::default()
}

/// A packet with its length.
pub(crate) fn frame(kind: u8, id: Option<u32>, body: &[u8]) -> Vec<u8> {
    let id = id.map(u32::to_be_bytes);
    let id = id.as_ref().map_or(&[][..], |id| &id[..]);
    let length = (1 + id.len() + body.len()) as u32;
    [&length.to_be_bytes(), &[kind][..], id, body].concat()
}

/// A session's client end. `home` is written as `~` in the transcript.
pub(crate) struct Client<'a> {
    pub(crate) server: &'a mut dyn Server,
    pub(crate) home: String,
    next: u32,
    pub(crate) transcript: Vec<String>,
}

impl<'a> Client<'a> {
    /// Go on with a session that has begun.
    pub(crate) fn resume(server: &'a mut dyn Server) -> Self {
        Self {
            server,
            home: "~".into(),
            next: 1_000_000,
            transcript: Vec::new(),
        }
    }

    pub(crate) fn start(server: &'a mut dyn Server, home: &str) -> Self {
        let client = Self {
            home: home.to_owned(),
            next: 1,
            ..Self::resume(server)
        };
        client.server.send(&frame(1, None, &3u32.to_be_bytes()));
        let version = client.server.packet();
        assert_eq!(version[..5], [2, 0, 0, 0, 3], "VERSION 3");
        client
    }

    /// One request and its answer: kind and everything behind the id.
    pub(crate) fn ask(&mut self, what: &str, kind: u8, body: Body) -> (u8, Vec<u8>) {
        let id = self.send(kind, body);
        let (kind, answered, body) = self.answer();
        assert_eq!(answered, id, "{what}");
        let rendered = render(kind, &body).replace(&self.home, "~");
        self.transcript.push(format!("{what}: {rendered}"));
        (kind, body)
    }

    /// A request whose answer is taken later; its id.
    pub(crate) fn send(&mut self, kind: u8, body: Body) -> u32 {
        let id = self.next;
        self.next += 1;
        self.server.send(&frame(kind, Some(id), &body.0));
        id
    }

    /// The next answer: kind, id, and everything behind.
    pub(crate) fn answer(&mut self) -> (u8, u32, Vec<u8>) {
        let mut packet = self.server.packet();
        let body = packet.split_off(5);
        let id = u32::from_be_bytes(packet[1..5].try_into().unwrap());
        (packet[0], id, body)
    }

    /// An EXTENDED request.
    pub(crate) fn extended(&mut self, name: &str, fields: Body) -> (u8, Vec<u8>) {
        let mut body = body().string(name);
        body.0.extend(fields.0);
        self.ask(name, 200, body)
    }

    /// A request that yields a handle; empty where it failed.
    fn handle(&mut self, what: &str, kind: u8, body: Body) -> Vec<u8> {
        match self.ask(what, kind, body) {
            (102, body) => body[4..].to_vec(),
            _ => Vec::new(),
        }
    }

    pub(crate) fn open(&mut self, path: &str, flags: u32, attributes: Body) -> Vec<u8> {
        let mut body = body().string(path).u32(flags);
        body.0.extend(attributes.0);
        self.handle(&format!("open {path} {flags:#x}"), 3, body)
    }

    pub(crate) fn opendir(&mut self, path: &str) -> Vec<u8> {
        self.handle(&format!("opendir {path}"), 11, body().string(path))
    }

    pub(crate) fn close(&mut self, handle: &[u8]) {
        self.ask("close", 4, body().string(handle));
    }

    pub(crate) fn read(&mut self, handle: &[u8], offset: u64, length: u32) -> (u8, Vec<u8>) {
        let fields = body().string(handle).u64(offset).u32(length);
        self.ask(&format!("read {offset} {length}"), 5, fields)
    }

    pub(crate) fn write(&mut self, handle: &[u8], offset: u64, data: &[u8]) {
        let fields = body().string(handle).u64(offset).string(data);
        self.ask(&format!("write {offset}"), 6, fields);
    }

    /// A request with one path.
    pub(crate) fn path(&mut self, what: &str, kind: u8, path: impl AsRef<[u8]>) -> (u8, Vec<u8>) {
        let name = String::from_utf8_lossy(path.as_ref()).into_owned();
        self.ask(&format!("{what} {name}"), kind, body().string(path))
    }

    pub(crate) fn lstat(&mut self, path: &str) {
        self.path("lstat", 7, path);
    }

    pub(crate) fn stat(&mut self, path: &str) {
        self.path("stat", 17, path);
    }

    pub(crate) fn realpath(&mut self, path: &str) {
        self.path("realpath", 16, path);
    }

    /// A request with two paths.
    pub(crate) fn two(&mut self, what: &str, kind: u8, first: &str, second: &str) {
        let fields = body().string(first).string(second);
        self.ask(&format!("{what} {first} {second}"), kind, fields);
    }

    pub(crate) fn setstat(&mut self, path: &str, attributes: Body) {
        let mut fields = body().string(path);
        fields.0.extend(attributes.0);
        self.ask(&format!("setstat {path}"), 9, fields);
    }

    pub(crate) fn mkdir(&mut self, path: &str, attributes: Body) {
        let mut fields = body().string(path);
        fields.0.extend(attributes.0);
        self.ask(&format!("mkdir {path}"), 14, fields);
    }

    /// Every entry of a directory, however many replies it takes, in the order of names.
    pub(crate) fn list(&mut self, path: &str) {
        let handle = self.opendir(path);
        let mut entries = Vec::new();
        loop {
            let id = self.send(12, body().string(&handle));
            let (kind, answered, answer) = self.answer();
            assert_eq!(id, answered);
            if kind != 104 {
                entries.sort();
                let end = render(kind, &answer);
                self.transcript.push(format!("list {path}: {end}"));
                break;
            }
            entries.extend(crate::render::names(&answer));
        }
        self.transcript.extend(entries);
        self.close(&handle);
    }
}
