//! The durable usage journal: slots in memory-mapped segments; open, update, close, recover, ship.
