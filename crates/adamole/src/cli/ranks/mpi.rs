//! Ranks by MPI.
//!
//! Everything is sent and received without blocking and waited for in a loop, so that a run can be saved where a rank has died,
//! and errors come back as such: MPI's own way is to end the process.

use super::{Failure, Member};
use adamole::train::{RankError, Ranks};
use mpi::{
    Threading,
    environment::Universe,
    ffi,
    topology::SimpleCommunicator,
    traits::{AsRaw, Communicator},
};
use std::{
    ffi::{c_int, c_void},
    fmt,
    mem::forget,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// MPI counts elements in 32 bits.
const CHUNK: usize = 1 << 30;

/// Polls without a pause, and the pause between the others: short beside a step, and the wait takes no core from the work.
const EAGER: usize = 200;
const PAUSE: Duration = Duration::from_micros(50);

/// How long rank 0 waits for the answers of the others once it is to stop, and the others for what it saves.
const LAST_WORDS: Duration = Duration::from_millis(500);
const SAVING: Duration = Duration::from_secs(60);

/// How long the others wait for messages under way once rank 0 has ended.
const UNDER_WAY: Duration = Duration::from_secs(5);

const LENGTHS: c_int = 1;
const PARTS: c_int = 2;
const END: c_int = 3;

/// A rank of `MPI_COMM_WORLD`.
pub(super) struct Mpi {
    world: SimpleCommunicator,
    rank: usize,
    count: usize,
    local: (usize, usize),
    /// Ends MPI when it is dropped.
    universe: Mutex<Option<Universe>>,
    /// Whether messages were given up that may still arrive.
    gave_up: AtomicBool,
}

// SAFETY: the communicator is a name that any thread may hold, and a run calls MPI from its main thread alone.
unsafe impl Send for Mpi {}
// SAFETY: as above.
unsafe impl Sync for Mpi {}

impl fmt::Debug for Mpi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {} of {}", self.rank, self.count)
    }
}

impl Mpi {
    /// Joins the processes that were started together.
    pub(super) fn join() -> Result<Self, Failure> {
        let failed = |what: &str| Failure::ranks(RankError::Lost(what.into()));
        let (universe, _) =
            mpi::initialize_with_threading(Threading::Funneled).ok_or_else(|| failed("MPI has begun already"))?;
        let world = universe.world();
        // SAFETY: the communicator is that of all processes, which lives until MPI ends.
        check(unsafe { ffi::MPI_Comm_set_errhandler(world.as_raw(), ffi::RSMPI_ERRORS_RETURN) })
            .map_err(Failure::ranks)?;
        let (rank, count) = (world.rank(), world.size());
        let local = world.split_shared(rank);
        Ok(Self {
            rank: rank.unsigned_abs() as usize,
            count: count.unsigned_abs() as usize,
            local: (local.rank().unsigned_abs() as usize, local.size().unsigned_abs() as usize),
            world,
            universe: Mutex::new(Some(universe)),
            gave_up: AtomicBool::new(false),
        })
    }

    /// Sends `out[rank]` to each other rank while `into[rank]` fills with what it sends. Given up, the buffers are lost: MPI may
    /// still write to them.
    fn transfer(
        &self,
        tag: c_int,
        out: Vec<Vec<u8>>,
        mut into: Vec<Vec<u8>>,
        stop: &dyn Fn() -> bool,
    ) -> Result<Vec<Vec<u8>>, RankError> {
        let mut requests = Vec::new();
        let begun = (0..self.count).filter(|rank| *rank != self.rank).try_for_each(|rank| {
            into[rank].chunks_mut(CHUNK).try_for_each(|chunk| self.receive(rank, tag, chunk, &mut requests))?;
            out[rank].chunks(CHUNK).try_for_each(|chunk| self.send(rank, tag, chunk, &mut requests))
        });
        match begun.and_then(|()| self.wait(&mut requests, stop)) {
            Ok(()) => Ok(into),
            Err(error) => {
                self.gave_up.store(true, Ordering::Relaxed);
                forget((out, into, requests));
                Err(error)
            }
        }
    }

    /// Begins to receive a chunk, which has to stay where it is until the request is done.
    fn receive(
        &self,
        rank: usize,
        tag: c_int,
        chunk: &mut [u8],
        requests: &mut Vec<ffi::MPI_Request>,
    ) -> Result<(), RankError> {
        // SAFETY: the buffer has as many bytes, and stays until the request is done or for ever.
        let code = unsafe {
            requests.push(ffi::RSMPI_REQUEST_NULL);
            let request = requests.as_mut_ptr().add(requests.len() - 1);
            let (buffer, length) = (chunk.as_mut_ptr().cast::<c_void>(), chunk.len() as c_int);
            ffi::MPI_Irecv(buffer, length, ffi::RSMPI_UINT8_T, rank as c_int, tag, self.world.as_raw(), request)
        };
        check(code)
    }

    /// Begins to send a chunk, which has to stay where it is until the request is done.
    fn send(
        &self,
        rank: usize,
        tag: c_int,
        chunk: &[u8],
        requests: &mut Vec<ffi::MPI_Request>,
    ) -> Result<(), RankError> {
        // SAFETY: as above; it is only read.
        let code = unsafe {
            requests.push(ffi::RSMPI_REQUEST_NULL);
            let request = requests.as_mut_ptr().add(requests.len() - 1);
            let (buffer, length) = (chunk.as_ptr().cast::<c_void>(), chunk.len() as c_int);
            ffi::MPI_Isend(buffer, length, ffi::RSMPI_UINT8_T, rank as c_int, tag, self.world.as_raw(), request)
        };
        check(code)
    }

    /// Waits until all requests are done, or until the run is to end.
    fn wait(&self, requests: &mut [ffi::MPI_Request], stop: &dyn Fn() -> bool) -> Result<(), RankError> {
        let mut stopped: Option<Instant> = None;
        for poll in 0.. {
            if self.are_done(requests)? {
                return Ok(());
            }
            // What was sent before may still be on its way: the word of rank 0 can overtake what other ranks have sent.
            let (is_over, patience) = match self.rank {
                0 => (stop(), LAST_WORDS),
                _ => (self.first_has_ended()?, UNDER_WAY),
            };
            if is_over && stopped.get_or_insert_with(Instant::now).elapsed() > patience {
                return Err(RankError::Stopped);
            }
            if poll > EAGER {
                thread::sleep(PAUSE);
            }
        }
        Ok(())
    }

    fn are_done(&self, requests: &mut [ffi::MPI_Request]) -> Result<bool, RankError> {
        let mut done = 0;
        // SAFETY: the requests are this many, and states of them are not asked for.
        check(unsafe {
            ffi::MPI_Testall(requests.len() as c_int, requests.as_mut_ptr(), &mut done, ffi::RSMPI_STATUSES_IGNORE)
        })?;
        Ok(done != 0)
    }

    /// Whether rank 0 has said that the run is over.
    fn first_has_ended(&self) -> Result<bool, RankError> {
        let mut found = 0;
        // SAFETY: asks whether a message is there.
        check(unsafe { ffi::MPI_Iprobe(0, END, self.world.as_raw(), &mut found, ffi::RSMPI_STATUS_IGNORE) })?;
        Ok(found != 0)
    }

    /// Rank 0 says that everything is saved; the others wait for it.
    fn end(&self) -> Result<(), RankError> {
        let (mut word, mut requests, begun) = ([0_u8], Vec::new(), Instant::now());
        let limit = if self.rank == 0 { LAST_WORDS } else { SAVING };
        match self.rank {
            0 => (1..self.count).try_for_each(|rank| self.send(rank, END, &word, &mut requests))?,
            _ => self.receive(0, END, &mut word, &mut requests)?,
        }
        while !self.are_done(&mut requests)? {
            if begun.elapsed() > limit {
                return Err(RankError::Stopped);
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }
}

impl Ranks for Mpi {
    fn rank(&self) -> usize {
        self.rank
    }

    fn count(&self) -> usize {
        self.count
    }

    fn exchange(&self, mut parts: Vec<Vec<u8>>, stop: &dyn Fn() -> bool) -> Result<Vec<Vec<u8>>, RankError> {
        let own = std::mem::take(&mut parts[self.rank]);
        let lengths = parts.iter().map(|part| (part.len() as u64).to_le_bytes().to_vec()).collect();
        let lengths = self.transfer(LENGTHS, lengths, vec![vec![0; 8]; self.count], stop)?;
        let length = |bytes: &Vec<u8>| bytes.as_slice().try_into().map_or(0, u64::from_le_bytes) as usize;
        let mut received =
            self.transfer(PARTS, parts, lengths.iter().map(|bytes| vec![0; length(bytes)]).collect(), stop)?;
        received[self.rank] = own;
        Ok(received)
    }
}

impl Member for Mpi {
    fn local(&self) -> (usize, usize) {
        self.local
    }

    fn machine(&self) -> String {
        mpi::environment::processor_name().unwrap_or_else(|_| "a machine without a name".into())
    }

    fn leave(&self, exit_code: u8) {
        let has_ended = self.end().is_ok() && !self.gave_up.load(Ordering::Relaxed);
        let universe = self.universe.lock().unwrap_or_else(PoisonError::into_inner).take();
        if has_ended {
            return drop(universe);
        }
        // The messages that were given up would be waited for.
        forget(universe);
        if self.rank == 0 {
            // SAFETY: ends all processes, this one included.
            unsafe { ffi::MPI_Abort(self.world.as_raw(), c_int::from(exit_code.max(1))) };
        }
    }
}

/// A call of MPI that failed.
fn check(code: c_int) -> Result<(), RankError> {
    if code == ffi::MPI_SUCCESS as c_int {
        return Ok(());
    }
    let (mut text, mut length) = ([0_u8; ffi::MPI_MAX_ERROR_STRING as usize], 0);
    // SAFETY: the buffer has the length that MPI asks for.
    let known =
        unsafe { ffi::MPI_Error_string(code, text.as_mut_ptr().cast(), &mut length) } == ffi::MPI_SUCCESS as c_int;
    let text = text.get(..usize::try_from(length).unwrap_or(0)).filter(|_| known).unwrap_or(b"an error without a name");
    Err(RankError::Lost(format!("MPI says: {}", String::from_utf8_lossy(text))))
}
