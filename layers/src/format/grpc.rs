//! The gRPC status of a response, by name or number.

use super::command::{Written, number};
use super::context::FormatContext;
use crate::error::respond::grpc_status;
use crate::route::is_grpc;

/// How `%GRPC_STATUS%` prints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Camel,
    Snake,
    Number,
}

const NAMES: [(&str, &str); 17] = [
    ("OK", "OK"),
    ("Canceled", "CANCELLED"),
    ("Unknown", "UNKNOWN"),
    ("InvalidArgument", "INVALID_ARGUMENT"),
    ("DeadlineExceeded", "DEADLINE_EXCEEDED"),
    ("NotFound", "NOT_FOUND"),
    ("AlreadyExists", "ALREADY_EXISTS"),
    ("PermissionDenied", "PERMISSION_DENIED"),
    ("ResourceExhausted", "RESOURCE_EXHAUSTED"),
    ("FailedPrecondition", "FAILED_PRECONDITION"),
    ("Aborted", "ABORTED"),
    ("OutOfRange", "OUT_OF_RANGE"),
    ("Unimplemented", "UNIMPLEMENTED"),
    ("Internal", "INTERNAL"),
    ("Unavailable", "UNAVAILABLE"),
    ("DataLoss", "DATA_LOSS"),
    ("Unauthenticated", "UNAUTHENTICATED"),
];

impl Style {
    pub(super) fn write(self, context: &dyn FormatContext, out: &mut Vec<u8>) -> Written {
        if !context.request_headers().is_some_and(is_grpc) {
            return Written::Nothing;
        }
        let Some(status) = status(context) else {
            return Written::Nothing;
        };
        let names = usize::try_from(status).ok().and_then(|at| NAMES.get(at));
        let name = match (self, names) {
            (Self::Number, _) => return number(out, status),
            (Self::Camel, Some((name, _))) | (Self::Snake, Some((_, name))) => name,
            (Self::Camel | Self::Snake, None) => {
                number(out, status);
                return Written::Text;
            }
        };
        out.extend_from_slice(name.as_bytes());
        Written::Text
    }
}

/// `grpc-status` of the trailers, else of the headers, else what stands for the HTTP status.
fn status(context: &dyn FormatContext) -> Option<u64> {
    let maps = [context.response_trailers(), context.response_headers()];
    let value = maps.into_iter().flatten().find_map(|map| map.get("grpc-status"));
    if let Some(value) = value {
        return value.to_str().ok()?.parse().ok();
    }
    Some(grpc_status(context.response_code()?).into())
}
