//! The HTTP door: tables loaded and read by plain HTTP/1.1, for clients without Flight. Bodies become what Flight's messages become, and
//! go the same way: there is no second write path here.

mod body;
mod connections;
mod door;
mod load;
mod messages;
mod noted;
mod read;
mod refusal;
mod routes;
mod rows;
mod target;
mod text;
mod unpacked;

pub use connections::{HttpSettings, serve};
pub use door::HttpDoor;
pub use routes::routes;
