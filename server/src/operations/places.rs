//! How many long operations work side by side; the others wait in the order in which they came.

use std::sync::atomic::{AtomicU64, Ordering};

use switchback_proto::v1::{Phase, WaitingEvent};
use tokio::sync::watch;

use super::{Request, Run};

/// The places of a server.
///
/// What counts is what reads or writes a whole database: a migration, a comparison, a backup, its
/// restoration and its verification. A migration that waits for its cutover has ended as an
/// operation and takes no place; one that switches by itself keeps its own until it has. A plan, a
/// cutover, a rollback, a finalize and an abort never wait: whoever asks for one must not stand
/// behind the copies of other databases. Nor does a migration that a restart takes up once it
/// switches or undoes: applications may be fenced.
///
/// A place is held until its operation ends, also while it waits for an engine.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    next: AtomicU64,
    /// Those that work and those that wait, by arrival; the first `most` of them have a place.
    line: watch::Sender<Vec<u64>>,
}

/// A place in the line; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    ticket: u64,
    most: usize,
    line: watch::Sender<Vec<u64>>,
    moved: watch::Receiver<Vec<u64>>,
}

/// How the wait for a turn has ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It has a place.
    Now,
    /// The caller does not want it any more.
    Cancelled,
    /// The server stops.
    Stopped,
}

impl Places {
    pub(super) fn new(most: usize) -> Self {
        Self { most: most.max(1), next: AtomicU64::new(0), line: watch::Sender::new(Vec::new()) }
    }

    /// The end of the line.
    pub(super) fn line_up(&self) -> Place {
        let ticket = self.next.fetch_add(1, Ordering::Relaxed);
        self.line.send_modify(|line| line.push(ticket));
        let (line, moved) = (self.line.clone(), self.line.subscribe());
        Place { ticket, most: self.most, line, moved }
    }

    /// How many operations have to end before it is a ticket's turn; 0 where it has a place.
    pub(super) fn behind(&self, ticket: u64) -> u32 {
        behind(&self.line.borrow(), ticket, self.most)
    }
}

impl Place {
    pub(super) fn ticket(&self) -> u64 {
        self.ticket
    }

    /// Waits for its turn and tells how far away it is.
    pub(super) async fn turn(&mut self, run: &Run) -> Turn {
        let mut told = 0;
        loop {
            let behind = behind(&self.moved.borrow_and_update(), self.ticket, self.most);
            if behind == 0 {
                return Turn::Now;
            }
            if behind != told {
                told = behind;
                tracing::info!(queued_behind = behind, "the operation waits for its turn");
                run.log.waiting(waiting(behind, self.most));
            }
            tokio::select! {
                biased;
                () = run.shutdown.cancelled() => return Turn::Stopped,
                () = run.cancel.cancelled() => return Turn::Cancelled,
                _ = self.moved.changed() => {}
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.line.send_modify(|line| line.retain(|ticket| *ticket != self.ticket));
    }
}

/// Whether an operation takes a place; `phase` is where an earlier run has left it.
pub(super) fn takes_place(request: &Request, phase: Phase) -> bool {
    match request {
        Request::Migrate(_) => !matches!(
            phase,
            Phase::Following
                | Phase::CuttingOver
                | Phase::Reversible
                | Phase::Aborting
                | Phase::Halted
        ),
        Request::Validate(_)
        | Request::Backup(_)
        | Request::Restore(_)
        | Request::VerifyBackup(_) => true,
        Request::Plan(_)
        | Request::Cutover(_)
        | Request::Rollback(_)
        | Request::Finalize(_)
        | Request::Abort(_) => false,
    }
}

fn behind(line: &[u64], ticket: u64, most: usize) -> u32 {
    let before = line.iter().position(|other| *other == ticket).unwrap_or(0);
    u32::try_from((before + 1).saturating_sub(most)).unwrap_or(u32::MAX)
}

fn waiting(queued_behind: u32, most: usize) -> WaitingEvent {
    let message = format!(
        "the server runs {most} at once (SWITCHBACK_MAX_OPERATIONS), and {queued_behind} must end \
         before it"
    );
    WaitingEvent { message, queued_behind, ..WaitingEvent::default() }
}

#[cfg(test)]
mod tests {
    use switchback_proto::v1::{AbortRequest, BackupRequest};

    use super::*;

    #[test]
    fn the_first_have_a_place_and_the_others_know_how_many_must_end() {
        let line = [3, 5, 8, 9];
        let told = |most| line.map(|ticket| behind(&line, ticket, most));
        assert_eq!(told(1), [0, 1, 2, 3]);
        assert_eq!(told(2), [0, 0, 1, 2]);
        assert_eq!(told(4), [0, 0, 0, 0]);
    }

    #[test]
    fn whoever_leaves_moves_those_behind_it_on() {
        let places = Places::new(1);
        let (first, second, third) = (places.line_up(), places.line_up(), places.line_up());
        let tickets = [second.ticket(), third.ticket()];
        assert_eq!(tickets.map(|ticket| places.behind(ticket)), [1, 2]);
        drop(second);
        assert_eq!(places.behind(third.ticket()), 1);
        drop(first);
        assert_eq!(places.behind(third.ticket()), 0);
    }

    #[test]
    fn what_is_long_takes_a_place_unless_applications_wait_for_it() {
        let migrate = Request::Migrate(Box::default());
        for (phase, takes) in [
            (Phase::Idle, true),
            (Phase::Copying, true),
            (Phase::Validating, true),
            (Phase::CuttingOver, false),
            (Phase::Aborting, false),
        ] {
            assert_eq!(takes_place(&migrate, phase), takes, "{phase:?}");
        }
        assert!(takes_place(&Request::Backup(BackupRequest::default()), Phase::Idle));
        assert!(!takes_place(&Request::Abort(AbortRequest::default()), Phase::Idle));
    }
}
