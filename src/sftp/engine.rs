//! Requests carried out one after the other, in the order they came, as OpenSSH's server does: what
//! a client can observe never depends on timing.
//!
//! Blocks; never sees the channel.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::codec::{Fields, VERSION, kind};
use super::handles::Handles;
use super::home::Home;
use super::input::{Input, Packet};
use super::names::Names;
use super::output::Output;
use super::request::{EXTENSIONS, Request};
use super::status::{Code, Status};
use super::writes::{self, Writes};
use super::zone::Zone;
use super::{Failure, Options};

/// Replies of one run end about here, so that they are sent and others get their turn. Bytes.
const RUN_OUTPUT: usize = 480 * 1024;
/// Requests of one run end about here, so that the window opens in time. Bytes.
const RUN_INPUT: usize = 1024 * 1024;

/// State of one session.
#[derive(Debug)]
pub(super) struct Engine {
    pub(super) home: Home,
    pub(super) handles: Handles,
    pub(super) names: Names,
    pub(super) output: Output,
    pub(super) zone: Option<Zone>,
    writes: Writes,
    initialised: bool,
    /// Set when nobody wants the answers any more.
    pub(super) stop: Arc<AtomicBool>,
}

impl Engine {
    /// Blocks.
    pub(super) fn open(options: &Options, stop: Arc<AtomicBool>) -> Result<Self, Failure> {
        Ok(Self {
            home: Home::open(&options.home).map_err(|errno| Failure::Home(errno.into()))?,
            handles: Handles::new(super::handle_limit()),
            names: Names::default(),
            output: Output::default(),
            zone: None,
            writes: Writes::default(),
            initialised: false,
            stop,
        })
    }

    /// Answer what `input` holds, up to a bounded amount of work.
    pub(super) fn run(&mut self, input: &mut Input) -> Result<(), Failure> {
        let result = self.packets(input);
        self.flush();
        result
    }

    fn packets(&mut self, input: &mut Input) -> Result<(), Failure> {
        while self.output.length() < RUN_OUTPUT
            && input.left() < RUN_INPUT
            && !self.stop.load(Ordering::Relaxed)
        {
            match input.packet()? {
                Some(packet) => self.packet(packet)?,
                None => break,
            }
        }
        Ok(())
    }

    fn packet(&mut self, packet: Packet) -> Result<(), Failure> {
        let mut fields = Fields::new(packet.head);
        let kind = fields.u8().map_err(|_| Failure::Empty)?;
        if kind == kind::INIT {
            return self.initialise(&mut fields);
        }
        if !self.initialised {
            return Err(Failure::NotInitialised);
        }
        let id = fields.u32().map_err(|_| Failure::NoId)?;
        match Request::parse(kind, &mut fields, packet.data) {
            Ok(Request::Write(write)) => {
                if !self.writes.takes(&write) {
                    self.flush();
                }
                self.writes.push(id, write);
            }
            Ok(request) => {
                self.flush();
                match self.answer(id, request) {
                    Ok(Answer::Written) => {}
                    Ok(Answer::Done) => self.output.status(id, &Status::OK),
                    Err(status) => self.output.status(id, &status),
                }
            }
            Err(malformed) => {
                self.flush();
                self.output.status(id, &malformed.into());
            }
        }
        Ok(())
    }

    fn initialise(&mut self, fields: &mut Fields) -> Result<(), Failure> {
        let version = fields.u32().map_err(|_| Failure::NoId)?;
        self.flush();
        self.initialised = true;
        self.output.bare_status = version < VERSION;
        let reply = self.output.begin_bare(kind::VERSION);
        self.output.put(&VERSION.to_be_bytes());
        for (name, version) in EXTENSIONS {
            self.output.string(name.as_bytes());
            self.output.string(version.as_bytes());
        }
        self.output.end(&reply);
        Ok(())
    }

    /// Carry out the writes gathered.
    fn flush(&mut self) {
        if self.writes.is_empty() {
            return;
        }
        let gathered = self.writes.take();
        match self.handles.file(writes::target(&gathered)) {
            Ok(opened) => {
                for (id, result) in writes::perform(&opened.file, opened.append, &gathered) {
                    let status = super::status::of(result, "write", &opened.path);
                    self.output.status(id, &status);
                }
            }
            Err(invalid) => {
                for (id, _) in gathered {
                    self.output.status(id, &invalid);
                }
            }
        }
    }

    fn answer(&mut self, id: u32, request: Request) -> Result<Answer, Status> {
        match request {
            Request::Open {
                path,
                flags,
                attributes,
            } => self.open_file(id, &path, flags, &attributes),
            Request::Close(handle) => self.close(handle),
            Request::Read {
                handle,
                offset,
                length,
            } => self.read(id, handle, offset, length),
            Request::Write(write) => {
                // The caller gathers these; written here for the match to stay exhaustive.
                self.writes.push(id, write);
                self.flush();
                Ok(Answer::Written)
            }
            Request::Lstat(path) => self.lstat(id, &path),
            Request::Stat(path) => self.stat(id, &path),
            Request::Fstat(handle) => self.fstat(id, handle),
            Request::Setstat(path, attributes) => self.set_attributes(&path, &attributes),
            Request::Fsetstat(handle, attributes) => self.set_open_attributes(handle, &attributes),
            Request::Opendir(path) => self.open_directory(id, &path),
            Request::Readdir(handle) => self.read_directory(id, handle),
            Request::Remove(path) => self.remove(&path),
            Request::Mkdir(path, attributes) => self.make_directory(&path, &attributes),
            Request::Rmdir(path) => self.remove_directory(&path),
            Request::Realpath(path) => self.realpath(id, &path),
            Request::Rename { from, to } => self.rename(&from, &to),
            Request::Readlink(path) => self.readlink(id, &path),
            Request::Symlink { target, link } => self.symlink(&target, &link),
            Request::Extended(extended) => self.answer_extended(id, extended),
            Request::Unknown(_) => Err(Status::new(
                Code::Unsupported,
                "Not a request of SFTP version 3",
            )),
        }
    }
}

/// How a request that did not fail is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The reply is in the output.
    Written,
    /// Status OK, still to be written.
    Done,
}
