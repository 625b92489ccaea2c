//! The commands, one file each.

pub(crate) mod ask;
pub(crate) mod batch;
pub(crate) mod config;
pub(crate) mod count;
pub(crate) mod init;
pub(crate) mod keys;
pub(crate) mod list;
pub(crate) mod mock;
pub(crate) mod models;
pub(crate) mod price;
pub(crate) mod set_model;
pub(crate) mod test;
pub(crate) mod verify;
pub(crate) mod version;
