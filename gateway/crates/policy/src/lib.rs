//! Who may call what, at which price, on which target: pure functions over the routing table.
