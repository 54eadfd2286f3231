//! The `front-proxy` program: the library's command line on a faster allocator.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    front_proxy::cli::run(std::env::args_os())
}
