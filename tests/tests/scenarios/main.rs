//! Scenarios on the real binaries, a private PostgreSQL and real files. One test binary, so that
//! all of them share one cluster; each has its own database, source and server.

mod bad_plan;
mod bad_source;
mod bad_target;
mod command_line;
mod contract;
mod corpus;
mod damage;
mod fence;
mod follow_switch;
mod nasty;
mod operations;
mod resume;
mod round;
mod service;
mod standstill;
