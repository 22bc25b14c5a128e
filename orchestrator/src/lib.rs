//! Plans, records and runs neural-collapse studies.
