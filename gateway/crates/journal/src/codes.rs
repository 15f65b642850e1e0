//! The numbers that stand for enumerations on disk. They are part of the format: a variant keeps its
//! number for ever, whatever its place in the source.

use towpath_wire::Environment;
use towpath_wire::routing::{DataClass, Operation, TargetKind};
use towpath_wire::usage::{Cache, CallerDialect, CountedBy, Ended};

/// An enumeration with fixed numbers, from 1; 0 is left for "absent".
pub(crate) trait Coded: Sized {
    fn code(self) -> u8;
    fn from_code(code: u8) -> Option<Self>;
}

macro_rules! coded {
    ($kind:ty { $($variant:ident = $code:literal),+ }) => {
        impl Coded for $kind {
            fn code(self) -> u8 {
                match self { $(Self::$variant => $code),+ }
            }

            fn from_code(code: u8) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

coded!(Environment { Sandbox = 1, Staging = 2, Production = 3 });
coded!(Operation { Chat = 1, Completions = 2, Embeddings = 3, Predict = 4, Models = 5, Rerank = 6, Transcriptions = 7, CountTokens = 8 });
coded!(CallerDialect { Openai = 1, Predict = 2, Responses = 3, Anthropic = 4, KserveV2 = 5, KserveGrpc = 6 });
coded!(TargetKind { Deployment = 1, Static = 2, Provider = 3 });
coded!(DataClass { Public = 1, Internal = 2, Confidential = 3, Restricted = 4 });
coded!(CountedBy { Upstream = 1, Gateway = 2, None = 3 });
coded!(Cache { None = 1, Hit = 2, Miss = 3 });
coded!(Ended {
    Complete = 1,
    ClientGone = 2,
    UpstreamCut = 3,
    Timeout = 4,
    Refused = 5,
    Error = 6,
    GatewayLost = 7
});

/// The number of a value that may be absent.
pub(crate) fn code_of<T: Coded>(value: Option<T>) -> u8 {
    value.map_or(0, T::code)
}

/// The value of a number that may say "absent"; `None` for a number nobody wrote.
pub(crate) fn optional<T: Coded>(code: u8) -> Option<Option<T>> {
    if code == 0 { Some(None) } else { T::from_code(code).map(Some) }
}
