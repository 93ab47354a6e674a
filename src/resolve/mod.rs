//! Addresses of targets that are host names: asked for ahead, again and again, so that neither a
//! query nor the writer ever waits for another server.
//!
//! ```text
//! resolver   one task for each name: ask, tell the writer, wait for the TTL
//! lookup     one question to the system's resolver, or to those of the configuration
//! ```

mod lookup;
pub mod resolver;

pub use lookup::look_up;
pub use resolver::{Found, Resolver};
