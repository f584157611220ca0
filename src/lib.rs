#![doc = include_str!("ARCHITECTURE.md")]

pub mod domain;
pub mod predicate;

pub mod access;
pub mod booking;
pub mod catalogue;
pub mod feed;
pub mod generator;
pub mod measurement;
pub mod promotion;
pub mod ranking;
pub mod selection;

pub mod record;
pub mod store;
pub mod telemetry;

pub mod engine;

pub mod http;

pub mod api;

pub mod cli;
