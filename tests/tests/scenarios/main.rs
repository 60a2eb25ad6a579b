//! Scenarios on the real binaries, a private PostgreSQL and real files. One test binary, so that
//! all of them share one cluster; each has its own database, source and server.

mod backup;
mod bad_plan;
mod bad_source;
mod bad_target;
mod by_hand;
mod command_line;
mod contract;
mod corpus;
mod crash;
mod cutover;
mod damage;
mod drift;
mod fence;
mod finalize;
mod follow_switch;
mod followed;
mod full;
mod guard;
mod kinds;
mod lag;
mod live;
mod metrics;
mod nasty;
mod operations;
mod outage;
mod program;
mod resume;
mod rollback;
mod round;
mod service;
mod standstill;
mod takeover;
mod workload;
mod writing;
