//! Indices that name things: small, dense and checked by the type.
//!
//! Each is the position of the thing in the configuration's list of its kind.

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u16);

        impl $name {
            /// The position in the list of its kind.
            #[must_use]
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}

id!(
    /// A listener of the configuration.
    ListenerId
);
id!(
    /// A route of the configuration, in file order.
    RouteId
);
id!(
    /// A pool of the configuration.
    PoolId
);
id!(
    /// A member, by its position within its pool.
    MemberId
);
id!(
    /// A worker, counted from 0.
    WorkerId
);
