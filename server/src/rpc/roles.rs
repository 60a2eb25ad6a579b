//! The role that each call takes: by method in one table, and where it depends on what is asked,
//! by request.

use std::time::Duration;

use switchback_proto::v1;

use crate::{
    access::Role::{self, Admin, Operator, Viewer},
    operations::Request,
};

/// For a call that answers once, and for the first answer of a stream.
const DEADLINE: Duration = Duration::from_secs(60);

/// Whoever deletes backups lists every chunk of the store; clients wait for 600 seconds.
const SWEEP_DEADLINE: Duration = Duration::from_secs(630);

/// A method of the interface.
#[derive(Debug, Clone, Copy)]
pub(super) struct Method {
    /// `/package.Service/Method`
    pub(super) path: &'static str,
    /// The least role that may call it; `None` is open to everybody.
    pub(super) role: Option<Role>,
    /// When it is given up, where it has not begun to answer.
    pub(super) deadline: Duration,
}

impl Method {
    const fn open(path: &'static str) -> Self {
        Self { path, role: None, deadline: DEADLINE }
    }

    const fn of(role: Role, path: &'static str) -> Self {
        Self { path, role: Some(role), deadline: DEADLINE }
    }

    const fn sweep(role: Role, path: &'static str) -> Self {
        Self { path, role: Some(role), deadline: SWEEP_DEADLINE }
    }

    /// Whether its calls have a span: orchestrators ask for the health every few seconds.
    pub(super) fn is_traced(&self) -> bool {
        self.role.is_some()
    }

    /// Whether its calls are in the audit log when they are accepted, too.
    pub(super) fn is_audited(&self) -> bool {
        self.role.is_some_and(|role| role > Viewer)
    }
}

/// Every method that is served. One that is not in here is refused.
const METHODS: [Method; 25] = [
    // Orchestrators have no token; it tells names of databases to those who know them.
    Method::open("/grpc.health.v1.Health/Check"),
    Method::open("/grpc.health.v1.Health/Watch"),
    Method::of(Viewer, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"),
    Method::of(Viewer, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"),
    Method::of(Viewer, "/switchback.v1.DatabaseService/GetDatabase"),
    Method::of(Viewer, "/switchback.v1.DatabaseService/ListDatabases"),
    Method::of(Viewer, "/switchback.v1.DatabaseService/WatchDatabase"),
    Method::of(Viewer, "/switchback.v1.DatabaseService/Diagnose"),
    Method::of(Viewer, "/switchback.v1.DatabaseService/ListBackups"),
    Method::of(Viewer, "/switchback.v1.OperationService/GetOperation"),
    Method::of(Viewer, "/switchback.v1.OperationService/ListOperations"),
    Method::of(Viewer, "/switchback.v1.OperationService/WatchOperation"),
    Method::of(Operator, "/switchback.v1.OperationService/CancelOperation"),
    Method::of(Operator, "/switchback.v1.DatabaseService/Plan"),
    Method::of(Operator, "/switchback.v1.DatabaseService/Migrate"),
    Method::of(Operator, "/switchback.v1.DatabaseService/Validate"),
    Method::of(Operator, "/switchback.v1.DatabaseService/Cutover"),
    Method::of(Operator, "/switchback.v1.DatabaseService/Rollback"),
    Method::of(Operator, "/switchback.v1.DatabaseService/Abort"),
    Method::of(Operator, "/switchback.v1.DatabaseService/Backup"),
    Method::of(Operator, "/switchback.v1.DatabaseService/Restore"),
    Method::of(Operator, "/switchback.v1.DatabaseService/VerifyBackup"),
    Method::sweep(Operator, "/switchback.v1.DatabaseService/PruneBackups"),
    Method::sweep(Admin, "/switchback.v1.DatabaseService/DeleteBackup"),
    Method::of(Admin, "/switchback.v1.DatabaseService/Finalize"),
];

/// The method of a path.
pub(super) fn method(path: &str) -> Option<&'static Method> {
    METHODS.iter().find(|method| method.path == path)
}

/// The role that an operation takes: to overwrite, to delete, and to leave behind what cannot be
/// had back is the admin's.
pub(super) fn of_operation(request: &Request) -> Role {
    match request {
        Request::Plan(_)
        | Request::Validate(_)
        | Request::Cutover(_)
        | Request::Abort(_)
        | Request::Backup(_)
        | Request::VerifyBackup(_) => Operator,
        Request::Migrate(request) if empties_target(request) => Admin,
        Request::Migrate(_) => Operator,
        Request::Restore(request) if request.overwrite => Admin,
        Request::Restore(_) => Operator,
        Request::Rollback(request) if leaves_behind(request) => Admin,
        Request::Rollback(_) => Operator,
        Request::Finalize(_) => Admin,
    }
}

/// The role that pruning takes.
pub(super) fn of_prune(request: &v1::PruneBackupsRequest) -> Role {
    if request.confirm { Admin } else { Operator }
}

fn empties_target(request: &v1::MigrateRequest) -> bool {
    let options = request.options.as_ref().is_some_and(|options| options.empty_target);
    let plan = request.plan.as_ref().and_then(|plan| plan.existing.as_ref());
    options || plan.is_some_and(|existing| existing.empty_target)
}

fn leaves_behind(request: &v1::RollbackRequest) -> bool {
    let loses =
        request.accept_unrepresentable > 0 || request.accept_loss || request.from_last_drain;
    loses && !request.dry_run
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message;
    use prost_types::FileDescriptorSet;
    use switchback_proto::FILE_DESCRIPTOR_SET;

    use super::*;

    /// Paths of all methods of the sets of descriptors that reflection shows.
    fn described() -> BTreeSet<String> {
        let sets = [
            FILE_DESCRIPTOR_SET,
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        ];
        let sets = sets.map(|set| FileDescriptorSet::decode(set).unwrap());
        let mut paths = BTreeSet::new();
        for file in sets.iter().flat_map(|set| &set.file) {
            for service in &file.service {
                let name = format!("{}.{}", file.package(), service.name());
                let methods = service.method.iter();
                paths.extend(methods.map(|method| format!("/{name}/{}", method.name())));
            }
        }
        paths
    }

    #[test]
    fn every_method_has_a_role_and_every_entry_a_method() {
        let entries: BTreeSet<String> = METHODS.iter().map(|method| method.path.into()).collect();
        assert_eq!(entries.len(), METHODS.len());
        assert_eq!(entries, described());
    }

    #[test]
    fn only_health_is_open() {
        let open = METHODS.iter().filter(|method| method.role.is_none());
        assert!(open.clone().all(|method| method.path.starts_with("/grpc.health.v1.Health/")));
        assert!(open.count() > 0 && method("/switchback.v1.DatabaseService/Nothing").is_none());
    }

    #[test]
    fn what_cannot_be_had_back_is_the_admins() {
        let database = || "d".to_owned();
        let rollback = |change: fn(&mut v1::RollbackRequest)| {
            let mut request = v1::RollbackRequest { database: database(), ..Default::default() };
            change(&mut request);
            of_operation(&Request::Rollback(request))
        };
        assert_eq!(rollback(|_| {}), Operator);
        assert_eq!(rollback(|request| request.accept_unrepresentable = 1), Admin);
        assert_eq!(rollback(|request| request.accept_loss = true), Admin);
        assert_eq!(rollback(|request| request.from_last_drain = true), Admin);
        let dry = |request: &mut v1::RollbackRequest| {
            (request.from_last_drain, request.dry_run) = (true, true);
        };
        assert_eq!(rollback(dry), Operator);

        let restore = |overwrite| {
            let request = v1::RestoreRequest { overwrite, ..Default::default() };
            of_operation(&Request::Restore(request))
        };
        assert_eq!((restore(false), restore(true)), (Operator, Admin));
        let prune = |confirm| of_prune(&v1::PruneBackupsRequest { confirm, ..Default::default() });
        assert_eq!((prune(false), prune(true)), (Operator, Admin));
    }

    /// By an option, and by a plan that comes in a file.
    #[test]
    fn a_migration_that_empties_the_target_is_the_admins() {
        let migrate = |option, existing| {
            let options = v1::PlanOptions { empty_target: option, ..Default::default() };
            let plan = v1::Plan { existing, ..Default::default() };
            let request = v1::MigrateRequest {
                options: Some(options),
                plan: Some(plan),
                ..Default::default()
            };
            of_operation(&Request::Migrate(Box::new(request)))
        };
        let existing =
            |empty_target| Some(v1::ExistingSchema { empty_target, ..Default::default() });
        assert_eq!(migrate(false, None), Operator);
        assert_eq!(migrate(false, existing(false)), Operator);
        assert_eq!(migrate(true, None), Admin);
        assert_eq!(migrate(false, existing(true)), Admin);
    }
}
